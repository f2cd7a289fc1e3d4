"""Keys, and requests that bear them."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from daemon.http.access.keys import digest, new_key
from daemon.http.access.settings import ROLES, KeySettings
from tests.worked import ROOT

CERTIFICATE = ROOT / "tests" / "data" / "tls" / "certificate.pem"
PRIVATE_KEY = ROOT / "tests" / "data" / "tls" / "key.pem"
"""Of localhost and 127.0.0.1, signed by itself, for a hundred years."""

KEYS: Mapping[str, str] = {role: new_key() for role in ROLES}
"""One for each role, named after it."""

Headers = dict[str, str]


def settings_of(key: str, roles: Sequence[str], **others: Any) -> KeySettings:
    return KeySettings(sha256=digest(key), roles=roles, **others)


SETTINGS = {role: settings_of(key, [role]) for role, key in KEYS.items()}


def bearer(key: str) -> Headers:
    return {"Authorization": f"Bearer {key}"}


def basic(name: str, key: str) -> Headers:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{key}'.encode()).decode()}"}


async def asked(
    client: aiohttp.ClientSession, method: str, path: str | URL, headers: Headers | None = None, **others: Any
) -> tuple[int, Any, CIMultiDictProxy[str]]:
    """Status, JSON and headers of the answer."""
    async with client.request(method, path, headers=headers, **others) as response:
        is_json = response.content_type == "application/json"
        return response.status, await response.json() if is_json else None, response.headers


async def status(
    client: aiohttp.ClientSession, path: str | URL, headers: Headers | None = None, method: str = "GET"
) -> int:
    return (await asked(client, method, path, headers))[0]
