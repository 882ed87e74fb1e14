"""A real PostgreSQL for tests, from the system's packages (``apt-get install postgresql``)."""

import os
import pwd
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

import psutil

PACKAGES = Path("/usr/lib/postgresql")
SYSTEM_USER = "postgres"
START_LIMIT_S = 60


class PostgresMissing(Exception):
    """This machine has no PostgreSQL server."""


class _RunAs(TypedDict, total=False):
    user: str
    group: str
    extra_groups: list[str]


class PostgresServer:
    """A server on 127.0.0.1 with its own data; may be stopped, started, frozen as often as a test likes."""

    def __init__(self, folder: Path) -> None:
        """Make the data in an empty folder that any user can reach, because root may not run a server."""
        self._programs = _newest_programs()
        self._folder = folder
        self._run_as = _run_as()
        self._frozen: list[psutil.Process] = []
        if owner := self._run_as.get("user"):
            os.chown(folder, pwd.getpwnam(owner).pw_uid, pwd.getpwnam(owner).pw_gid)
        self._call(
            "initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"
        )
        self.port = _free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start on the same data and port as before; returns when it answers."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "''",
            "fsync": "off",
            "shared_buffers": "32MB",
            "max_connections": 100,
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        log = self._folder / "server.log"
        self._call(
            "pg_ctl", "start", "--wait", f"--timeout={START_LIMIT_S}", f"--log={log}", f"--options={options}"
        )

    def stop(self) -> None:
        """Stop at once; its clients' connections break."""
        self.resume()
        self._call("pg_ctl", "stop", "--wait", "--mode=fast", f"--timeout={START_LIMIT_S}")

    def pause(self) -> None:
        """Freeze: connections stay open, and nobody answers."""
        server = psutil.Process(self._process_id())
        server.suspend()
        self._frozen = [server, *server.children(recursive=True)]
        for process in self._frozen[1:]:
            process.suspend()

    def resume(self) -> None:
        """Go on after `pause`."""
        for process in self._frozen:
            process.resume()
        self._frozen = []

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return (self._folder / "postmaster.pid").exists()

    def _process_id(self) -> int:
        return int((self._folder / "postmaster.pid").read_text().splitlines()[0])

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), f"--pgdata={self._folder}", *arguments]
        # A server that inherits our pipes would keep them open: what goes wrong is written to a file.
        with (self._folder.parent / f"{self._folder.name}.{program}").open("w+") as output:
            done = subprocess.run(
                command, stdout=output, stderr=output, cwd=self._folder, check=False, **self._run_as
            )
            output.seek(0)
            if done.returncode:
                raise RuntimeError(f"{program} failed: {output.read()}")
        Path(output.name).unlink()


@contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    """Run a server whose data lies in an empty folder; its `url` is what a `Database` takes.

    Raises:
        PostgresMissing: this machine has none.
    """
    server = PostgresServer(folder)
    server.start()
    try:
        yield server
    finally:
        if server.is_running:
            server.stop()


def _newest_programs() -> Path:
    versions = [path for path in PACKAGES.glob("*/bin") if (path / "initdb").exists()]
    if not versions:
        raise PostgresMissing(f"no PostgreSQL in {PACKAGES}: apt-get install postgresql")
    return max(versions, key=lambda path: int(path.parent.name))


def _run_as() -> _RunAs:
    if os.geteuid() != 0:
        return {}
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError as error:
        raise PostgresMissing(f"root may not run PostgreSQL, and there is no user {SYSTEM_USER}") from error
    return {"user": SYSTEM_USER, "group": SYSTEM_USER, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
