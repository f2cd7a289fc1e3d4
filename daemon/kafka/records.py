"""Records that bring pictures, and what their documents say of where they came from."""

import codecs
import contextlib
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final

from aiokafka import ConsumerRecord

from daemon.errors import UnreadableRecord, UnsupportedImage, VisagedError
from daemon.flow.pipeline import Work
from daemon.flow.receipts import Counts, Ending
from daemon.flow.timing import Timing
from daemon.pictures import decode
from daemon.pictures.masks import Corners, masked
from daemon.wire.headers import SourceHeaders, encoded
from daemon.wire.request import read
from daemon.wire.trace import TRACE
from daemon.wire.v2 import V2
from processors.types import Frame, Image, Sample
from sinks.base import Header, Record
from sinks.kafka_batches import Unreadable
from sinks.kafka_times import ORIGINAL_TIMESTAMP

MAX_PIXELS: Final = 100_000_000
MAX_OBJECTS: Final = 1000

READ_AGAIN = "read again"
END_OF_TIME_MS: Final = 253_402_300_800_000  # the year 10000, which RFC 3339 cannot say


def stream_of(record: ConsumerRecord) -> str:
    """The key; a record without one belongs to its partition."""
    if not record.key:
        return f"{record.topic}-{record.partition}"
    text: str = record.key.decode("utf-8", "backslashreplace")
    return text


def id_of(record: ConsumerRecord) -> str:
    """The same each time that the record is read."""
    return f"{record.topic}-{record.partition}-{record.offset}"


def source_of(record: ConsumerRecord) -> SourceHeaders:
    return {
        "visaged-source-topic": record.topic,
        "visaged-source-partition": str(record.partition),
        "visaged-source-offset": str(record.offset),
    }


class RecordCounts(Counts):
    """Of records. One that is dropped is not committed: it is read again, here or by another, and nothing is lost."""

    def end(self, ending: Ending, reason: str) -> None:
        if ending in (Ending.DROPPED, Ending.HUNG):
            ending, reason = Ending.SKIPPED, READ_AGAIN
        super().end(ending, reason)


class RecordFrame(Frame):
    """A picture that is decoded in a worker: until then it has no size. Its index is the record's offset.

    It was taken at the record's time, or now where the record has none, or one that no document can say.
    """

    __slots__ = ("error", "headers", "refusal")

    def __init__(
        self,
        record: ConsumerRecord,
        stream: str,
        passing: Collection[str] = (),
        refusal: VisagedError | None = None,
        masks: Sequence[Corners] = (),
    ) -> None:
        """`passing`: names of the record's headers that its documents get as they came.

        `refusal`: why no work is begun on it. `masks`: what nothing is to see of its picture.
        """
        taken_at = record.timestamp / 1000
        own: tuple[Header, ...] = encoded(source_of(record))
        if not 0 <= record.timestamp < END_OF_TIME_MS:
            taken_at = time.time()
            own = (*own, (ORIGINAL_TIMESTAMP, b"%d" % record.timestamp))
        super().__init__(
            lambda: masked(picture(record.value), masks),
            width=0,
            height=0,
            source=stream,
            index=record.offset,
            pts=taken_at,
            captured_at=taken_at,
            id=id_of(record),
            trace=_trace_of(record),
        )
        self.headers = (*own, *(header for header in record.headers if header[0] in passing))
        self.error = ""
        """What the work on it met."""
        self.refusal = refusal


def _trace_of(record: ConsumerRecord) -> tuple[str, str] | None:
    """Of several headers of a name the last counts."""
    came = {name: (value or b"").decode("ascii", "replace") for name, value in record.headers if name in TRACE}
    return (came["traceparent"], came.get("tracestate", "")) if "traceparent" in came else None


def picture(value: bytes | None) -> Image:
    """Of a picture's file or of a v2 document.

    Raises BadImage, InvalidDocument, BadBase64, TooManyBytes or UnreadableRecord.
    """
    if value is None:
        raise UnsupportedImage("This record has no value")
    if isinstance(value, Unreadable):
        raise UnreadableRecord(value.reason)
    if value.removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n").startswith(b"{"):
        return read(V2, value, MAX_OBJECTS).picture.decode(max_pixels=MAX_PIXELS, max_bytes=len(value))
    return decode(value, MAX_PIXELS)


class RecordWork:
    """What is done with any frame, for frames that came in records: all that is told of one says in which."""

    aside = None  # records wait for all that is done with them

    def __init__(self, work: Work, timing: Timing | None = None) -> None:
        self.in_order = work.in_order
        self._timing = timing or Timing()
        self._work = work

    def begin(self) -> Sequence[Record]:
        return self._work.begin()

    def look(self, frame: Frame, turn: int) -> Sample:
        with _noting(frame) as of_record:
            if of_record.refusal is not None:
                raise of_record.refusal
            self._timing.decode(frame)
            frame.height, frame.width = frame.image.shape[:2]
            return self._work.look(frame, turn)

    def tell(self, sample: Sample, *, live: bool = False) -> Sequence[Record]:
        with _noting(sample.frame) as frame:
            told = self._work.tell(sample, live=live)
            return [replace(record, headers=(*record.headers, *frame.headers)) for record in told]

    def end(self) -> Sequence[Record]:
        return self._work.end()

    def settle(self) -> None:
        self._work.settle()


@contextlib.contextmanager
def _noting(frame: Frame) -> Iterator[RecordFrame]:
    assert isinstance(frame, RecordFrame)  # noqa: S101  # no other is put into this pipeline
    try:
        yield frame
    except Exception as err:
        frame.error = str(err) or type(err).__name__
        raise
