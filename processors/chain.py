"""A chain of processors is a processor, so chains compose; what it needs and makes follows from its parts."""

from collections.abc import Sequence
from typing import Protocol

from processors.types import Label, Processor, Sample


class Step(Protocol):
    """What a processor says of itself, as an instance or as a class."""

    @property
    def applies_to(self) -> Label: ...
    @property
    def needs(self) -> frozenset[type]: ...
    @property
    def makes(self) -> frozenset[type]: ...


def requirements(steps: Sequence[Step]) -> tuple[frozenset[type], frozenset[type]]:
    """What steps in this order need that none before makes, and what they make; faces and bodies apart."""
    made: dict[Label, set[type]] = {}
    needs: set[type] = set()
    for step in steps:
        of_label = made.setdefault(step.applies_to, set())
        needs |= step.needs - of_label
        of_label |= step.makes
    return frozenset(needs), frozenset[type]().union(*made.values())


class Chain:
    """Runs processors in order over the same samples.

    For a stream `needs` must be empty; for a request it is what the request's objects must bring.
    """

    def __init__(self, processors: Sequence[Processor]) -> None:
        if not processors:
            raise ValueError("expected at least one processor in a chain, got none")
        self.processors = tuple(processors)
        self.needs, self.makes = requirements(self.processors)
        self.applies_to = self.processors[0].applies_to

    def __call__(self, samples: Sequence[Sample]) -> None:
        for processor in self.processors:
            processor(samples)


class Missing:
    """Runs a processor only on the objects that lack a result: `Missing(FaceMesh, mesher)`."""

    def __init__(self, kind: type, processor: Processor) -> None:
        if kind not in processor.makes:
            raise ValueError(f"expected a processor that makes {kind.__name__}, got {type(processor).__name__}")
        self.kind = kind
        self.processor = processor
        self.applies_to = processor.applies_to
        self.needs = processor.needs
        self.makes = processor.makes

    def __call__(self, samples: Sequence[Sample]) -> None:
        lacking = []
        for sample in samples:
            objects = [o for o in sample.objects if o.label == self.applies_to and self.kind not in o]
            if objects:
                lacking.append(Sample(sample.frame, objects))
        if lacking:
            self.processor(lacking)
