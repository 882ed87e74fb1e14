"""The application on a Ray cluster of its own, from start-up to Ctrl-C."""

import logging
import os
import signal
import threading

from ray import serve
from ray.serve.api import RunTarget
from ray.serve.config import HTTPOptions, ProxyLocation
from rich.console import Console

from configs.load import ConfigFile
from configs.settings import Settings
from deployments.app import build
from deployments.cli.environment import token_file
from deployments.cli.local_cluster import LocalCluster, cluster_file, local_cluster
from deployments.cli.startup import Startup


def run(config: ConfigFile, console: Console) -> None:
    """Start everything, show it, wait for Ctrl-C or SIGTERM, and stop what was started.

    Raises:
        ConfigError: the application cannot run as it is configured.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    console.print("Starting Ray …")
    settings = Settings.from_environment()
    with local_cluster(config) as cluster, cluster_file(cluster, settings.cluster_file):
        _deploy(config)
        if Startup(config, console).wait_until_ready(stop):
            console.print(_banner(config, cluster, settings), highlight=False, soft_wrap=True)
            stop.wait()
        console.print("Stopping …")
        serve.shutdown()


def _deploy(config: ConfigFile) -> None:
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    # A person reads this in a terminal; what the file says of it wins.
    logging_config = {"log_level": "WARNING", **config.logging_config}
    serve.start(
        proxy_location=ProxyLocation(config.proxy_location),
        http_options=HTTPOptions(**config.http_options.model_dump()),
        logging_config=logging_config,
    )
    application = config.application
    target = RunTarget(build(config.args), application.name, application.route_prefix, logging_config)
    serve.run_many([target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)


def _banner(config: ConfigFile, cluster: LocalCluster, settings: Settings) -> str:
    key_file = settings.api_key_file
    return f"""
[bold]AI Server is ready[/bold] ({config.args.profile}): {config.url}   docs: {config.url}/docs
API key:   {key_file}
Dashboard: {cluster.dashboard_url}   (its token: {token_file(os.environ)})
Metrics:   {cluster.metrics_url}   (Prometheus)
Cluster:   source {settings.cluster_file}   (before a Python service that calls it by handle)

Try it:

  curl {config.url}/v1/audio/speech -H "Authorization: Bearer $(cat {key_file})" \\
    -H "Content-Type: application/json" -d '{{"input": "Hello! Your server can speak."}}' -o hello.mp3

Ctrl-C stops it."""
