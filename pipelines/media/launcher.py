"""Becomes another program, after it has given itself limits and tied its life to its parent's.

Run as ``python -I -S launcher.py <parent's pid> <cpu_s> <memory_bytes> <file_bytes> program argument…``.
A replica has threads, and between fork and exec of such a process (``preexec_fn``) Python may hang for
ever on a lock that another thread held. So the child is a new Python, which does it and then execs.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
_GRACE_S = 1
"""Between SIGXCPU, which a program may catch, and SIGKILL."""


def confine(parent: int, cpu_s: int, memory_bytes: int, file_bytes: int) -> None:
    """Set the limits of this process, and have the kernel kill it when its parent's thread ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before we could ask for the signal
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + _GRACE_S))
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, and exec would pass that on


def main(arguments: list[str]) -> None:
    """Confine this process and become the program."""
    confine(*(int(each) for each in arguments[:4]))
    os.execv(arguments[4], arguments[4:])  # noqa: S606  # without a shell, which is what we want


if __name__ == "__main__":
    main(sys.argv[1:])
