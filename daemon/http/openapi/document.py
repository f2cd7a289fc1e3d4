"""The document (OpenAPI 3.1): https://spec.openapis.org/oas/v3.1.1.html."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

from pydantic import TypeAdapter

from daemon.http.access.routes import Described, Need
from daemon.http.openapi.operation import JSON, REFUSALS, Content, Invalid, Operation, Parameter, Refused
from daemon.wire.codec import Members
from daemon.wire.schemas.documents import DIALECT, Untitled

KEY, SESSION = "key", "session"
SECURITY: Final = {
    KEY: {"type": "http", "scheme": "bearer", "description": "A key of http.keys; X-API-Key and Basic are taken too."},
    SESSION: {
        "type": "apiKey",
        "in": "cookie",
        "name": "visaged_session",
        "description": "Of POST /session, for this server's own pages.",
    },
}
INFO: Final = {
    "title": "visaged",
    "summary": "Face and body analytics for camera streams and single images",
    "description": "Where the server has no keys, none is needed from this machine. Paths without a version are those "
    "of version 1. HEAD is answered as GET is.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
PART: Final = re.compile(r"\{(\w+)\}")
TAKEN_EVERYWHERE: Final = frozenset({400, 403})
"""What is refused before a handler: a request that can't be read, a page of another site."""
WITH_KEY: Final = frozenset({401, 429})
WITH_BODY: Final = frozenset({413, 415, 422, 503, 504})


def openapi(routes: Iterable[Described], version: str) -> Members:
    """Of these, in their order."""
    routes = [replace(route, tell=route.operation) for route in routes]
    schemas = _Schemas(routes)
    paths: dict[str, Members] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = schemas.operation(route)
    return {
        "openapi": "3.1.1",
        "jsonSchemaDialect": DIALECT,
        "info": {**INFO, "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas.shared,
            "examples": schemas.examples,
            "responses": schemas.refusals,
            "securitySchemes": SECURITY,
        },
    }


class _Schemas:
    """The JSON Schemas of all types, each made once: what they share is under `components`."""

    def __init__(self, routes: Sequence[Described]) -> None:
        kinds = [(Refused, False), (Invalid, False), *(kind for route in routes for kind in _kinds(route.operation))]
        adapters = {(id(kind), taken): TypeAdapter(kind) for kind, taken in kinds}
        made, shared = TypeAdapter.json_schemas(
            [(key, "validation" if key[1] else "serialization", adapter) for key, adapter in adapters.items()],
            ref_template="#/components/schemas/{model}",
            schema_generator=Untitled,
        )
        self._made = {key: schema for (key, _), schema in made.items()}
        self.shared: Members = shared.get("$defs", {})
        self.examples: Members = {}
        self.refusals: Members = {}

    def operation(self, route: Described) -> Members:
        operation = route.operation
        described: Members = {
            "operationId": _name(route),
            "summary": operation.summary,
            "tags": [_tag(route.path)],
            "security": _security(route.need),
            "parameters": [*_parts(route.path), *map(self._parameter, operation.parameters)],
            "responses": self._responses(route),
        }
        if operation.takes:
            content = {kind: self._content(one, taken=True) for one in operation.takes for kind in one.media_types}
            described["requestBody"] = {"required": True, "content": content}
        return described

    def _responses(self, route: Described) -> Members:
        answers = {
            str(status): {"description": HTTPStatus(status).phrase}
            | ({} if content is None else {"content": dict.fromkeys(content.media_types, self._content(content))})
            for status, content in route.operation.answers.items()
        }
        return answers | {str(status): self._refusal(route, status) for status in sorted(refusals_of(route))}

    def _refusal(self, route: Described, status: int) -> Members:
        examples = {
            name: example for one in route.operation.takes for name, example in one.refused.get(status, {}).items()
        }
        content = Content(Invalid if status == 422 else Refused, examples=examples)
        response = {"description": REFUSALS[status], "content": {JSON: self._content(content)}}
        if examples:
            return response
        self.refusals[str(status)] = response
        return {"$ref": f"#/components/responses/{status}"}

    def _content(self, content: Content, *, taken: bool = False) -> Members:
        described: Members = {}
        if content.kind is not None:
            described["schema"] = self._schema(content.kind, taken)
        elif content.description:
            described["schema"] = {"description": content.description}
        if content.examples:
            self.examples |= {name: {"value": value} for name, value in content.examples.items()}
            described["examples"] = {name: {"$ref": f"#/components/examples/{name}"} for name in content.examples}
        return described

    def _parameter(self, parameter: Parameter) -> Members:
        schema = self._schema(parameter.kind, True)
        described = {
            "name": parameter.name,
            "in": parameter.place,
            "description": parameter.description,
            "required": parameter.required,
            "schema": schema,
        }
        is_list = schema.get("type") == "array"
        return described | ({"style": "form", "explode": parameter.repeated} if is_list else {})

    def _schema(self, kind: Any, taken: bool) -> Members:
        return self._made[id(kind), taken]


def refusals_of(route: Described) -> frozenset[int]:
    if route.need.is_probe:
        return route.operation.refusals
    with_key = WITH_KEY if route.need.roles else frozenset()
    with_body = WITH_BODY if route.operation.takes else frozenset()
    return TAKEN_EVERYWHERE | with_key | with_body | route.operation.refusals


def _kinds(operation: Operation) -> Iterator[tuple[Any, bool]]:
    """The types that it names, and whether they are taken."""
    for content in operation.answers.values():
        if content is not None and content.kind is not None:
            yield content.kind, False
    for content in operation.takes:
        if content.kind is not None:
            yield content.kind, True
    for parameter in operation.parameters:
        yield parameter.kind, True


def _name(route: Described) -> str:
    words = re.findall(r"\w+", route.path)
    return "_".join([route.method.lower(), *words])


def _tag(path: str) -> str:
    return path.split("/")[1] or "page"


def _security(need: Need) -> list[Mapping[str, Sequence[str]]]:
    """The roles that a key needs stand beside it (OpenAPI 3.1, Security Requirement Object)."""
    without_key: list[Mapping[str, Sequence[str]]] = [{}] if need.stands_in else []
    return [*({scheme: list(need.roles)} for scheme in SECURITY), *without_key] if need.roles else []


def _parts(path: str) -> Iterator[Members]:
    for name in PART.findall(path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
