"""Batches as no producer of ours writes them."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from aiokafka import codec
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from sinks.kafka_batches import Batches, Unreadable
from tests.kafka_batches import RECORDS_FROM, sealed

COMPRESS: Mapping[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: codec.gzip_encode,
    2: codec.snappy_encode,
    3: codec.lz4_encode,
    4: codec.zstd_encode,
}
ATTRIBUTES, LAST_DELTA, BASE = slice(21, 23), slice(23, 27), 7


def batch(name: bytes = b"zone", codec_number: int = 0) -> bytes:
    """Three records, the second with a header of this name (four bytes)."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for offset, headers in enumerate([[], [("zone", b"north"), ("none", None)], []]):
        builder.append(offset, timestamp=1000 + offset, key=b"key", value=b"%d" % offset, headers=headers)
    data = bytearray(builder.build().replace(b"zone", name))
    data[BASE] = 5
    data[ATTRIBUTES] = codec_number.to_bytes(2)
    packed = COMPRESS[codec_number](bytes(data[RECORDS_FROM:]))
    return sealed(bytes(data[:RECORDS_FROM]) + packed)


def read(batches: Any) -> list[Any]:
    found = []
    while batches.has_next():
        found += list(batches.next_batch())
    return found


def parts(record: Any) -> tuple[object, ...]:
    return record.offset, record.timestamp, record.timestamp_type, record.key, record.value, list(record.headers)


@pytest.mark.parametrize("number", COMPRESS)
def test_what_aiokafka_reads_is_what_it_reads(number: int) -> None:
    data = batch(codec_number=number) * 2 + batch()[:50]
    assert [parts(record) for record in read(Batches(data))] == [parts(each) for each in read(MemoryRecords(data))]
    batches, own = Batches(data).next_batch(), MemoryRecords(data).next_batch()
    for name in ("base_offset", "next_offset", "is_control_batch", "is_transactional", "producer_id"):
        assert getattr(batches, name) == getattr(own, name)


@pytest.mark.parametrize("number", COMPRESS)
def test_a_headers_name_may_be_no_utf_8(number: int) -> None:
    as_utf_8 = read(MemoryRecords(batch(codec_number=number)))
    found = {record.offset: record for record in read(Batches(batch(b"caf\xe9", number)))}  # who reads counts offsets
    assert found[6].headers == [("caf\\xe9", b"north"), ("none", None)]
    for record in as_utf_8:
        assert parts(found[record.offset])[:-1] == parts(record)[:-1]


def test_a_wrong_checksum_makes_the_batch_one_record() -> None:
    damaged = bytearray(batch())
    damaged[-10] ^= 1
    (record, *others) = read(Batches(bytes(damaged) + batch()))
    assert (record.offset, record.key, bytes(record.value)) == (7, None, bytes(damaged))
    assert isinstance(record.value, Unreadable)
    assert record.value.reason.startswith("The records at offsets 5 to 7 cannot be read, the checksum of")
    assert [other.offset for other in others] == [5, 6, 7]
    first = Batches(bytes(damaged)).next_batch()
    assert (first.validate_crc(), first.next_offset) == (True, 8)
    assert (first.producer_id, first.is_control_batch) == (None, False)  # which it may only seem to be


def test_a_malformed_batch_is_one_record_too() -> None:
    (record,) = read(Batches(sealed(batch(codec_number=1)[:-20])))
    assert (record.offset, type(record.value)) == (7, Unreadable)
    assert "their batch is malformed: " in record.value.reason


def test_where_nothing_says_how_far_a_damaged_batch_goes_it_is_not_passed() -> None:
    damaged = bytearray(batch())
    damaged[LAST_DELTA] = (1_000_000).to_bytes(4)
    with pytest.raises(CorruptRecordException, match=r"offset 5: the batch's header is damaged, .* --reset-offsets"):
        read(Batches(bytes(damaged)))
