"""Every record that a test makes keeps the schema that it names; and a test makes every member that a schema has.

What a worker of pytest-xdist has seen goes to the controller, which compares at the end of a whole run.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import jsonschema_rs
import pytest

from daemon.kafka.dead_letters import DeadLetter
from daemon.wire import v2
from daemon.wire.headers import DocumentHeaders
from daemon.wire.schemas.documents import DEAD_LETTER_SCHEMA, TYPES, made_of, schema_of
from sinks.base import Header, Record

Members = dict[str, Any]
SCHEMAS: Final = {schema.urn: schema_of(schema) for schema in TYPES}
VALUES: Final = tuple(SCHEMAS)
SEEN: Final[set[str]] = set()
"""Places of members, as urn:visaged:schema:document:2.1/objects/gender."""
OUTPUT: Final = "schema_members"
MISSING: Final = pytest.StashKey[list[str]]()


def closed(schema: Any) -> Any:
    """The same, which takes no member that it does not name."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    below = {name: closed(one) for name, one in schema.items()}
    return below | {"unevaluatedProperties": False} if "properties" in schema else below


def validator_of(schema: Members) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(closed(schema), validate_formats=True)


VALIDATORS: Final = {urn: validator_of(schema) for urn, schema in SCHEMAS.items()}
HEADERS: Final = "headers"
SCHEMAS[HEADERS] = made_of(DocumentHeaders)
VALIDATORS[HEADERS] = jsonschema_rs.Draft202012Validator(SCHEMAS[HEADERS], validate_formats=True)
"""Open: those of an input record may pass."""


def mistakes(urn: str, value: object) -> list[str]:
    """Where a value does not keep the closed form of a schema; what it has of the schema's members is seen."""
    found = [
        f"{urn}: {'/'.join(map(str, err.instance_path))}: {err.message}" for err in VALIDATORS[urn].iter_errors(value)
    ]
    if not found:
        SEEN.update(members_in(SCHEMAS[urn], SCHEMAS[urn], value, urn))
    return found


def members_in(root: Members, schema: Members, value: Any, place: str) -> Iterator[str]:
    """Of a schema, those that a value has."""
    schema = resolved(root, schema)
    for name, below in schema.get("properties", {}).items():
        if name in value:
            yield f"{place}/{name}"
            yield from members_in(root, below, value[name], f"{place}/{name}")
    for one in value if "items" in schema else ():
        yield from members_in(root, schema["items"], one, place)
    for one in value.values() if "additionalProperties" in schema else ():
        yield from members_in(root, schema["additionalProperties"], one, place)


def all_members(root: Members, schema: Members, place: str) -> Iterator[str]:
    schema = resolved(root, schema)
    for name, below in schema.get("properties", {}).items():
        yield f"{place}/{name}"
        yield from all_members(root, below, f"{place}/{name}")
    for keyword in {"items", "additionalProperties"} & schema.keys():
        yield from all_members(root, schema[keyword], place)


def resolved(root: Members, schema: Members) -> Members:
    return root["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def texts(headers: tuple[Header, ...]) -> dict[str, str]:
    return {name: (value or b"").decode("utf-8", "backslashreplace") for name, value in headers}


def of_record(record: Record) -> list[str]:
    """None of one that does not say what it is."""
    if isinstance(record, DeadLetter):
        return mistakes(DEAD_LETTER_SCHEMA.urn, texts(record.headers[len(record.came_headers) :]))
    headers = texts(record.headers)
    if "ce_dataschema" not in headers:
        return []
    values = [json.loads(value) for value in (record.value, record.smaller) if value is not None]
    found = [mistake for value in values for mistake in mistakes(headers["ce_dataschema"], value)]
    return found + mistakes(HEADERS, headers)


@pytest.fixture(autouse=True)
def schemas(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """At the end of each test, what it gave to sinks and to subscribers has kept its schema."""
    found: list[str] = []

    def checked(init: Callable[..., None]) -> Callable[..., None]:
        def made(record: Record, *args: Any, **members: Any) -> None:
            init(record, *args, **members)
            found.extend(of_record(record))

        return made

    def without_templates(document: bytes) -> bytes:
        left, before = v2.without_templates(document), json.loads(document)
        for urn in VALUES:
            if VALIDATORS[urn].is_valid(before):
                found.extend(mistakes(urn, json.loads(left)))
        return left

    for kind in (Record, DeadLetter):
        monkeypatch.setattr(kind, "__init__", checked(kind.__init__))
    monkeypatch.setattr("daemon.http.streams.events.without_templates", without_templates)
    yield
    assert found == []


def unseen() -> list[str]:
    everything = {member for urn, schema in SCHEMAS.items() for member in all_members(schema, schema, urn)}
    return sorted(everything - SEEN)


def is_whole(session: pytest.Session) -> bool:
    """All tests were asked for and have passed."""
    option = session.config.option
    asked = session.config.args_source is pytest.Config.ArgsSource.TESTPATHS and not (option.keyword or option.markexpr)
    return asked and not option.collectonly and session.exitstatus == pytest.ExitCode.OK


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Of pytest-xdist, for each worker that has ended."""
    SEEN.update(getattr(node, "workeroutput", {}).get(OUTPUT, ()))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[OUTPUT] = sorted(SEEN)
    elif is_whole(session) and (missing := unseen()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        session.config.stash[MISSING] = missing


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for member in config.stash.get(MISSING, ()):
        terminalreporter.write_line(f"ERROR no test has made the member of a schema: {member}", red=True)
