"""What a daemon has kept (docs/history.md)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from daemon.client.calls import Group, Page, W, operation, paged, path
from daemon.client.documents import Frame, Gap, PlaceEvent, TrackEvent, View, event_of, moment, plain, required
from daemon.client.server import Answer, Call

PAGE: Final = 1000
SHOTS: Final = "/shots/"

Names = Sequence[str] | None
"""One of these; None: any."""
Moment = datetime | str
"""With its zone; text as RFC 3339 has it."""


class Kept(View):
    """An event as it is kept."""

    id = required("id", str)
    type = required("type", str)
    """`track` or `place`."""
    time = required("time", moment)

    _event = required("data", plain)

    @property
    def data(self) -> Frame | TrackEvent | PlaceEvent | Gap | View:
        """As sinks got it: a TrackEvent or a PlaceEvent; a View is of a type that a later version has."""
        return event_of(self.type, self._event)


class History(Group[W]):
    """Takes a key of the role `watch`, to delete one of the role `control`.

    A filter takes events that have one of its values; an empty one is a ValueError. `types` are `track`, `place`, or
    one kind of them (`track.left`), `classes` `face` and `body`, `zones` the names of zones and lines. `since` is the
    first moment, `until` the first one after.
    """

    @paged
    def list(
        self,
        *,
        streams: Names = None,
        types: Names = None,
        classes: Names = None,
        zones: Names = None,
        since: Moment | None = None,
        until: Moment | None = None,
        limit: int | None = None,
    ) -> Call[Page[Kept]]:
        """The newest first, `limit` at most."""
        return _page(_filter(streams, types, classes, zones, since, until), limit, None)

    @operation
    def delete(
        self,
        *,
        streams: Names = None,
        types: Names = None,
        classes: Names = None,
        zones: Names = None,
        since: Moment | None = None,
        until: Moment | None = None,
        everything: bool = False,
    ) -> Call[int]:
        """Deletes events and their shots, and says how many. Without a filter it takes `everything`."""
        wanted = _filter(streams, types, classes, zones, since, until)
        where = path("history", **wanted, all="1" if everything else None)
        return Call("DELETE", where, lambda answer: int(answer.members["deleted"]), takes_long=True)

    @operation
    def shot(self, image_url: str) -> Call[bytes]:
        """The JPEG at an event's `image_url`. This daemon is asked, whatever host that names: so the key stays here.

        Raises NotFound where it has been deleted, and ValueError.
        """
        _, shots, shot = image_url.rpartition(SHOTS)
        if not shots:
            raise ValueError(f"expected the image_url of an event, got {image_url[:100]!r}")
        return Call("GET", f"{SHOTS}{shot}", lambda answer: answer.body)


def _filter(
    streams: Names,
    types: Names,
    classes: Names,
    zones: Names,
    since: Moment | None,
    until: Moment | None,
) -> dict[str, Any]:
    """As /history calls them. Raises ValueError: without a name it would find, or delete, everybody's."""
    named = {"stream": streams, "type": types, "class": classes, "zone": zones}
    for name, values in named.items():
        if values is not None and not values:
            raise ValueError(f"{name}: expected one at least, got none: leave the filter out for all")
    return named | {"from": _said(since), "to": _said(until)}


def _said(moment: Moment | None) -> str | None:
    return moment.isoformat() if isinstance(moment, datetime) else moment


def _page(wanted: dict[str, Any], limit: int | None, after: str | None) -> Call[Page[Kept]]:
    """`limit`: of this page and all behind it."""

    def read(answer: Answer) -> Page[Kept]:
        events, more = answer.members["events"], answer.members["next"]
        left = None if limit is None else limit - len(events)
        has_more = more is not None and left != 0
        return Page([Kept(one) for one in events], _page(wanted, left, more) if has_more else None)

    most = PAGE if limit is None else min(limit, PAGE)
    return Call("GET", path("history", **wanted, limit=most, after=after), read)
