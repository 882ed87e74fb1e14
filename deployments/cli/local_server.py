"""The application on a Ray cluster of its own, from start-up to Ctrl-C."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from ray import serve
from ray.serve.api import RunTarget
from ray.serve.config import HTTPOptions, ProxyLocation
from rich.console import Console

from cluster.jobs.errors import StoreUnavailable
from configs.load import ConfigFile
from configs.schema import JOBS_ID
from configs.settings import Settings
from deployments.app import build
from deployments.backends import RAY_ERRORS
from deployments.cli.banner import Banner
from deployments.cli.local_cluster import CORE_NAMES, LocalCluster, cluster_file, local_cluster
from deployments.cli.startup import Startup
from deployments.cli.supervisor import CLUSTER_LOST, POLL_S, Family, Link, is_alive

logger = logging.getLogger("ai_server.jobs")

DRAIN_LIMIT_S = 10.0


def run(config: ConfigFile, console: Console, stop: threading.Event, link: Link) -> None:
    """Start everything, show it, wait for Ctrl-C or SIGTERM, and stop what was started.

    `stop` is set by these signals, and here if the supervisor at the other end of `link` dies.

    Raises:
        ConfigError: the application cannot run as it is configured.
    """
    console.print("Starting Ray …")
    settings = Settings.from_environment()
    env_file = settings.cluster_file(config.http_options.port)
    sigterm = signal.getsignal(signal.SIGTERM)
    with local_cluster(config) as cluster, cluster_file(cluster, env_file), _watched(cluster, stop, link):
        signal.signal(signal.SIGTERM, sigterm)  # again, because Ray puts a handler of its own in its place
        _deploy(config)
        models = Startup(config, settings, console).wait_until_ready(stop)
        if models is not None:
            banner = Banner(config, cluster, settings, env_file, models)
            console.print(banner.text, highlight=False, markup=False, soft_wrap=True)
            link.say_ready()
            stop.wait()
            _give_jobs_back(config.application.name)
        console.print("Stopping …")
        with _quiet():
            serve.shutdown()
    console.print("Stopped.")


def _give_jobs_back(application: str) -> None:
    """Let the jobs that run wait for the next start; without this they would have lost an attempt."""
    try:
        handle: Any = serve.get_deployment_handle(JOBS_ID, application)
        handle.drain.remote().result(timeout_s=DRAIN_LIMIT_S)
    except (TimeoutError, StoreUnavailable, *RAY_ERRORS) as error:
        logger.debug("the jobs that run could not be given back: %r", error)


@contextmanager
def _watched(cluster: LocalCluster, stop: threading.Event, link: Link) -> Iterator[None]:
    """Look after the cluster and the supervisor during the block, in a thread of its own."""
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(cluster, stop, link, over), daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()  # It must not see the orderly end of the cluster as a loss.


def _watch(cluster: LocalCluster, stop: threading.Event, link: Link, over: threading.Event) -> None:
    family = Family()
    while not over.wait(POLL_S):
        family.remember()
        if link.is_cut():
            stop.set()
        if len(cluster.core) < len(CORE_NAMES) or not all(is_alive(process) for process in cluster.core):
            # Nothing that asks the cluster would ever return: the main thread cannot stop in order.
            family.end()
            os._exit(CLUSTER_LOST)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what Ray's processes say while they are stopped: it reads like errors, and is none."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def _deploy(config: ConfigFile) -> None:
    # httpx would log each look at /ready once Ray Serve LLM has set logging up.
    for name in ("ray.serve", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
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
