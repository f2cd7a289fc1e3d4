"""Lays results over the document that came."""

from collections.abc import Iterable, Set

from daemon.wire.codec import Members
from daemon.wire.version import Received, Version, results_of, size_of, written
from processors.types import Label, Sample


def with_found(version: Version, received: Received, sample: Sample, emits: Set[type], label: Label) -> Members:
    """What a service answers that detects: objects of its label are replaced, the others stay as they came.

    The detector's order is the order of ids, which go on after the highest kept one.
    """
    kept = [members for members in received.objects if members.get("class") != label]
    ids = [members["id"] for members in kept if type(members.get("id")) is int]
    found = [obj for obj in sample.objects if obj.label == label]
    return received.image | {"objects": kept + written(version, sample, found, emits, max([-1, *ids]) + 1)}


def with_results(
    version: Version, received: Received, places: Iterable[int], sample: Sample, emits: Set[type]
) -> Members:
    """What a service answers that estimates: the objects that came, each of the sample's laid over its own.

    `places` are those of the sample's objects among the received ones.
    """
    size = size_of(sample)
    objects = list(received.objects)
    for place, obj in zip(places, sample.objects, strict=True):
        objects[place] = _merged(objects[place], results_of(version, obj, size, emits))
    return received.image | {"objects": objects}


def _merged(below: Members, over: Members) -> Members:
    """Objects in objects are merged too, so that what others put beside our members survives."""
    merged = dict(below)
    for name, value in over.items():
        sent = merged.get(name)
        merged[name] = _merged(sent, value) if isinstance(sent, dict) and isinstance(value, dict) else value
    return merged
