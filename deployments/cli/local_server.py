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

SERVE_LOGGING = {"encoding": "JSON", "log_level": "WARNING", "enable_access_log": False}


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
    serve.start(
        proxy_location=ProxyLocation.HeadOnly,
        http_options=HTTPOptions(host=config.host, port=config.port),
        logging_config=SERVE_LOGGING,
    )
    target = RunTarget(build(config.args), config.application, config.route_prefix, SERVE_LOGGING)
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
