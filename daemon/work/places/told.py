"""What an event says of a zone or a line."""

from daemon.wire.v2 import PlaceChange, PlaceReason, Reason, rfc3339
from daemon.wire.v2 import Visit as VisitMembers
from daemon.work.places.whereabouts import Change, Crossed, Entered, Left, Loitered, Visit


def told(change: Change, seen_at: float, reason: Reason) -> PlaceChange:
    """`seen_at`: when its track was last seen. `reason`: why the track has ended; where it has not, nothing."""
    match change:
        case Entered(visit):
            return {"event": "entered", "zone": {"name": visit.zone.name, "entered_at": rfc3339(visit.entered_at)}}
        case Loitered(visit, at):
            return {"event": "loitering", "zone": _after(visit, at)}
        case Left(visit, ended):
            left_at = seen_at if visit.left_at is None else visit.left_at
            zone: VisitMembers = {**_after(visit, left_at), "left_at": rfc3339(left_at)}
            return {"event": "left", "reason": PlaceReason(reason) if ended else PlaceReason.OUTSIDE, "zone": zone}
        case Crossed(_, line, direction, at):
            return {
                "event": "crossed",
                "line": {"name": line.name, "direction": direction, "crossed_at": rfc3339(at)},
            }


def _after(visit: Visit, until: float) -> VisitMembers:
    """To the microsecond, as times are. A clock that was set back has no negative dwell time."""
    dwell = round(max(until - visit.entered_at, 0.0), 6)
    return {"name": visit.zone.name, "entered_at": rfc3339(visit.entered_at), "dwell": dwell}
