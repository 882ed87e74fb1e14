"""What runs inside the Ray task of a queued transform."""

import asyncio
import logging
import os
from typing import Any

from configs.schema import ServerConfig
from configs.settings import Settings
from deployments.log_lines import log_to_stdout
from deployments.runs import RunInfo
from deployments.task_server import ReplicaError, ReplicaStalled
from deployments.transform_server import TransformServer
from pipelines.tasks.base import TaskRequest, TaskResult

logger = logging.getLogger("ai_server.jobs")

NICENESS = 10
"""Who waits at the other end of a line comes first: a model, and a transform that answers at once."""
_TICK_S = 0.1
"""Ray interrupts a task between two steps of its main thread, so that must not sleep for longer."""


def run_transform(
    config: ServerConfig, settings: Settings, task: str, request: TaskRequest[Any], info: RunInfo
) -> TaskResult | ReplicaError:
    """Do the work in a process of its own and give its result, or the error that it raised on purpose.

    ``ray.cancel`` arrives as an interrupt, of which asyncio makes a cancelled task: the run is told to
    stop, and has ended with all that it started when this returns.
    """
    log_to_stdout("ai_server.jobs", "%(asctime)s %(levelname)s %(message)s")
    give_way()
    return asyncio.run(_run(TransformServer(config, settings), task, request, info))


def give_way() -> None:
    """Let others come first; a worker of Ray that has more patience already may not have less."""
    if os.getpriority(os.PRIO_PROCESS, 0) < NICENESS:
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)


async def _run(
    server: TransformServer, task: str, request: TaskRequest[Any], info: RunInfo
) -> TaskResult | ReplicaError:
    run = asyncio.create_task(server.run(task, request, info))
    try:
        await _watched(run, server, task)
    except asyncio.CancelledError:
        run.cancel()
        await _watched(run, server, task)  # to stop may take forever, too
        raise
    return run.result()


async def _watched(run: asyncio.Task[Any], server: TransformServer, task: str) -> None:
    """Wait for the run's end; one that stands still ends with its process."""
    while not run.done():
        await asyncio.wait([run], timeout=_TICK_S)
        try:
            await server.check_health()
        except ReplicaStalled as error:
            logger.error("%s: %s; its process ends", task, error)  # noqa: TRY400  # the trace says no more
            os._exit(1)  # a thread cannot be ended otherwise
