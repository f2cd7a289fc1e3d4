"""`visaged find`: lists the cameras of a network, and with a login their streams."""

import asyncio
import contextlib
import dataclasses
import resource
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from daemon.commands.output import print_json, print_table
from daemon.errors import ConfigError, SourceError
from daemon.sources.discovery import GROUP, Camera, Discovered, discover, interfaces
from daemon.sources.onvif import Profile, profiles
from daemon.sources.url import HOST

WITHIN_S = 30.0  # for all questions to one camera; reading ONVIF's own schemas is a second or two of it
AT_ONCE = 8
MEMORY = 1 << 30
"""Bytes beyond what the process has: the library reads answers of any length into memory, and a camera may lie."""

DATA = 5  # the column of /proc/self/statm (proc(5))


class Asked(NamedTuple):
    """A camera, and what it said of its streams."""

    camera: Camera
    streams: Sequence[Profile] | None
    """None: it was not asked, or did not say."""
    error: str | None


def main(
    *, seconds: float, interface: str | None, host: str | None, username: str | None, password: str | None, json: bool
) -> int:
    """Raises ConfigError and SourceError. 1 where no camera was found, or one did not tell its streams."""
    if (username is None) != (password is None):
        raise ConfigError("expected --username and --password-file, got one of them")
    to = GROUP if host is None else _address(host)
    sys.stderr.write(f"visaged: asking {to[0]} for cameras, for {seconds:g} s\n")
    found = asyncio.run(discover(seconds, to, interface))
    for reason, count in found.refused.items():
        sys.stderr.write(f"visaged: {count} of the answers could not be taken: {reason}\n")
    asked = [Asked(camera, None, None) for camera in found.cameras]
    if username is not None and password is not None:
        with _bounded_memory():
            asked = asyncio.run(_all_asked(found, username, password))
    if json:
        print_json([_members(one) for one in asked])
    else:
        _print(asked)
    if not asked:
        sys.stderr.write(
            "visaged: no camera answered. A probe does not pass routers: name the camera network's --interface "
            f"({', '.join(interfaces())}), or a camera's --host. ONVIF may have to be switched on in the camera.\n"
        )
    return 0 if asked and all(one.error is None for one in asked) else 1


def _address(host: str) -> tuple[str, int]:
    match = HOST.fullmatch(host)
    if match is None:
        raise ConfigError(f"--host: expected HOST or HOST:PORT, got {host}")
    return (host, GROUP[1]) if match["port"] is None else (host.rpartition(":")[0], int(match["port"]))


async def _all_asked(found: Discovered, username: str, password: str) -> list[Asked]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(camera: Camera) -> Asked:
        async with turns:
            sys.stderr.write(f"visaged: asking {camera.service} for its streams\n")
            try:
                return Asked(camera, await profiles(camera.service, username, password, WITHIN_S), None)
            except SourceError as err:
                return Asked(camera, None, str(err))

    return await asyncio.gather(*map(ask, found.cameras))


@contextlib.contextmanager
def _bounded_memory() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[DATA]) * resource.getpagesize()
    most = now + MEMORY if limits[1] == resource.RLIM_INFINITY else min(now + MEMORY, limits[1])
    resource.setrlimit(resource.RLIMIT_DATA, (most, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)


def _members(asked: Asked) -> dict[str, Any]:
    streams = None if asked.streams is None else [dataclasses.asdict(one) for one in asked.streams]
    return {**dataclasses.asdict(asked.camera), "streams": streams, "error": asked.error}


def _print(asked: Sequence[Asked]) -> None:
    if not asked:
        return
    cameras = [one.camera for one in asked]
    print_table(
        [
            ("address", "name", "hardware", "service"),
            *((camera.address, camera.name or "-", camera.hardware or "-", camera.service) for camera in cameras),
        ]
    )
    for one in asked:
        for stream in one.streams or ():
            size = f"{stream.width}x{stream.height}" if stream.width else "-"
            sys.stdout.write(
                f"{one.camera.address}  {stream.name or '-'}  {stream.codec or '-'}  {size}  {stream.url}\n"
            )
        if one.error is not None:
            sys.stderr.write(f"visaged: {one.error}\n")
