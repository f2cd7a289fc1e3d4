"""What a stream does with its frames: a chain, and documents of what it found."""

from collections.abc import Callable, Sequence

from processors.types import Frame, Processor, Sample
from sinks.base import Record

Encode = Callable[[Sample, str], Record]
"""Makes the record of a sample of the run of this name."""


class Untracked:
    """Looks at each frame by itself."""

    in_order = False

    def __init__(self, chain: Processor, encode: Encode, run: str) -> None:
        self._chain = chain
        self._encode = encode
        self._run = run

    def look(self, frame: Frame) -> Sample:
        sample = Sample(frame)
        self._chain([sample])
        return sample

    def tell(self, sample: Sample) -> Sequence[Record]:
        return [self._encode(sample, self._run)]
