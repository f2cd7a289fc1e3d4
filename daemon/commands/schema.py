"""The configuration's reference: every key with its default and what it means, as a file that loads."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from daemon.config.model import Config
from daemon.wire.codec import encode

WIDTH = 118
HEAD = """\
Every key of the configuration, with its default. Written by `visaged schema`: change the descriptions in the code.
Each key can also come from the environment, which wins: VISAGED_HTTP__PORT=8081 is http.port.
What a stream or a sink can have stands here as a comment, as there is none by default."""
EXAMPLE_NAME = {"streams": "entrance", "clusters": "name", "consumers": "name", "sinks": "name"}
REQUIRED = {
    "source": "rtsp://user:password@camera.example/stream",
    "bootstrap_servers": "broker.example:9092",
    "topic": "visaged",
    "topics": ["frames"],
    "path": "documents.jsonl",
    "username": "visaged",
    "password": "secret",
}
"""Examples for what has no default."""


def reference() -> str:
    lines = [*_comment(HEAD, ""), ""]
    for name, field in Config.model_fields.items():
        lines += _comment(field.description or "", "")
        if get_origin(field.annotation) is dict:
            lines.append(f"{name}: {{}}")
            for section in sections(get_args(field.annotation)[1]):
                lines.append(f"#  {EXAMPLE_NAME[name]}:")
                lines += [f"#{line}" if line else "#" for line in _keys(section, "    ")]
        else:
            lines += _key(name, field, "")
        lines.append("")
    return "\n".join(lines)


def _keys(section: type[BaseModel], indent: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if field.description:
            yield from _comment(field.description, indent)
        yield from _key(name, field, indent)


def _key(name: str, field: FieldInfo, indent: str) -> Iterator[str]:
    below = list(sections(field.annotation))
    default = field.default
    if below and default is not None:
        yield f"{indent}{name}:"
        yield from _keys(below[0], indent + "  ")
        return
    yield f"{indent}{name}: {_value(name, field)}"
    if below:  # nothing by default: its keys as a comment
        yield from (f"{indent}#{line[len(indent) :]}" for line in _keys(below[0], indent + "  "))


def _value(name: str, field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        value: Any = get_args(field.annotation)[0] if name == "type" else REQUIRED[name]
    else:
        value = str(field.default) if isinstance(field.default, Path) else field.default
    return encode(value).decode().replace('","', '", "')


def sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation is, or is a union of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from sections(part)


def _comment(text: str, indent: str) -> Iterator[str]:
    for paragraph in text.splitlines():
        yield from textwrap.wrap(paragraph, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
