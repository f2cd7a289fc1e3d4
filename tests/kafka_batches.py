"""Record batches that are changed, in memory and on a broker's disk."""

from collections.abc import Callable

from aiokafka.record.util import calc_crc32c

from tests.brokers import ApacheKafka

CRC, CRC_FROM, RECORDS_FROM = slice(17, 21), 21, 61  # of version 2


def sealed(batch: bytes) -> bytes:
    """With the length and the checksum that it has."""
    checksum: int = calc_crc32c(batch[CRC_FROM:])
    return batch[:8] + (len(batch) - 12).to_bytes(4) + batch[12 : CRC.start] + checksum.to_bytes(4) + batch[CRC_FROM:]


def change_batch(kafka: ApacheKafka, topic: str, number: int, change: Callable[[bytes], bytes]) -> None:
    """On the disk of the broker, in partition 0; it stays as long."""
    path = kafka.folder / "data" / f"{topic}-0" / f"{0:020}.log"
    data, at = path.read_bytes(), 0
    for _ in range(number):
        at += 12 + int.from_bytes(data[at + 8 : at + 12])
    end = at + 12 + int.from_bytes(data[at + 8 : at + 12])
    changed = change(data[at:end])
    assert len(changed) == end - at
    with path.open("r+b") as file:
        file.seek(at)
        file.write(changed)
