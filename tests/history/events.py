"""Events for the history, as a stream makes them."""

import itertools
from typing import Any

from daemon.wire.codec import Members, encode
from daemon.wire.v2 import PLACE_SCHEMA, TRACK_SCHEMA, rfc3339
from sinks.base import About, Record, Shot, Subject

NOW = 1_800_000_000.0
NUMBERS = itertools.count()
TEMPLATE = {"_face_template_extractor_1000_12": {"blob": "AAAA", "format": "NDARRAY", "dtype": "uint8", "shape": [3]}}


def event(
    happened: str = "appeared",
    *,
    stream: str = "door",
    at: float = NOW,
    label: str = "face",
    zone: str | None = None,
    jpeg: bytes | None = None,
    event_id: str | None = None,
    **members: Any,
) -> Record:
    """Of a zone or a line where one is named, else of a track."""
    schema = TRACK_SCHEMA if zone is None else PLACE_SCHEMA
    zones = frozenset(() if zone is None else (zone,))
    return Record(
        stream,
        encode(document(happened, stream, at, zone, {"class": label, **members})),
        (("ce_id", (event_id or f"e{next(NUMBERS)}").encode()),),
        at,
        about=About(schema.id, happened, (Subject(label, zones=zones),)),
        shot=None if jpeg is None else Shot(jpeg),
        durable=True,
    )


def document(happened: str, stream: str, at: float, zone: str | None, obj: Members) -> Members:
    time = rfc3339(at)
    place: Members = {}
    if zone is not None and happened == "crossed":
        place = {"line": {"name": zone, "direction": "in", "crossed_at": time}}
    elif zone is not None:
        place = {"zone": {"name": zone, "entered_at": time}}
    seen = {"first_seen": time, "last_seen": time, "frames": 1, "best_shot": {"frame": 0, "captured_at": time}}
    info = {"id": stream, "run": "r", "frame": 0, "pts": 0.0, "captured_at": time, "width": 640, "height": 360}
    return {"event": happened, **place, "track": {"id": "t", **seen}, "object": obj, "stream": info}
