"""Events for the history, as a stream makes them."""

import itertools
from typing import Any

from daemon.wire.codec import encode
from daemon.wire.v2 import PLACE_SCHEMA, TRACK_SCHEMA
from sinks.base import About, Record, Shot, Subject

NOW = 1_800_000_000.0
NUMBERS = itertools.count()
TEMPLATE = {"_face_template_extractor_1000_12": {"blob": "AAAA"}}


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
    """Of a zone where one is named, else of a track."""
    schema = TRACK_SCHEMA if zone is None else PLACE_SCHEMA
    value = {"event": happened, "object": {"class": label, **members}, "stream": {"id": stream}}
    zones = frozenset(() if zone is None else (zone,))
    return Record(
        stream,
        encode(value),
        (("ce_id", (event_id or f"e{next(NUMBERS)}").encode()),),
        at,
        about=About(schema[0], happened, (Subject(label, zones=zones),)),
        shot=None if jpeg is None else Shot(jpeg),
        durable=True,
    )
