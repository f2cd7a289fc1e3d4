"""Streams: seen, added, changed, removed and checked (docs/control.md), and their last picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal

from daemon.client.calls import Group, Page, W, operation, paged, path
from daemon.client.documents import View, member, moment, plain, required
from daemon.client.server import Answer, Call
from daemon.wire.codec import Members, encode

PAGE: Final = 1000
MERGE_PATCH: Final = "application/merge-patch+json"
CAPTURED_AT: Final = "x-captured-at"


@dataclass(frozen=True, repr=False)
class Stream(View):
    """What is wanted of a stream, and what runs."""

    etag: str | None = field(default=None, compare=False)
    """Names the settings, for changes of these alone; None in a list."""

    id = required("id", str)
    origin = required("origin", str)
    """`file` or `run-time`."""
    settings = required("settings", plain)
    """As they were sent, without what is secret."""
    state = required("state", str)
    error = member("error", str)
    status = member("status", plain)
    """Its row of /status; None in a list."""


class Check(View):
    """What a camera sends, or why nothing comes. None is what is not known."""

    ok = required("ok", bool)
    reason = member("reason", str)
    codec = member("codec", str)
    width = member("width", int)
    """Pixels."""
    height = member("height", int)
    """Pixels."""
    fps = member("fps", float)
    keyframe_interval = member("keyframe_interval", float)
    """Seconds."""
    by = member("from", str)
    """`stream`: by what one that runs has seen; `connection`: by one of its own."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The last picture of a stream that was looked at."""

    jpeg: bytes = field(repr=False)
    captured_at: datetime


class Streams(Group[W]):
    """Takes a key of the role `control`; a snapshot the role `watch`."""

    @paged
    def list(self, *, states: Sequence[str] = (), labels: Sequence[str] = ()) -> Call[Page[Stream]]:
        """All by id: in one of these states, with all of these labels (NAME=VALUE, or NAME for any value)."""
        return _page(states, labels, after="")

    @operation
    def get(self, stream: str) -> Call[Stream]:
        """Raises NotFound."""
        return Call("GET", path("streams", stream), _stream)

    @operation
    def set(
        self, stream: str, settings: Mapping[str, Any], *, new: bool = False, etag: str | None = None
    ) -> Call[Stream]:
        """Adds it, or gives it these settings in the place of all that it has; `new`: adds it, or is refused (412).

        With an `etag` it is refused where the settings are others meanwhile (412).
        """
        conditions = _conditions(etag) | ({"If-None-Match": "*"} if new else {})
        return Call("PUT", path("streams", stream), _stream, partial(encode, settings), conditions)

    @operation
    def patch(self, stream: str, changes: Mapping[str, Any], *, etag: str | None = None) -> Call[Stream]:
        """Changes some settings; None takes a key away. Raises NotFound."""
        headers = _conditions(etag) | {"Content-Type": MERGE_PATCH}
        return Call("PATCH", path("streams", stream), _stream, partial(encode, changes), headers)

    @operation
    def remove(self, stream: str, *, etag: str | None = None) -> Call[None]:
        """Raises NotFound."""
        return Call("DELETE", path("streams", stream), lambda _: None, headers=_conditions(etag))

    @operation
    def pause(self, stream: str, *, etag: str | None = None) -> Call[Stream]:
        """Leaves its source alone. Raises NotFound."""
        return _act(stream, "pause", etag)

    @operation
    def resume(self, stream: str, *, etag: str | None = None) -> Call[Stream]:
        """Connects its source again. Raises NotFound."""
        return _act(stream, "resume", etag)

    @operation
    def restart(self, stream: str) -> Call[Stream]:
        """Connects its source anew. Raises NotFound."""
        return _act(stream, "restart", None)

    @operation
    def check(self, stream: str | Mapping[str, Any]) -> Call[Check]:
        """What the camera of a stream sends: by its id, or by the settings of one that is not there."""
        if isinstance(stream, str):
            return Call("POST", path("streams", stream, "check"), _checked)
        return Call("POST", path("check"), _checked, partial(encode, stream))

    @operation
    def snapshot(self, stream: str, *, width: int | None = None, draw: bool = False) -> Call[Snapshot]:
        """`width`: pixels at most; `draw`: with what was found on it.

        Raises NotFound, and RequestRefused (503) while no frame has been looked at.
        """
        flag: Literal["1"] | None = "1" if draw else None
        return Call("GET", path("streams", stream, "snapshot.jpg", width=width, draw=flag), _snapshot)


def _page(states: Sequence[str], labels: Sequence[str], after: str) -> Call[Page[Stream]]:
    def read(answer: Answer) -> Page[Stream]:
        found, more = answer.members["streams"], answer.members["next"]
        return Page([Stream(one) for one in found], None if more is None else _page(states, labels, more))

    return Call("GET", path("streams", state=states, label=labels, limit=PAGE, after=after), read)


def _act(stream: str, action: str, etag: str | None) -> Call[Stream]:
    return Call("POST", path("streams", stream, action), _stream, headers=_conditions(etag))


def _conditions(etag: str | None) -> Members:
    return {} if etag is None else {"If-Match": etag}


def _stream(answer: Answer) -> Stream:
    return Stream(answer.members, answer.headers.get("etag"))


def _checked(answer: Answer) -> Check:
    return Check(answer.members)


def _snapshot(answer: Answer) -> Snapshot:
    return Snapshot(answer.body, moment(answer.headers[CAPTURED_AT]))
