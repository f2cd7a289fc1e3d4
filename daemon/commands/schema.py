"""The configuration's reference: every key with its default and what it means, as a file that loads."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from daemon.config.explain import bare, sections, tag_of
from daemon.config.model import Config
from daemon.control.settings import StreamDefaults
from daemon.wire.codec import encode
from daemon.work.privacy import OwnPrivacySettings
from daemon.work.settings import ProcessorSettings
from sinks.selection import Selection

WIDTH = 110  # and the signs before a line that is commented out
HEAD = """\
Every key of the configuration, with its default. `visaged schema` writes this file from the code.
Each key can also come from the environment, which wins: VISAGED_HTTP__PORT=8081 is http.port. In a name of your
choice each character but letters and digits is _ there: VISAGED_STREAMS__FRONT_DOOR__FPS is of the stream Front-Door.
In this file ${VAR} stands for a variable and ${file:PATH} for a file's content; $${ is ${ itself. Wherever there is a
password, password_file is the path of a file with it. Keys that begin with x- are yours, for anchors for example.
Streams, clusters, consumers, sinks and some sections do not exist by default: they are commented out.
To use one, remove the `#` before its name and before each line below it."""
EXAMPLE_NAME = {"streams": "entrance", "clusters": "main", "consumers": "pictures", "keys": "grafana"}
"""A sink is called after its type."""
REQUIRED = {
    "source": "rtsp://user:password@camera.example/stream",
    "bootstrap_servers": "broker.example:9092",
    "topic": "visaged",
    "topics": ["frames"],
    "path": "documents.jsonl",
    "url": "https://receiver.example/hook",
    "endpoint": "http://127.0.0.1:4318",
    "host": "broker.example",
    "username": "visaged",
    "password": "secret",
    "certificate": "/etc/visaged/fullchain.pem",
    "key": "/etc/visaged/privkey.pem",
    "sha256": "0" * 64,
    "roles": ["metrics"],
    "name": "entrance",
    "polygon": [[0.2, 0.5], [0.8, 0.5], [0.9, 1], [0.1, 1]],
    "points": [[0, 0.6], [1, 0.6]],
    "directions": ["in", "out"],
}
"""Examples for what has no default."""


def reference() -> str:
    lines = [*_comment(HEAD), ""]
    for name, field in Config.model_fields.items():
        lines += [*_key(name, field), ""]
    return "\n".join(lines)


def _entries(name: str, field: FieldInfo) -> Iterator[str]:
    """A mapping of names of the user's choice, with an entry for each kind that there is, commented out."""
    yield from _comment(field.description or "")
    yield f"#{name}:"
    for section in sections(get_args(field.annotation)[1]):
        yield f"#  {tag_of(section) or EXAMPLE_NAME[name]}:"
        yield from (f"#    {line}" for line in _keys(section))


def _keys(section: type[BaseModel]) -> Iterator[str]:
    of_every_sink = Selection.model_fields if issubclass(section, Selection) else ()
    for name in sorted(section.model_fields, key=lambda name: name in of_every_sink):  # these last
        yield from _key(name, section.model_fields[name])


def _key(name: str, field: FieldInfo) -> Iterator[str]:
    if get_origin(field.annotation) is dict and sections(get_args(field.annotation)[1]):
        yield from _entries(name, field)
        return
    yield from _comment(f"{field.description or ''}\n{_choices(field)}")
    below = sections(field.annotation)
    if get_origin(field.annotation) is tuple and (items := sections(get_args(field.annotation)[0])):
        yield f"#{name}:"
        yield from (f"#  {line}" for line in _item(items[0]))
        return
    if below == [StreamDefaults]:
        yield f"{name}: {{}}"  # its keys stand below
        return
    if not below:
        yield f"{name}: {_value(name, field)}"
        return
    if below == [ProcessorSettings] and field.default is None:
        yield f"#{name}: {{}}"  # its keys stand in the file already
        return
    # What an entry takes from above where it says nothing is not to be said by who uncomments the entry.
    sign = "#" if field.default is None or issubclass(below[0], OwnPrivacySettings) else ""
    yield f"{sign}{name}:"
    yield from (f"{sign}  {line}" for line in _keys(below[0]))


def _item(section: type[BaseModel]) -> Iterator[str]:
    """An entry of a list; its first key, which has no section below it, bears the dash."""
    *comment, first = _key(*next(iter(section.model_fields.items())))
    yield from comment
    yield f"- {first}"
    for name, field in list(section.model_fields.items())[1:]:
        yield from (f"  {line}" for line in _key(name, field))


def _choices(field: FieldInfo) -> str:
    """What a key takes, where it is one of a few words or numbers; the `type` of a sink is one alone, and no choice."""
    kind = bare(field.annotation)
    words = get_args(kind) if get_origin(kind) is Literal else ()
    if len(words) < 2:
        return ""
    or_null = ", null" if NoneType in get_args(field.annotation) else ""
    return f"One of: {', '.join(map(str, words))}{or_null}."


def _value(name: str, field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        value: Any = get_args(field.annotation)[0] if name == "type" else REQUIRED[name]
    else:
        value = field.default
    return written(value)


def written(value: Any) -> str:
    """A default or an example, as it may stand in YAML."""
    return encode(str(value) if isinstance(value, Path) else value).decode().replace('","', '", "')


def _comment(text: str) -> Iterator[str]:
    for paragraph in text.splitlines():
        yield from textwrap.wrap(paragraph, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
