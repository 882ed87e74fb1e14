"""The environment of a Ray cluster on this machine; Ray reads it when it is imported."""

import secrets
import sys
from collections.abc import MutableMapping
from pathlib import Path

from cluster.secrets import create_secret

RAY_DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_COLOR_PREFIX": "1" if sys.stdout.isatty() else "0",
    # A busy laptop answers the router's question late; the default of 0.1 s makes it ask again and again.
    "RAY_SERVE_QUEUE_LENGTH_RESPONSE_DEADLINE_S": "1",
    "RAY_AUTH_MODE": "token",
    # Half of what a call from process to process costs by reference.
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    # What one call may carry, a long conversation for one; 4 MB otherwise.
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(256 * 1024 * 1024),
    # Ray makes its workers give way to every other process (niceness 15); ours are what the user waits for.
    "RAY_worker_niceness": "0",
    # A queued transform finds a process of an earlier one; starting one takes Ray two seconds.
    "RAY_idle_worker_killing_time_threshold_ms": "300000",
    # A proxy that died is replaced after 4 s; with Serve's defaults nobody is answered for 30 s.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "5",
    # Despite its name it is what makes Ray use the loopback address for everything it can.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}


def prepare(environ: MutableMapping[str, str]) -> None:
    """Set what Ray reads: no usage reports, every line logged, loopback only, a token that only we can read.

    What the environment says already stays.
    """
    for name, value in RAY_DEFAULTS.items():
        environ.setdefault(name, value)
    if environ["RAY_AUTH_MODE"] == "token" and "RAY_AUTH_TOKEN" not in environ:
        # Before Ray does it, because Ray's own file is readable by everybody.
        create_secret(token_file(environ), secrets.token_hex(32))


def token_file(environ: MutableMapping[str, str]) -> Path:
    """Where Ray's command line and other drivers look for the cluster's token."""
    return Path(environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))
