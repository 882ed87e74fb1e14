"""The supervisor, with small scripts in the place of the server."""

import itertools
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deployments.cli.supervisor import (
    CLUSTER_LOST,
    CONFIG_ERROR,
    MAX_FAILED_STARTS,
    Family,
    Link,
    Supervisor,
    is_alive,
)

CHILD = """
import os, signal, sys
from deployments.cli.supervisor import Link, block_stop_signals
link = Link.of_child(os.environ)
assert "AI_SERVER_SUPERVISOR_FD" not in os.environ
with open(sys.argv[1], "a") as file:
    run = file.tell()
    file.write("x")
def stopped(*_):
    sys.exit(0)
signal.signal(signal.SIGINT, stopped)
signal.signal(signal.SIGTERM, stopped)
block_stop_signals(signal.SIG_UNBLOCK)
"""
"""Counts its runs in a file; `run` is how many there were before."""

SERVE = "link.say_ready(); signal.pause()"


class Trial:
    """A supervisor over one script, and what it did."""

    def __init__(self, folder: Path, script: str, clock_step_s: int = 0) -> None:
        self.file = folder / "runs"
        self.said: list[str] = []
        self.pauses: list[float] = []
        self.command = [sys.executable, "-c", CHILD + script, str(self.file)]
        self.supervisor = Supervisor(
            self.command,
            self.said.append,
            port_is_free=lambda: True,
            clock=itertools.count(0, clock_step_s).__next__,
            pause=self.pauses.append,
        )

    @property
    def runs(self) -> int:
        return len(self.file.read_text())


def test_a_server_that_dies_is_started_again_with_the_reason(tmp_path: Path) -> None:
    trial = Trial(
        tmp_path,
        f"""
link.say_ready()
if run == 0: os.kill(os.getpid(), signal.SIGKILL)
if run == 1: os._exit({CLUSTER_LOST})
if run == 2: sys.exit(0)
sys.exit({CONFIG_ERROR})
""",
    )
    assert trial.supervisor.run() == CONFIG_ERROR
    assert trial.runs == 4
    assert [line.partition(". Starting")[0] for line in trial.said] == [
        "The server has ended: killed by SIGKILL",
        "The server has ended: its Ray cluster died",
        "The server has ended: exit code 0",
    ]


def test_the_pauses_grow_to_a_limit(tmp_path: Path) -> None:
    trial = Trial(tmp_path, f"link.say_ready(); sys.exit(1 if run < 7 else {CONFIG_ERROR})")
    assert trial.supervisor.run() == CONFIG_ERROR
    assert trial.pauses == [1, 2, 4, 8, 16, 30, 30]


def test_a_good_run_makes_the_next_pause_short_again(tmp_path: Path) -> None:
    script = f"if run == 2: link.say_ready()\nsys.exit(1 if run < 4 else {CONFIG_ERROR})"
    trial = Trial(tmp_path, "if run == 0: link.say_ready()\n" + script, clock_step_s=100)
    assert trial.supervisor.run() == CONFIG_ERROR
    assert trial.pauses == [1, 2, 1, 2]


def test_a_server_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "sys.exit(7)")
    assert trial.supervisor.run() == 1
    assert trial.runs == MAX_FAILED_STARTS
    assert trial.said[-1] == "The server failed 3 times before it was ready (exit code 7)."


def test_a_server_that_was_ready_once_is_never_given_up(tmp_path: Path) -> None:
    trial = Trial(tmp_path, f"if run == 0: link.say_ready()\nsys.exit(1 if run < 5 else {CONFIG_ERROR})")
    assert trial.supervisor.run() == CONFIG_ERROR
    assert trial.runs == 6


def test_a_configuration_error_is_passed_on_at_once(tmp_path: Path) -> None:
    trial = Trial(tmp_path, f"sys.exit({CONFIG_ERROR})")
    assert trial.supervisor.run() == CONFIG_ERROR
    assert trial.said == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_child_in_order(tmp_path: Path, number: signal.Signals) -> None:
    trial = Trial(tmp_path, f"os.kill(os.getppid(), {int(number)}); {SERVE}")
    before = signal.getsignal(number)
    assert trial.supervisor.run() == 0
    assert trial.runs == 1
    assert trial.said == []
    assert signal.getsignal(number) is before


def test_the_exit_code_of_a_stopped_child_is_passed_on(tmp_path: Path) -> None:
    trial = Trial(tmp_path, f"stopped = lambda *_: os._exit(5)\nsignal.signal(signal.SIGINT, stopped)\n"
                            f"os.kill(os.getppid(), signal.SIGINT); {SERVE}")  # fmt: skip
    assert trial.supervisor.run() == 5


def test_a_child_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    script = "signal.signal(signal.SIGINT, lambda *_: None)\nos.kill(os.getppid(), signal.SIGINT)\n"
    trial = Trial(tmp_path, script + "while True: signal.pause()", clock_step_s=100)
    assert trial.supervisor.run() == 128 + signal.SIGKILL


def test_ctrl_c_ends_the_pause(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "sys.exit(1)")

    def press_ctrl_c(_: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    assert Supervisor(trial.command, press_ctrl_c, port_is_free=lambda: True).run() == 0
    assert trial.runs == 1


def test_a_restart_waits_for_the_port(tmp_path: Path) -> None:
    trial = Trial(tmp_path, f"sys.exit({CONFIG_ERROR} if run else 1)")
    answers = iter([False, False, True])
    supervisor = Supervisor(trial.command, trial.said.append, answers.__next__, pause=trial.pauses.append)
    assert supervisor.run() == CONFIG_ERROR
    assert next(answers, None) is None


def test_the_orphans_of_a_dead_child_are_found_and_ended() -> None:
    family = Family(others=psutil.Process().children())
    parent = subprocess.Popen(
        ["sh", "-c", "setsid sleep 600 >&- & echo $!; wait"], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        orphan = psutil.Process(int(parent.stdout.readline()))
        family.remember()
        parent.kill()
    assert is_alive(orphan)
    assert family.end() == []
    assert not is_alive(orphan)


def test_children_that_were_there_before_are_left_alone() -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        assert Family(others=psutil.Process().children()).end() == []
        assert stranger.poll() is None
        stranger.kill()


def test_a_child_sees_the_death_of_its_supervisor() -> None:
    supervisor, child = socket.socketpair()
    with child:
        link = Link(child)
        assert not link.is_cut()
        supervisor.close()
        link.say_ready()
        assert link.is_cut()


def test_a_process_without_a_supervisor_has_no_link() -> None:
    assert Link.of_child({}) is None
