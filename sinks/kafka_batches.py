"""Record batches as they come from a broker, also those that aiokafka does not read.

At a batch whose checksum is wrong, and at a header whose name is not UTF-8, aiokafka raises out of getmany(), again
each time, and loses what it had read of other partitions. Java's client reads such names. What nobody can read becomes
a record too, so that it is told, counted and passed.
"""

import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiokafka.consumer.fetcher
from aiokafka import codec
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

LOG_OVERHEAD: Final = struct.Struct(">qi")
"""Base offset, bytes that follow: before each batch of any version."""
HEADER: Final = struct.Struct(">qiibIhiqqqhii")
"""Of version 2: base offset, length, epoch, version, checksum, attributes, last offset's delta, first and last
timestamp, producer's id and epoch, sequence, records."""
COMPRESSION, APPEND_TIME = 0x07, 0x08  # of the attributes
DECOMPRESS: Final[Mapping[int, Callable[[bytes], bytes]]] = {
    0: bytes,
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}


class Unreadable(bytes):
    """In place of a record's value: the batch, as it came, of which this and the records before it cannot be read."""

    reason: str


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """As aiokafka's records."""

    offset: int
    timestamp: int
    """In ms."""
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    checksum: int | None = None


class Batches:
    """What a broker sent of a partition: in place of aiokafka's MemoryRecords."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    def size_in_bytes(self) -> int:
        """Of what has not been taken."""
        return len(self._data)

    def has_next(self) -> bool:
        """The last batch may be cut short."""
        return len(self._data) >= LOG_OVERHEAD.size and len(self._data) >= self._size

    def next_batch(self) -> "Batch":
        batch, self._data = Batch(bytes(self._data[: self._size])), self._data[self._size :]
        return batch

    @property
    def _size(self) -> int:
        size: int = LOG_OVERHEAD.size + LOG_OVERHEAD.unpack_from(self._data)[1]
        return size


class Batch:
    """One that is never refused: where it cannot be read, an Unreadable stands at its last offset."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._batch = MemoryRecords(data).next_batch()
        self._is_whole: bool = self._batch.validate_crc()

    def __getattr__(self, name: str) -> Any:
        """What aiokafka asks of a batch: its offsets, whether it is of a transaction."""
        return getattr(self._batch, name)

    def validate_crc(self) -> bool:
        """A wrong checksum is told among the records."""
        return True

    @property
    def producer_id(self) -> int | None:
        return self._batch.producer_id if self._is_whole else None

    @property
    def is_control_batch(self) -> bool:
        return self._is_whole and self._batch.is_control_batch

    def __next__(self) -> Any:
        """Of a control batch."""
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        if not self._is_whole:
            yield self._unreadable("the checksum of their batch is wrong")
            return
        try:
            try:
                yield from self._batch
            except UnicodeDecodeError:
                yield from self._with_any_names()  # from the first on: who reads passes over what it has
        except Exception as err:  # noqa: BLE001  # whatever a codec or a malformed record raises
            yield self._unreadable(f"their batch is malformed: {err!r}")

    def _unreadable(self, why: str) -> BatchRecord:
        first, last = self._batch.base_offset, self._batch.next_offset - 1
        if not self._is_whole and last - first + 1 != HEADER.unpack_from(self._data)[-1]:
            raise CorruptRecordException(
                f"offset {first}: the batch's header is damaged, nothing says where the next begins: set the group's "
                "offset behind it (kafka-consumer-groups.sh --reset-offsets)"
            )
        value = Unreadable(self._data)
        value.reason = f"The records at offsets {first} to {last} cannot be read, {why}: see to the broker's disk"
        return BatchRecord(last, round(time.time() * 1000), 0, None, value, ())

    def _with_any_names(self) -> Iterator[BatchRecord]:
        """Of version 2, the first with headers."""
        base, *_, attributes, _, first_time, last_time, _, _, _, count = HEADER.unpack_from(self._data)
        data = bytearray(DECOMPRESS[attributes & COMPRESSION](self._data[HEADER.size :]))
        at = 0
        for _ in range(count):
            size, at = decode_varint(data, at)
            body, end = at + 1, at + size  # behind the attributes
            since, body = decode_varint(data, body)
            delta, body = decode_varint(data, body)
            key, body = _bytes(data, body)
            value, body = _bytes(data, body)
            headers = list(_headers(data, body))
            append_time = attributes & APPEND_TIME
            timestamp = last_time if append_time else first_time + since
            yield BatchRecord(base + delta, timestamp, int(bool(append_time)), key, value, headers)
            at = end


def _headers(data: bytearray, at: int) -> Iterator[tuple[str, bytes | None]]:
    count, at = decode_varint(data, at)
    for _ in range(count):
        name, at = _bytes(data, at)
        value, at = _bytes(data, at)
        yield (name or b"").decode("utf-8", "backslashreplace"), value


def _bytes(data: bytearray, at: int) -> tuple[bytes | None, int]:
    """Those that stand there behind their number, and where they end."""
    size, at = decode_varint(data, at)
    return (bytes(data[at : at + size]), at + size) if size >= 0 else (None, at)


def read_any_batch() -> None:
    """Lets all of this process's consumers read batches so."""
    aiokafka.consumer.fetcher.MemoryRecords = Batches
