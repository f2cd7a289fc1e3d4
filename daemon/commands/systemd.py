"""What systemd is told of its service (sd_notify(3), Type=notify). Where it has not started us nothing is sent."""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)


class Systemd:
    """The service manager, as the environment of a process names it. Belongs to the event loop's thread."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._socket = _connected(environ.get("NOTIFY_SOCKET", ""))
        self._watchdog_s = _watchdog_s(environ)

    def ready(self, status: str) -> None:
        """The start, or a reload, is done. `status` is what `systemctl status` shows: one line."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """By the time `systemctl reload` knows that this is the reload it has asked for (Type=notify-reload)."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, seconds: float) -> None:
        """It may take this long, also where the unit's TimeoutStopSec is shorter."""
        self._send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={seconds * 1e6:.0f}")

    async def feed_watchdog(self) -> None:
        """Tells that the event loop turns, twice in the time after which systemd ends the process; until cancelled."""
        while self._watchdog_s is not None:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_s / 2)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *assignments: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send("\n".join(assignments).encode())
        except OSError as err:
            log.warning("systemd could not be told %s: %s", assignments[0], err.strerror)


def _connected(address: str) -> socket.socket | None:
    """`address`: a path, or the name of an abstract socket behind an @."""
    if not address:
        return None
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagrams.setblocking(False)
    try:
        datagrams.connect(f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError as err:
        datagrams.close()
        log.warning("systemd is not told of this service: NOTIFY_SOCKET=%s: %s", address, err.strerror)
        return None
    return datagrams


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """None where no watchdog waits for this process; its parent's variables are not for it."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    with contextlib.suppress(ValueError):
        return int(environ.get("WATCHDOG_USEC", "")) / 1e6 or None
    return None
