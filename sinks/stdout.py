# The sinks engineer is back and is rewriting this file: see /tmp/SINKS_ENGINEER_IS_BACK.md
"""Documents to standard output."""

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sinks.base import Record, SinkError


class StdoutSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["stdout"]


class StdoutSink:
    """Loses what the reader of a pipe had not read when it ended; repeats and reorders nothing. A document a line."""

    def __init__(self, settings: StdoutSettings) -> None:
        self.counts: Counter[str] = Counter()

    async def open(self) -> None:
        pass

    async def write(self, records: Sequence[Record]) -> None:
        try:
            await asyncio.to_thread(self._write, records)
        except OSError as err:  # nobody reads any more, and nobody will again
            raise SinkError(f"standard output: {err.strerror}", retriable=False, unwritten=records) from err

    async def close(self) -> None:
        pass

    def _write(self, records: Sequence[Record]) -> None:
        sys.stdout.buffer.write(b"".join(record.value + b"\n" for record in records))
        sys.stdout.buffer.flush()
