"""Asks a daemon over HTTP: its services, its streams, what they see and what it has kept (docs/client.md).

What is asked and what an answer means is said once, without any I/O (calls.py, and a module for each kind of thing).
Client sends it by the standard library and blocks; AsyncClient sends it by aiohttp.
"""

from typing import TYPE_CHECKING, Any

from daemon.client.blocking import Client
from daemon.client.documents import Frame, Gap, Object, PlaceEvent, Sample, TrackEvent, Verification
from daemon.client.events import Event
from daemon.client.history import Kept
from daemon.client.streams import Check, Snapshot, Stream
from daemon.errors import NoAnswer, NotFound, RequestFailed, RequestRefused, UnexpectedAnswer

if TYPE_CHECKING:
    from daemon.client.asynchronous import AsyncClient

__all__ = [
    "AsyncClient",
    "Check",
    "Client",
    "Event",
    "Frame",
    "Gap",
    "Kept",
    "NoAnswer",
    "NotFound",
    "Object",
    "PlaceEvent",
    "RequestFailed",
    "RequestRefused",
    "Sample",
    "Snapshot",
    "Stream",
    "TrackEvent",
    "UnexpectedAnswer",
    "Verification",
]


def __getattr__(name: str) -> Any:
    """AsyncClient is imported when it is asked for: who blocks does not wait for aiohttp."""
    if name != "AsyncClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from daemon.client.asynchronous import AsyncClient

    return AsyncClient
