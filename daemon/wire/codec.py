"""Bytes to JSON values and back."""

from typing import Any

import pydantic_core

from daemon.errors import InvalidDocument, Problem

Members = dict[str, Any]
"""A JSON object."""


def parse(data: bytes) -> Any:
    """Raises InvalidDocument for all that is not JSON: NaN, lone surrogates, numbers that no double holds."""
    try:
        value = pydantic_core.from_json(data, allow_inf_nan=False)
    except ValueError as err:
        raise InvalidDocument([Problem((), f"JSON decode error: {err}", "json_invalid")]) from err
    if not _is_finite(value):  # 1e999
        place = _infinite(value) or ()
        raise InvalidDocument([Problem(place, "Input should be a finite number", "finite_number")])
    return value


def encode(value: object) -> bytes:
    return pydantic_core.to_json(value)


def _is_finite(value: object) -> bool:
    """What every request is asked, without keeping the place."""
    values = [value]
    while values:
        value = values.pop()
        if isinstance(value, float):
            if value in (float("inf"), float("-inf")):
                return False
        elif isinstance(value, dict):
            values.extend(value.values())
        elif isinstance(value, list):
            values.extend(value)
    return True


def _infinite(value: object) -> tuple[str | int, ...] | None:
    """Where the first infinite number is. The parser bounds how deep values nest."""
    if isinstance(value, float):
        return () if value in (float("inf"), float("-inf")) else None
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return None
    for key, item in items:
        if (place := _infinite(item)) is not None:
            return (key, *place)
    return None
