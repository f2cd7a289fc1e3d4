"""What was estimated of an object, each as one word, number or truth: by these, documents are chosen."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from daemon.wire.codec import Members

ATTRIBUTES: Final[Mapping[str, tuple[str, Callable[[Any], str | float | bool]]]] = {
    "age": ("age", int),
    "gender": ("gender", str),
    "emotion": ("emotions", lambda emotions: max(emotions, key=lambda one: one["confidence"])["emotion"]),
    "has_medical_mask": ("has_medical_mask", lambda mask: mask["value"]),
    "liveness": ("liveness", lambda liveness: liveness["value"]),
}
"""By name: the member of an object of version 2, and what is taken of it; of emotions the likeliest."""


def attributes_of(obj: Members) -> Mapping[str, str | float | bool]:
    """Of an object as version 2 writes it."""
    return {name: read(obj[member]) for name, (member, read) in ATTRIBUTES.items() if member in obj}
