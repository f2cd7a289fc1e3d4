"""The configuration's reference as a page for people: examples, then what each section takes."""

import builtins
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from daemon.commands.schema import written
from daemon.config.explain import sections, tag_of
from daemon.config.model import Config
from daemon.control.settings import StreamDefaults, StreamSettings
from daemon.work.privacy import PrivacySettings
from daemon.work.settings import WorkSettings
from sinks.selection import Selection

HEAD = """\
# Configuration

One YAML file says everything. `visaged check FILE` finds its mistakes, with their lines, and `visaged run FILE` runs
it. Every key is below: what it takes, its default, its unit and what follows from it.
[configs/default.yaml](../configs/default.yaml) has the same as a file to copy from. `visaged schema markdown` writes
this page from the code.

## Three examples

The faces of a camera, five times a second, to the terminal:

```yaml
streams:
  entrance:
    source: rtsp://user:password@192.0.2.10/stream1
    fps: 5

sinks:
  out:
    type: stdout
```

Two cameras that share their settings. People are followed, and Kafka gets an event when somebody appears and leaves,
with age and gender:

```yaml
defaults:
  fps: 5
  chain: [face-detector, face-fitter, age-estimator, gender-estimator]
  emit: objects
  tracking:
    events:
      topic: visaged-events

streams:
  entrance:
    source: rtsp://192.0.2.10/stream1
  yard:
    source: rtsp://192.0.2.11/stream1
    fps: 2

clusters:
  own:
    bootstrap_servers: broker.example:9092

sinks:
  kafka:
    type: kafka
    topic: visaged
```

No camera: the services for photos, for other machines too. `visaged keys new reception --role query` makes the key
and these lines:

```yaml
http:
  host: 0.0.0.0
  keys:
    reception:
      sha256: 61d69f11adef628a361ddb261446695f1b36e09c26755190dad34f7d2dcaa418
      roles: [query]
```

## Where values come from

- **The environment wins over the file.** `VISAGED_HTTP__PORT=8081` is `http.port`. In a name of your choice each
  character but letters and digits is `_` there: `VISAGED_STREAMS__FRONT_DOOR__FPS` is of the stream `Front-Door`.
  Lists stand there as JSON.
- **Passwords need not stand in the file.** In it `${VAR}` stands for a variable of any name and `${file:PATH}` for a
  file's content; `$${` is `${` itself. Wherever there is a `password`, `password_file` is the path of a file with it.
- **Keys that begin with `x-` are yours**, for YAML's anchors for example.
- **What is not known is refused.** A key that is written wrong stops the start; it is never passed over.
- **A relative path** counts from the folder in which the daemon is started.

`null` is YAML's word for "none". `NAME` stands for a name of your choice.
"""
SHARED: Mapping[type[BaseModel], type[BaseModel]] = {
    WorkSettings: StreamSettings,
    Selection: Selection,
    PrivacySettings: PrivacySettings,
}
"""Keys that several sections have, and the section below which they stand."""
KINDS = {
    NoneType: "`null`",
    bool: "true or false",
    int: "whole number",
    float: "number",
    Path: "path",
    StreamDefaults: "keys of a stream",
}
"""All others are text."""
BOUNDS = {"ge": "{} or more", "gt": "above {}", "le": "{} at most", "lt": "below {}"}
MARKS = re.compile(r"(`[^`]*`)|([*_<])")
"""Of Markdown; what stands in code is none."""
PAGES = re.compile(r"docs/([a-z-]+\.md)")
Titles = dict[type[BaseModel], str]
"""Of the sections, in the order of the page."""


def page() -> str:
    titles: Titles = {}
    _give_title(Config, "", titles)
    return HEAD + "".join(line + "\n" for section in titles for line in _section(section, titles))


def _give_title(section: type[BaseModel], path: str, titles: Titles) -> None:
    """Also to the sections below. One that stands in several places has the title of the first."""
    tag = tag_of(section)
    titles[section] = path + (f" of type {tag}" if tag else "")
    for name, field in section.model_fields.items():
        for below in _below(field):
            if below not in titles:
                entry = ".NAME" if get_origin(field.annotation) is dict else ""
                _give_title(below, f"{path}.{name}{entry}".removeprefix("."), titles)


def _below(field: FieldInfo) -> list[type[BaseModel]]:
    """The sections in a key; of a union first what all of them have."""
    kind = field.annotation
    members = get_args(kind) if get_origin(kind) in (dict, tuple) else (kind,)
    found = [section for member in members for section in sections(member) if section is not StreamDefaults]
    return [Selection, *found] if len(found) > 1 else found


def _section(section: type[BaseModel], titles: Titles) -> Iterator[str]:
    shared = {base: at for base, at in SHARED.items() if issubclass(section, base) and at is not section}
    yield f"\n### {titles[section]}\n" if titles[section] else "\n## All keys\n"
    for name, field in sorted(section.model_fields.items(), key=lambda named: not named[1].is_required()):
        if name != "type" and not any(_is_same(base.model_fields.get(name), field) for base in shared):
            yield f"- **`{name}`** ({_taken(field, titles)}): {_described(field)}"
    for base, at in shared.items():
        yield f"- All of {_link(at, titles)}: {', '.join(f'`{name}`' for name in base.model_fields)}."


def _is_same(one: FieldInfo | None, other: FieldInfo) -> bool:
    return one is not None and (one.description, one.default) == (other.description, other.default)


def _link(section: type[BaseModel], titles: Titles, text: str = "") -> str:
    anchor = re.sub(r"[^\w -]", "", titles[section].lower()).replace(" ", "-")
    return f"[{text or titles[section]}](#{anchor})"


def _taken(field: FieldInfo, titles: Titles) -> str:
    facts = [_words(field.annotation, titles), *_bounds(field)]
    if field.default is PydanticUndefined:
        facts.append("required")
    elif not isinstance(field.default, BaseModel):
        facts.append(f"default `{written(field.default)}`")
    return ", ".join(facts)


def _bounds(field: FieldInfo) -> list[str]:
    bounds = {name: getattr(bound, name) for bound in field.metadata for name in BOUNDS if hasattr(bound, name)}
    if bounds.keys() == {"ge", "le"}:
        return [f"{bounds['ge']} to {bounds['le']}"]
    return [BOUNDS[name].format(value) for name, value in bounds.items()]


def _words(kind: Any, titles: Titles, *, many: bool = False) -> str:
    """What a value may be, in the words of YAML."""
    arguments = get_args(kind)
    match get_origin(kind):
        case _ if not arguments:
            return _word(kind, titles) + ("s" if many else "")
        case typing.Annotated:
            return _words(arguments[0], titles, many=many)
        case typing.Literal:
            return f"{'any' if many else 'one'} of {', '.join(f'`{word}`' for word in arguments)}"
        case builtins.tuple if ... in arguments:
            return f"list{'s' if many else ''} of {_words(arguments[0], titles, many=True)}"
        case builtins.tuple:
            return f"[{', '.join(_words(argument, titles) for argument in arguments)}]"
        case builtins.dict:
            return f"names, each with {_words(arguments[1], titles)}"
    return " or ".join(_words(argument, titles, many=many) for argument in arguments)


def _word(kind: Any, titles: Titles) -> str:
    return _link(kind, titles, tag_of(kind) or "section") if kind in titles else KINDS.get(kind, "text")


def _described(field: FieldInfo) -> str:
    """Its description as Markdown, with links to the pages that it names."""
    text = MARKS.sub(lambda mark: mark[1] or f"\\{mark[2]}", field.description or "")
    return PAGES.sub(r"[\1](\1)", text)
