"""Forks a confined child for each media file that is to be read; run by path, so it imports PyAV alone.

Python and PyAV take a tenth of a second to start, a fork takes a millisecond. This process itself never
looks into a file. It is kept by `pipelines.media.reader`, and ends when that hangs up, as the kernel does
for the dead.

Arguments: the folder of PyAV's package, the decoders that may be used, and the limits of
`launcher.confine`. Standard input is a socket: each order on it is a demuxer's name, how many pixels of a
frame and how many streams there may be, with the file and the connection on which the answer goes back.
Who closes the other end of that ends the child.
"""

import importlib
import os
import selectors
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

ORDER_BYTES = 128
_FILE, _FIRST_UNUSED, _MAX_DESCRIPTORS = 3, 4, 65_536


class Server:
    """Takes orders until the other end is closed."""

    def __init__(self, decoders: str, limits: list[int]) -> None:
        """Load what the children need."""
        self._confine = importlib.import_module("launcher").confine
        self._answer = importlib.import_module("reading_child").answer
        self._decoders = decoders
        self._limits = limits
        self._pid = os.getpid()
        self._children: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()

    def serve(self, orders: socket.socket) -> None:
        """Fork for each order."""
        woken, waker = socket.socketpair()
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(orders, selectors.EVENT_READ)
        self._selector.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is woken:
                    woken.recv(4096)
                    self._reap()
                elif key.fileobj is not orders:
                    self._end(key.data)
                elif not self._take(orders):
                    return

    def _take(self, orders: socket.socket) -> bool:
        order, descriptors, _, _ = socket.recv_fds(orders, ORDER_BYTES, 2)
        if not order:
            return False
        file, connection = descriptors[0], socket.socket(fileno=descriptors[1])
        pid = os.fork()
        if pid == 0:
            self._read(order.decode().split(), file, connection)
        os.close(file)
        self._children[pid] = connection
        self._selector.register(connection, selectors.EVENT_READ, pid)
        return True

    def _read(self, order: list[str], file: int, connection: socket.socket) -> NoReturn:
        """Be the child."""
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(connection.fileno(), 1)
            os.dup2(file, _FILE)
            os.closerange(_FIRST_UNUSED, _MAX_DESCRIPTORS)  # of other files and answers, too
            self._confine(self._pid, *self._limits)
            demuxer, *bounds = order
            os.write(1, self._answer(str(_FILE), demuxer, self._decoders, *map(int, bounds)))
            os._exit(0)
        finally:
            os._exit(1)

    def _end(self, pid: int) -> None:
        """End a child whose answer nobody awaits any more."""
        if pid not in self._children:  # it has just ended
            return
        self._selector.unregister(self._children[pid])
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:  # it has not made its group yet
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Hang up on those whose child has ended."""
        while self._children:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            connection = self._children.pop(pid)
            if connection in self._selector.get_map():
                self._selector.unregister(connection)
            connection.close()


def main() -> None:
    """Serve."""
    folder, decoders, *limits = sys.argv[1:]
    sys.path += [folder, str(Path(__file__).parent)]
    with socket.socket(fileno=0) as orders:
        Server(decoders, [int(each) for each in limits]).serve(orders)


if __name__ == "__main__":
    main()
