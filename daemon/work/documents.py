"""The records of a stream: a v2 document a frame, and events of its tracks, with headers that say what each is."""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import cv2

from daemon.flow.spans import SPAN
from daemon.pictures.hide import may_leave, public, public_crop
from daemon.wire.attributes import attributes_of
from daemon.wire.cloudevents import cloud_event
from daemon.wire.codec import Members
from daemon.wire.headers import CloudEvent, encoded
from daemon.wire.trace import trace_headers
from daemon.wire.v2 import (
    FRAME_SCHEMA,
    PLACE_SCHEMA,
    TRACK_SCHEMA,
    Schema,
    StreamInfo,
    event_document,
    frame_objects,
    rfc3339,
    stream_document,
    without_templates,
)
from processors.types import Frame, Image, Sample
from sinks.base import WITHOUT_PICTURES, About, Header, Record, Shot, Subject
from sinks.selection import Selection

OF_A_PATH = "/:@!$&'()*+,;="  # what a URI's path has as it is, beside letters, digits and -._~ (RFC 3986)
Pictures = Literal["none", "crops", "full"]
ShotUrl = Callable[[str], str]
"""Where a shot of this id is kept."""


class Documents:
    """Makes one stream's records; called in the engine's workers."""

    def __init__(self, stream: str, emits: Set[type], pictures: Pictures = "none", topic: str | None = None) -> None:
        self._stream = stream
        self._emits = emits
        self._pictures = pictures
        self._topic = topic

    def __call__(self, sample: Sample, run: str) -> Record:
        frame = sample.frame
        info = stream_info(frame, self._stream, run)
        objects = frame_objects(sample, self._emits)
        bare = stream_document(sample, objects, info)
        value, withheld = bare, self._pictures != "none" and not may_leave(sample)
        if withheld:
            pass
        elif self._pictures == "full":
            value = stream_document(sample, objects, info, picture=jpeg(public(sample)))
        elif self._pictures == "crops" and sample.objects:
            crops = [jpeg(crop) for obj in sample.objects if (crop := public_crop(sample, obj.box_xyxy)) is not None]
            value = stream_document(sample, objects, info, crops=crops)
        said = headers(self._stream, FRAME_SCHEMA, frame.id or f"{run}-{frame.index}", frame.captured_at, frame.trace)
        return Record(
            key=self._stream,
            value=value,
            headers=(*said, WITHOUT_PICTURES) if withheld else said,
            timestamp=frame.captured_at,
            smaller=None if value is bare else bare,
            topic=self._topic,
            about=about_frame(objects),
        )


class EventPictures:
    """What becomes of the pictures of a stream's events."""

    def __init__(self, shot_url: ShotUrl | None = None, *, image: bool = True, image_url: bool = False) -> None:
        """`shot_url`: of where they are kept; None: they are not. `image`: events of tracks have them.

        `image_url`: events have the URL of where they are kept.
        """
        self.image = image
        self._shot_url = shot_url
        self._image_url = image_url

    def shot(self, crop: bytes | None) -> Shot | None:
        return None if crop is None or self._shot_url is None else Shot(crop)

    def url(self, shot: Shot | None) -> str | None:
        return self._shot_url(shot.id) if shot is not None and self._shot_url is not None and self._image_url else None


class _EventRecords:
    """Makes the records of one kind of a stream's events; called in the engine's workers."""

    schema: ClassVar[Schema]
    brings_picture: ClassVar[bool]
    """Whether its picture may be in the event itself."""

    def __init__(self, stream: str, topic: str, pictures: EventPictures) -> None:
        self._stream = stream
        self._topic = topic
        self._pictures = pictures

    def __call__(self, event: Mapping[str, Any], event_id: str, at: float, crop: bytes | None = None) -> Record:
        """`at` in Unix seconds; `crop`: the picture of its track as JPEG."""
        shot = self._pictures.shot(crop)
        url = self._pictures.url(shot)
        bare = event_document(event, image_url=url)
        with_picture = crop is not None and self.brings_picture and self._pictures.image
        value = event_document(event, crop, url) if with_picture else bare
        return Record(
            key=self._stream,
            value=value,
            headers=headers(self._stream, self.schema, event_id, at),
            timestamp=at,
            smaller=None if value is bare else bare,
            topic=self._topic,
            durable=True,
            about=about_event(self.schema, event),
            shot=shot,
        )


class TrackEvents(_EventRecords):
    schema = TRACK_SCHEMA
    brings_picture = True


class PlaceEvents(_EventRecords):
    """Of zones and lines. The picture is their track's, whose own events bring it."""

    schema = PLACE_SCHEMA
    brings_picture = False


def stream_info(frame: Frame, stream: str, run: str) -> StreamInfo:
    return StreamInfo(
        id=stream,
        run=run,
        frame=frame.index,
        pts=frame.pts,
        captured_at=frame.captured_at,
        width=frame.width,
        height=frame.height,
    )


def about_frame(objects: Iterable[Members]) -> About:
    """What a document says, by its objects as they are written."""
    return About(FRAME_SCHEMA.id, objects=tuple(map(_subject, objects)))


def about_event(schema: Schema, event: Mapping[str, Any]) -> About:
    """What an event says; an event of a zone or a line is in that one alone, wherever else its object may be."""
    subject = _subject(event["object"])
    if place := event.get("zone") or event.get("line"):
        subject = replace(subject, zones=frozenset({place["name"]}))
    return About(schema.id, event["event"], (subject,))


def _subject(obj: Members) -> Subject:
    return Subject(obj["class"], obj.get("confidence"), frozenset(obj.get("zones", ())), attributes_of(obj))


def form_of(selection: Selection) -> Callable[[Record], Record] | None:
    """Makes of a record what may leave by a sink; None: all of it may."""
    left_out = {"template", "_image"}.difference(selection.include)

    def form(record: Record) -> Record:
        if "_image" in left_out and record.smaller is not None:
            record = replace(record, value=record.smaller, smaller=None)
        if "template" in left_out and not record.tombstone:
            smaller = None if record.smaller is None else without_templates(record.smaller)
            record = replace(record, value=without_templates(record.value), smaller=smaller)
        if selection.as_cloud_events:
            smaller = None if record.smaller is None else cloud_event(record.headers, record.smaller)
            record = replace(record, value=cloud_event(record.headers, record.value), smaller=smaller)
        return record

    return form if left_out or selection.as_cloud_events else None


def headers(
    stream: str, schema: Schema, event_id: str, at: float, trace: tuple[str, str] | None = None
) -> tuple[Header, ...]:
    """`at` in Unix seconds; `trace`: the traceparent and tracestate of what the record is made from.

    Where a trace is kept of the frame the record is a part of that.
    """
    span = SPAN.get()
    about: CloudEvent = {
        "content-type": "application/json",
        "schema_id": schema.id,
        "schema_version": schema.version,
        "ce_specversion": "1.0",
        "ce_type": schema.id,
        "ce_source": f"/streams/{quote(stream, safe=OF_A_PATH)}",
        "ce_id": event_id,
        "ce_time": rfc3339(at),
        "ce_dataschema": schema.urn,
    }
    return (*encoded(about), *(trace_headers(trace) if span is None else span.root.context.headers))


def jpeg(image: Image) -> bytes:
    _, encoded = cv2.imencode(".jpg", image)
    return encoded.tobytes()
