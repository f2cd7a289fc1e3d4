"""Records that are no pictures, or whose documents no sink takes: they go to a topic of their own, with the error."""

from typing import Final

from aiokafka import ConsumerRecord

from daemon.kafka.records import source_headers
from sinks.base import Record

MAX_ERROR: Final = 1000  # characters: a document may have a mistake at every place
ERROR, ERROR_TYPE = "visaged-error", "visaged-error-type"


def dead_letter(record: ConsumerRecord, stream: str, error: str, error_type: str) -> Record:
    """The record as it came, with what was wrong with it; without its value where that is too large."""
    headers = (
        *record.headers,
        *source_headers(record),
        (ERROR, error[:MAX_ERROR].encode()),
        (ERROR_TYPE, error_type.encode()),
    )
    tombstone = record.value is None
    value = record.value or b""
    return Record(stream, value, headers, record.timestamp / 1000, smaller=b"", tombstone=tombstone)
