"""Bytes to JSON values and back."""

import codecs
import math
from typing import Any

import pydantic_core

from daemon.errors import InvalidDocument, Problem

Members = dict[str, Any]
"""A JSON object."""


def parse(data: bytes) -> Any:
    """Raises InvalidDocument for all that is not JSON: NaN, lone surrogates, numbers that no double holds.

    A byte order mark is ignored, as RFC 8259 allows.
    """
    try:
        value = pydantic_core.from_json(data.removeprefix(codecs.BOM_UTF8), allow_inf_nan=False)
    except ValueError as err:
        raise InvalidDocument([Problem((), f"JSON decode error: {err}", "json_invalid")]) from err
    if (place := _infinite([value])) is not None:  # 1e999
        raise InvalidDocument([Problem(place[1:], "Input should be a finite number", "finite_number")])
    return value


def encode(value: object, indent: int | None = None) -> bytes:
    return pydantic_core.to_json(value, indent=indent)


def _infinite(value: dict[str, Any] | list[Any]) -> tuple[str | int, ...] | None:
    """Where the first infinite number is. The parser bounds how deep values nest."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:  # every request is asked this: numbers without a call each
        if isinstance(item, float):
            if math.isinf(item):
                return (key,)
        elif isinstance(item, dict | list) and (place := _infinite(item)) is not None:
            return (key, *place)
    return None
