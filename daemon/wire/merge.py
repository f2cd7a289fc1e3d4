"""Lays results over the document that came."""

from collections.abc import Set

from daemon.wire.codec import Members
from daemon.wire.version import Received, Version, written
from processors.types import Label, Sample


def with_found(version: Version, received: Received, sample: Sample, emits: Set[type], label: Label) -> Members:
    """What a service answers that detects: objects of its label are replaced, the others stay as they came.

    The detector's order is the order of ids, which go on after the highest kept one.
    """
    kept = [members for members in received.objects if members.get("class") != label]
    ids = [members["id"] for members in kept if type(members.get("id")) is int]
    found = [obj for obj in sample.objects if obj.label == label]
    return received.image | {"objects": kept + written(version, sample, found, emits, max([-1, *ids]) + 1)}
