"""A chain of processors is a processor, so chains compose; what it needs and makes follows from its parts."""

from collections.abc import Sequence

from processors.types import Label, Processor, Sample


class Chain:
    """Runs processors in order over the same samples.

    `needs` is what no earlier processor of the chain makes; for a stream it must be empty, for a request it is what the
    request's objects must bring. A detector starts its objects afresh, so needs and makes are kept per label.
    """

    def __init__(self, processors: Sequence[Processor]) -> None:
        if not processors:
            raise ValueError("expected at least one processor in a chain, got none")
        self.processors = tuple(processors)
        made: dict[Label, set[type]] = {}
        needs: set[type] = set()
        for processor in self.processors:
            of_label = made.setdefault(processor.applies_to, set())
            needs |= processor.needs - of_label
            of_label |= processor.makes
        self.needs = frozenset(needs)
        self.makes = frozenset[type]().union(*made.values())
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
