"""Records that are no pictures, or whose documents no sink takes: they go to a topic of their own, with the error."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from aiokafka import ConsumerRecord

from daemon.kafka.records import source_of
from daemon.wire.headers import Mistake, encoded
from sinks.base import Header, Record, size_of

MAX_ERROR: Final = 1000  # characters: a document may have a mistake at every place
CUT: Final = "visaged-cut"
"""What is missing of the record, each part with the bytes that it had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter(Record):
    """A record as it came: key, value and headers, and ours behind them."""

    note: ClassVar[str] = "cut"
    came_key: bytes | None
    came_headers: tuple[Header, ...]
    """Those of `headers` that came with it; they are the first."""
    cut: tuple[str, ...] = ()

    @property
    def key_bytes(self) -> bytes | None:
        return self.came_key

    def fitted(self, most_bytes: int) -> Record | None:
        """Without its larger part, value or headers; without both; without its key too: the first that fits."""
        if self.size <= most_bytes:
            return self
        if self.value or self.came_headers:
            of_value, of_headers = len(self.value), size_of(self.came_headers)
            if of_value >= of_headers:
                return self._without("value", of_value, value=b"").fitted(most_bytes)
            return self._without("headers", of_headers, came_headers=()).fitted(most_bytes)
        return self._without("key", len(self.came_key), came_key=None).fitted(most_bytes) if self.came_key else None

    def _without(self, part: str, size: int, **empty: Any) -> "DeadLetter":
        cut = (*self.cut, f"{part}: {size} bytes")
        ours = self.headers[len(self.came_headers) : -1 if self.cut else None]
        came = empty.get("came_headers", self.came_headers)
        headers = (*came, *ours, (CUT, ", ".join(cut).encode()))
        return replace(self, headers=headers, cut=cut, **empty)


def dead_letter(record: ConsumerRecord, stream: str, error: str, error_type: str) -> DeadLetter:
    """The record as it came, with what was wrong with it."""
    came = tuple(record.headers)
    about: Mistake = {**source_of(record), "visaged-error": error[:MAX_ERROR], "visaged-error-type": error_type}
    ours = encoded(about)
    return DeadLetter(
        key=stream,
        value=bytes(record.value or b""),
        headers=(*came, *ours),
        timestamp=record.timestamp / 1000,
        tombstone=record.value is None,
        came_key=record.key,
        came_headers=came,
    )
