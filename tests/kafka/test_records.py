"""Records that bring pictures, and what their documents say of where they came from."""

import base64
import codecs
import json
from collections.abc import Sequence

import numpy as np
import pytest
from aiokafka import ConsumerRecord

from daemon.errors import BadBase64, DamagedImage, InvalidDocument, UnsupportedImage
from daemon.kafka.records import RecordFrame, RecordWork, picture, stream_of
from processors.types import Frame, Sample
from sinks.base import Record
from tests.kafka_frames import strip


def record(
    key: bytes | None = b"door", value: bytes | None = b"", headers: Sequence[tuple[str, bytes | None]] = ()
) -> ConsumerRecord:
    return ConsumerRecord("frames", 3, 42, 1_700_000_000_250, 0, key, value, 0, 0, 0, tuple(headers))


def document(picture: bytes) -> bytes:
    return json.dumps({"_image": {"blob": base64.b64encode(picture).decode()}, "objects": []}).encode()


@pytest.mark.parametrize(
    ("key", "stream"),
    [(b"door", "door"), ("Tür".encode(), "Tür"), (b"\xff\x01", "\\xff\x01"), (b"", "frames-3"), (None, "frames-3")],
)
def test_the_key_is_the_stream(key: bytes | None, stream: str) -> None:
    assert stream_of(record(key)) == stream


@pytest.mark.parametrize(
    "value", [strip(7), document(strip(7)), b" \n" + document(strip(7)), codecs.BOM_UTF8 + b"\n" + document(strip(7))]
)
def test_a_picture_or_a_document_with_one(value: bytes) -> None:
    assert np.array_equal(picture(value), np.full((4, 40, 3), 7))


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, UnsupportedImage),
        (b"", UnsupportedImage),
        (b"GIF89a", UnsupportedImage),
        (strip(7)[:60], DamagedImage),
        (b"{", InvalidDocument),
        (b"{}", InvalidDocument),
        (b'{"_image": {"blob": "?"}}', BadBase64),
        (document(b"GIF89a"), UnsupportedImage),
    ],
)
def test_what_brings_no_picture(value: bytes | None, error: type[Exception]) -> None:
    with pytest.raises(error):
        picture(value)


class Sizes:
    """A work that tells the size of each frame."""

    in_order = False
    aside = None

    def begin(self) -> Sequence[Record]:
        return [Record("door", b"begins")]

    def look(self, frame: Frame, turn: int) -> Sample:
        return Sample(frame)

    def tell(self, sample: Sample, *, live: bool = False) -> Sequence[Record]:
        frame = sample.frame
        if frame.width == 0:
            raise RuntimeError("expected a size")
        return [Record("door", b"%d x %d" % (frame.width, frame.height), (("ce_id", b"%d" % n),)) for n in range(2)]

    def end(self) -> Sequence[Record]:
        return [Record("door", b"ends")]

    def settle(self) -> None: ...


class TestRecordWork:
    def test_documents_say_which_record_they_are_of(self) -> None:
        work = RecordWork(Sizes())
        frame = RecordFrame(record(value=strip(7)), "door")
        assert (frame.id, frame.index) == ("frames-3-42", 42)
        assert frame.pts == frame.captured_at == 1_700_000_000.25
        told = work.tell(work.look(frame, 0))
        assert [made.value for made in told] == [b"40 x 4", b"40 x 4"]
        source = (
            ("visaged-source-topic", b"frames"),
            ("visaged-source-partition", b"3"),
            ("visaged-source-offset", b"42"),
        )
        assert [made.headers for made in told] == [
            (("ce_id", b"0"), *source),
            (("ce_id", b"1"), *source),
        ]

    def test_documents_get_the_headers_that_are_to_pass_as_they_came(self) -> None:
        came = [("tenant", b"\xff"), ("other", b"1"), ("tenant", None), ("empty", b"")]
        frame = RecordFrame(record(value=strip(7), headers=came), "door", ("tenant", "empty", "missing"))
        work = RecordWork(Sizes())
        (told, _) = work.tell(work.look(frame, 0))
        assert told.headers[4:] == (("tenant", b"\xff"), ("tenant", None), ("empty", b""))

    @pytest.mark.parametrize(
        ("came", "trace"),
        [
            ([], None),
            ([("traceparent", b"00-1")], ("00-1", "")),
            ([("traceparent", b"1"), ("tracestate", b"a=1"), ("traceparent", b"2")], ("2", "a=1")),
            ([("tracestate", b"a=1")], None),
            ([("traceparent", None)], ("", "")),
        ],
    )
    def test_a_frame_has_the_trace_that_came(
        self, came: Sequence[tuple[str, bytes | None]], trace: tuple[str, str] | None
    ) -> None:
        assert RecordFrame(record(headers=came), "door").trace == trace

    def test_nothing_below_a_mask_is_seen(self) -> None:
        frame = RecordFrame(record(value=strip(7)), "door", masks=[[(0, 0), (0.5, 0), (0.5, 1), (0, 1)]])
        RecordWork(Sizes()).look(frame, 0)
        assert not frame.image[:, :20].any()
        assert frame.image[:, 30:].all()

    def test_first_and_last_words_pass(self) -> None:
        work = RecordWork(Sizes())
        assert [made.value for made in (*work.begin(), *work.end())] == [b"begins", b"ends"]

    def test_what_it_met_is_kept_for_the_dead_letter(self) -> None:
        work = RecordWork(Sizes())
        frame = RecordFrame(record(value=b"GIF89a"), "door")
        with pytest.raises(UnsupportedImage):
            work.look(frame, 0)
        assert frame.error.startswith("This image format is not supported: GIF came, ")
        other = RecordFrame(record(value=strip(7)), "door")
        with pytest.raises(RuntimeError):
            work.tell(Sample(other))
        assert other.error == "expected a size"
