"""What a dead letter says."""

from collections.abc import Sequence

from aiokafka import ConsumerRecord

from daemon.kafka.dead_letters import dead_letter


def record(value: bytes | None = b"", headers: Sequence[tuple[str, bytes | None]] = ()) -> ConsumerRecord:
    return ConsumerRecord("frames", 3, 42, 1_700_000_000_250, 0, b"door", value, 0, 0, 0, tuple(headers))


def test_a_dead_letter_is_the_record_with_what_was_wrong() -> None:
    letter = dead_letter(record(value=b"x", headers=[("trace", b"1")]), "door", "no picture", "UnsupportedImage")
    assert (letter.key, letter.value, letter.timestamp, letter.smaller) == ("door", b"x", 1_700_000_000.25, b"")
    assert letter.headers == (
        ("trace", b"1"),
        ("visaged-source-topic", b"frames"),
        ("visaged-source-partition", b"3"),
        ("visaged-source-offset", b"42"),
        ("visaged-error", b"no picture"),
        ("visaged-error-type", b"UnsupportedImage"),
    )


def test_a_dead_letter_of_little_and_of_much() -> None:
    letter = dead_letter(record(value=None, headers=[("trace", None)]), "door", "", "E")
    assert (letter.tombstone, letter.value, letter.headers[0]) == (True, b"", ("trace", None))
    assert not dead_letter(record(value=b""), "door", "", "E").tombstone
    assert dict(dead_letter(record(), "door", "ä" * 5000, "E").headers)["visaged-error"] == ("ä" * 1000).encode()
