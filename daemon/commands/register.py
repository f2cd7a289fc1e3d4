"""`visaged schema register`: gives the schemas to a registry (Confluent's API, which Apicurio speaks too)."""

from base64 import b64encode
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from daemon.client.blocking import Transport
from daemon.client.calls import path
from daemon.client.server import Answer, Call, Server
from daemon.commands.streams import content
from daemon.errors import ConfigError
from daemon.wire.codec import encode
from daemon.wire.schemas.documents import DEAD_LETTER_SCHEMA, TYPES, schema_of

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
TIMEOUT_S = 30.0


class Registry:
    """By its URL, below which its paths are; Apicurio's has /apis/ccompat/v7 in it."""

    def __init__(self, url: str, user: str | None = None, password_file: Path | None = None) -> None:
        """Raises ConfigError."""
        if (user is None) != (password_file is None):
            raise ConfigError("expected --user and --password-file together, got one of them")
        headers = {"Content-Type": MEDIA_TYPE, "Accept": f"{MEDIA_TYPE}, application/json"}
        if user is not None and password_file is not None:
            login = f"{user}:{content(password_file, '--password-file')}".encode()
            headers["Authorization"] = f"Basic {b64encode(login).decode()}"
        try:
            self._transport = Transport(Server(url, headers, "a registry"), TIMEOUT_S)
        except ValueError as err:
            raise ConfigError(f"--registry: {err}") from None

    def set_compatibility(self, subject: str, level: str) -> None:
        """Raises RequestFailed."""
        body = partial(encode, {"compatibility": level})
        self._transport.send(Call("PUT", path("config", subject), _members, body))

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        """Its id; the same again for a schema that is there. Raises RequestFailed."""
        body = partial(encode, {"schemaType": "JSON", "schema": encode(schema).decode()})
        return self._transport.send(Call("POST", path("subjects", subject, "versions"), _id, body))


def register(registry: Registry, compatibility: str) -> Mapping[str, int]:
    """The schemas of values, each under its schema_id, and their ids there. Raises RequestFailed.

    `compatibility`: the level that the registry then holds later versions to.
    """
    ids = {}
    for schema in TYPES:
        if schema != DEAD_LETTER_SCHEMA:  # which is of headers
            registry.set_compatibility(schema.id, compatibility)
            ids[schema.id] = registry.register(schema.id, schema_of(schema))
    return ids


def _members(answer: Answer) -> Mapping[str, Any]:
    return answer.members


def _id(answer: Answer) -> int:
    number = answer.members["id"]
    if not isinstance(number, int):
        raise TypeError(f"expected the schema's id, got {type(number).__name__}")
    return number
