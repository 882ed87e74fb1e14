"""The Celery application of the bench's peer: what `celery -A` starts, and what the clients use.

It is a module of its own because Celery comes with the development install only.
"""

import os
import time

from celery import Celery

BROKER = "AI_SERVER_BENCH_BROKER"
# Celery prefers these to the address it is given, and they may name somebody's real broker.
FOREIGN = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND")


def noop() -> float:
    """Give the time at which the task began, in seconds since the epoch."""
    return time.time()


def application(url: str) -> Celery:
    """Give an application that keeps its tasks and their results in the Redis at `url`."""
    for name in FOREIGN:
        os.environ.pop(name, None)
    app = Celery("bench", broker=url, backend=url, set_as_current=False)
    app.conf.update(task_serializer="json", result_serializer="json", accept_content=["json"])
    app.conf.broker_pool_limit = 64  # a connection for every client, where Celery would share 10
    app.task(noop, name="noop", shared=False, lazy=False)
    return app


if BROKER in os.environ:
    app = application(os.environ[BROKER])
