"""The application on a Ray cluster of its own, from start-up to Ctrl-C."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from ray import serve
from ray.serve.api import RunTarget
from ray.serve.config import HTTPOptions, ProxyLocation
from rich.console import Console

from configs.load import ConfigFile
from configs.settings import Settings
from deployments.app import build
from deployments.cli.banner import Banner
from deployments.cli.local_cluster import cluster_file, local_cluster
from deployments.cli.startup import Startup


def run(config: ConfigFile, console: Console) -> None:
    """Start everything, show it, wait for Ctrl-C or SIGTERM, and stop what was started.

    Raises:
        ConfigError: the application cannot run as it is configured.
    """
    stop = threading.Event()
    _stop_on_signals(stop)
    console.print("Starting Ray …")
    settings = Settings.from_environment()
    env_file = settings.cluster_file(config.http_options.port)
    with local_cluster(config) as cluster, cluster_file(cluster, env_file):
        _stop_on_signals(stop)  # again, because Ray puts handlers of its own in their place
        _deploy(config)
        models = Startup(config, settings, console).wait_until_ready(stop)
        if models is not None:
            banner = Banner(config, cluster, settings, env_file, models)
            console.print(banner.text, highlight=False, markup=False, soft_wrap=True)
            stop.wait()
        console.print("Stopping …")
        with _quiet():
            serve.shutdown()
    console.print("Stopped.")


def _stop_on_signals(stop: threading.Event) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what Ray's processes say while they are stopped: it reads like errors, and is none."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


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
