"""Who is on a frame, in numbers."""

from collections import Counter

from processors.types import Sample, Zones


def present(sample: Sample) -> Counter[tuple[str | None, str]]:
    """By zone and class; None in place of a zone: in the whole picture."""
    counts: Counter[tuple[str | None, str]] = Counter()
    for obj in sample.objects:
        zones = obj[Zones].names if Zones in obj else ()
        counts.update((zone, obj.label) for zone in (None, *zones))
    return counts
