"""The record of a frame: a v2 document, with headers that say what it is without parsing it."""

import os
from collections.abc import Set
from typing import Literal

import cv2

from daemon.wire.v2 import SCHEMA_ID, SCHEMA_VERSION, StreamInfo, stream_document
from processors.types import Image, Sample
from sinks.base import Record

CONTENT_TYPE = "application/json"
EVENT_TYPE = "visaged.frame"


class Documents:
    """Makes one stream's records; called in the engine's workers."""

    def __init__(self, stream: str, emits: Set[type], image: Literal["none", "full"]) -> None:
        self._stream = stream
        self._emits = emits
        self._image = image
        self._headers = (
            ("content-type", CONTENT_TYPE.encode()),
            ("schema_id", SCHEMA_ID.encode()),
            ("schema_version", SCHEMA_VERSION.encode()),
            ("ce_specversion", b"1.0"),
            ("ce_type", EVENT_TYPE.encode()),
            ("ce_source", f"/streams/{stream}".encode()),
        )

    def __call__(self, sample: Sample, run: str) -> Record:
        frame = sample.frame
        info = StreamInfo(
            id=self._stream,
            run=run,
            frame=frame.index,
            pts=frame.pts,
            captured_at=frame.captured_at,
            width=frame.width,
            height=frame.height,
        )
        bare = stream_document(sample, self._emits, info, None)
        return Record(
            key=self._stream,
            value=bare if self._image == "none" else stream_document(sample, self._emits, info, _jpeg(frame.image)),
            headers=(
                *self._headers,
                ("ce_id", f"{run}-{frame.index}".encode()),
                ("ce_time", info.captured_at_rfc3339.encode()),
                ("traceparent", _traceparent()),
            ),
            timestamp=frame.captured_at,
            smaller=None if self._image == "none" else bare,
        )


def _jpeg(image: Image) -> bytes:
    _, encoded = cv2.imencode(".jpg", image)
    return encoded.tobytes()


def _traceparent() -> bytes:
    """A trace of its own, not sampled (W3C Trace Context)."""
    ids = os.urandom(24).hex()
    return f"00-{ids[:32]}-{ids[32:]}-00".encode()
