"""What a dead letter says, and what it leaves out where it is too large."""

from collections.abc import Sequence

import pytest
from aiokafka import ConsumerRecord

from daemon.kafka.dead_letters import DeadLetter, dead_letter
from sinks.base import Header, Record

BINARY = b"\xff\xfe\x00\x01\xc8"
OURS = (
    ("visaged-source-topic", b"frames"),
    ("visaged-source-partition", b"3"),
    ("visaged-source-offset", b"42"),
    ("visaged-error", b"no picture"),
    ("visaged-error-type", b"UnsupportedImage"),
)


def letter(
    value: bytes | None = b"", headers: Sequence[Header] = (), key: bytes | None = b"door", error: str = "no picture"
) -> DeadLetter:
    record = ConsumerRecord("frames", 3, 42, 1_700_000_000_250, 0, key, value, 0, 0, 0, tuple(headers))
    return dead_letter(record, "door", error, "UnsupportedImage")


def test_a_dead_letter_is_the_record_with_what_was_wrong() -> None:
    came = letter(value=b"x", headers=[("trace", b"1"), ("trace", None)])
    assert (came.key_bytes, came.value, came.timestamp) == (b"door", b"x", 1_700_000_000.25)
    assert came.headers == (("trace", b"1"), ("trace", None), *OURS)


@pytest.mark.parametrize("key", [None, b"", BINARY, "Tür".encode()])
def test_the_key_is_the_one_that_came(key: bytes | None) -> None:
    assert letter(key=key).key_bytes == key


def test_a_dead_letter_of_little_and_of_much() -> None:
    assert (letter(value=None).tombstone, letter(value=b"").tombstone) == (True, False)
    assert dict(letter(error="ä" * 5000).headers)["visaged-error"] == ("ä" * 1000).encode()


def test_one_that_fits_is_whole() -> None:
    came = letter(value=b"x" * 5000, headers=[("thumb", b"y" * 4000)])
    assert came.fitted(came.size) is came


@pytest.mark.parametrize(
    ("value", "thumb", "key", "cut", "left"),
    [
        (50_000, 4_000, 10, b"value: 50000 bytes", (0, 4_000, 10)),
        (4_000, 50_000, 10, b"headers: 50005 bytes", (4_000, 0, 10)),
        (50_000, 40_000, 10, b"value: 50000 bytes, headers: 40005 bytes", (0, 0, 10)),
        (40_000, 50_000, 10, b"headers: 50005 bytes, value: 40000 bytes", (0, 0, 10)),
        (4_000, 10, 50_000, b"value: 4000 bytes, headers: 15 bytes, key: 50000 bytes", (0, 0, None)),
    ],
)
def test_the_larger_part_goes_first(
    value: int, thumb: int, key: int, cut: bytes, left: tuple[int, int, int | None]
) -> None:
    fitted = letter(b"x" * value, [("thumb", b"y" * thumb)], b"k" * key).fitted(10_000)
    assert isinstance(fitted, Record)
    assert fitted.size <= 10_000
    assert fitted.headers[-6:] == (*OURS, ("visaged-cut", cut))
    thumbs = sum(len(of_header or b"") for name, of_header in fitted.headers if name == "thumb")
    length = None if fitted.key_bytes is None else len(fitted.key_bytes)
    assert (len(fitted.value), thumbs, length) == left
    assert not fitted.tombstone


def test_what_is_ours_always_fits_into_the_least_that_may_be_configured() -> None:
    whole = letter(b"x" * 50_000, [("h" * 5_000, b"y" * 50_000)], b"k" * 50_000, error="\U0001f600" * 1000)
    fitted = whole.fitted(10_000)
    assert fitted is not None
    assert dict(fitted.headers)["visaged-error"] == ("\U0001f600" * 1000).encode()


def test_one_for_which_there_is_no_room_at_all() -> None:
    assert letter(b"x" * 500).fitted(100) is None
