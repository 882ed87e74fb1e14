"""What runs inside the Ray task of a queued transform, in processes of its own: it changes and ends them."""

import os
import subprocess
import sys

import pytest

POLITE = """
import os
from deployments.transform_task import give_way

os.setpriority(os.PRIO_PROCESS, 0, {before})
if os.getuid() == 0:
    os.setuid(65_534)  # root may do anything
give_way()
print(os.getpriority(os.PRIO_PROCESS, 0))
"""

STUCK = """
import asyncio
from deployments import transform_task
from deployments.task_server import ReplicaStalled

class Stuck:
    begun = stopped = False

    async def run(self, *_):
        self.begun = True
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.stopped = True

    async def check_health(self):
        if self.stopped:
            raise ReplicaStalled("it does not stop")

async def main():
    server = Stuck()
    run = asyncio.create_task(transform_task._run(server, "scale-video", None, None))
    while not server.begun:
        await asyncio.sleep(0)
    run.cancel()
    await run

asyncio.run(main())
"""


def ran(script: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(("before", "after"), [(0, 10), (15, 15)])
def test_it_gives_way_and_never_asks_for_more_than_it_has(before: int, after: int) -> None:
    """Ray's own workers begin at 15, and who is not root may not go back."""
    if os.getpriority(os.PRIO_PROCESS, 0) > before:
        pytest.skip("the tests themselves have to give way")
    done = ran(POLITE.format(before=before))
    assert done.stdout.strip() == str(after), done.stderr


def test_a_run_that_does_not_stop_when_it_is_cancelled_ends_with_its_process() -> None:
    done = ran(STUCK)
    assert done.returncode == 1
    assert "it does not stop" in done.stderr
    assert "Traceback" not in done.stderr
