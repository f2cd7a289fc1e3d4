"""Exclusive locks on files that must have one writer, and who holds them."""

import errno
import fcntl
import os
import stat
from pathlib import Path

LOCKS = Path("/proc/locks")


class Held(BlockingIOError):
    """Another process has the lock; its `strerror` says which, as far as that can be told."""


def lock(fd: int) -> None:
    """Locks the file until its descriptor is closed. Raises Held, and OSError where its disk has no locks.

    FIFOs and devices, which may have several writers, are not locked.
    """
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Held(errno.EWOULDBLOCK, f"in use by {_holder(os.fstat(fd).st_ino)}") from None


def _holder(inode: int) -> str:
    """By the kernel's own list (proc(5)), which shows the processes of our container alone."""
    try:
        locks = [line.split() for line in LOCKS.read_text().splitlines()]
    except OSError:  # not Linux
        locks = []
    for _, kind, _, _, pid, file, *_ in locks:
        if kind == "FLOCK" and file.rpartition(":")[2] == str(inode):
            return f"process {pid}"
    return "another process"
