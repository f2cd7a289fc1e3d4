"""`visaged schema register`: gives the schemas to a registry (Confluent's API, which Apicurio speaks too)."""

import http.client
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from daemon.errors import ConfigError, InvalidDocument, RequestRefused
from daemon.wire.codec import encode, parse
from daemon.wire.schemas.documents import DEAD_LETTER_SCHEMA, TYPES, schema_of

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
TIMEOUT_S = 30.0


class Registry:
    """By its URL, below which its paths are; Apicurio's has /apis/ccompat/v7 in it."""

    def __init__(self, url: str, user: str | None = None, password_file: Path | None = None) -> None:
        """Raises ConfigError."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ConfigError("--registry: expected http://HOST:PORT or https://HOST:PORT, without a password in it")
        if (user is None) != (password_file is None):
            raise ConfigError("expected --user and --password-file together, got one of them")
        self._url = url.rstrip("/")
        self._headers = {"Content-Type": MEDIA_TYPE, "Accept": f"{MEDIA_TYPE}, application/json"}
        if user is not None and password_file is not None:
            login = f"{user}:{_content(password_file)}".encode()
            self._headers["Authorization"] = f"Basic {b64encode(login).decode()}"

    def set_compatibility(self, subject: str, level: str) -> None:
        """Raises RequestRefused."""
        self._ask("PUT", f"/config/{quote(subject, safe='')}", {"compatibility": level})

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        """Its id; the same again for a schema that is there. Raises RequestRefused."""
        text = encode(schema).decode()
        path = f"/subjects/{quote(subject, safe='')}/versions"
        answer = self._ask("POST", path, {"schemaType": "JSON", "schema": text})
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), int):
            raise RequestRefused(f"{self._url}{path}: expected the schema's id as an answer: is it a registry?")
        return int(answer["id"])

    def _ask(self, method: str, path: str, body: object) -> Any:
        request = Request(f"{self._url}{path}", encode(body), self._headers, method=method)  # noqa: S310  # http(s)
        try:
            with urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
                return parse(response.read())
        except HTTPError as err:
            raise RequestRefused(f"{self._url}{path}: {err.code}: {_told(err.read())}") from None
        except (OSError, http.client.HTTPException) as err:
            reason = err.reason if isinstance(err, URLError) else err
            raise RequestRefused(f"{self._url}: no answer: {reason}: does a registry listen there?") from err
        except InvalidDocument as err:
            raise RequestRefused(f"{self._url}{path}: expected JSON as an answer: is it a registry?") from err


def register(registry: Registry, compatibility: str) -> Mapping[str, int]:
    """The schemas of values, each under its schema_id, and their ids there. Raises RequestRefused.

    `compatibility`: the level that the registry then holds later versions to.
    """
    ids = {}
    for schema in TYPES:
        if schema != DEAD_LETTER_SCHEMA:  # which is of headers
            registry.set_compatibility(schema.id, compatibility)
            ids[schema.id] = registry.register(schema.id, schema_of(schema))
    return ids


def _content(path: Path) -> str:
    """Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeError) as err:
        why = err.strerror if isinstance(err, OSError) else "no text in UTF-8"
        raise ConfigError(f"--password-file: cannot read {path}: {why}") from err


def _told(body: bytes) -> str:
    """What a registry says is wrong; of something else the beginning."""
    try:
        answer = parse(body)
    except InvalidDocument:
        answer = None
    message = answer.get("message") if isinstance(answer, dict) else None
    return str(message or body[:200].decode("utf-8", "replace"))[:1000]
