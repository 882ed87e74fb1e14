"""A Ray cluster of our own on this machine: started here, stopped here, touching no other."""

import logging
import os
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from configs.load import ConfigError, ConfigFile
from deployments.cli.environment import RAY_DEFAULTS

OBJECT_STORE_BYTES = 512 * 1024 * 1024
"""Blobs travel by key, so the object store only carries records and streamed pieces."""
CORE_NAMES = ("gcs_server", "raylet")


@dataclass(frozen=True)
class LocalCluster:
    """A running cluster."""

    address: str
    """What other services put into ``RAY_ADDRESS``."""
    dashboard_url: str
    metrics_url: str
    """What Prometheus reads."""
    core: tuple[psutil.Process, ...]
    """The processes without which the cluster is dead; Ray replaces the others or does without."""


@contextmanager
def local_cluster(config: ConfigFile) -> Iterator[LocalCluster]:
    """Start Ray for the block.

    Ray's own command `ray stop` ends every Ray on the machine; leaving the block ends only this one.
    """
    # Imported here, so that the supervisor can ask for the port without the weight of Ray.
    import ray

    check_port_is_free(config.http_options.host, config.http_options.port)
    context = ray.init(
        address="local",
        num_cpus=max(os.cpu_count() or 1, _needed_cpus(config)),
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=True,
        dashboard_host="127.0.0.1",
        logging_level=logging.ERROR,
    )
    try:
        yield LocalCluster(
            address=ray.get_runtime_context().gcs_address,
            dashboard_url=f"http://{context.dashboard_url}",
            metrics_url=f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics",
            core=tuple(each for each in psutil.Process().children() if each.name() in CORE_NAMES),
        )
    finally:
        ray.shutdown()


@contextmanager
def cluster_file(cluster: LocalCluster, path: Path) -> Iterator[None]:
    """Keep a file for the block that shells `source`: what Ray's tools and other drivers need to join."""
    names = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", *RAY_DEFAULTS)
    values = {name: os.environ[name] for name in names if name in os.environ}
    values["RAY_ADDRESS"] = cluster.address
    path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items()))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def check_port_is_free(host: str, port: int) -> None:
    """Raise `ConfigError` if somebody listens on the port already; Serve would only say so in a log."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"http_options.port: {host}:{port} cannot be used ({error.strerror}). "
                "Stop the program that listens there, or choose another port with --port."
            ) from error


def _needed_cpus(config: ConfigFile) -> int:
    """Ray's CPUs are counters, not cores; a small machine may still hold every configured replica."""
    native = config.args.native_models
    models = sum(model.resources.num_cpus * model.autoscaling.max_replicas for model in native)
    transforms = config.args.transforms
    queued = transforms.jobs.num_cpus * (transforms.jobs.at_once or 1)
    media = transforms.resources.num_cpus * transforms.autoscaling.max_replicas + queued
    ingress = config.args.ingress.num_cpus * config.args.ingress.num_replicas
    return int(models + media + ingress + config.args.jobs.num_cpus) + 1
