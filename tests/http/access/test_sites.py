"""Without keys: which hosts, origins and sites may ask."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from daemon.errors import ConfigError
from daemon.http.access.guard import Guard
from daemon.http.cors import Cors
from daemon.http.server import HttpServer
from daemon.http.settings import HttpSettings
from tests.http.access.calls import SETTINGS, Headers, asked, status
from tests.http.conftest import Served
from tests.http.raw import connected
from tests.http.test_connections import gate
from tests.http.test_server import BODY, SAMPLE

APP = "https://app.example"


@pytest.fixture
async def served(serve: Served) -> AsyncIterator[tuple[HttpServer, aiohttp.ClientSession]]:
    async with serve(chain_of=lambda _: gate(), hosts=("Cam.lan", "[fd00::1]")) as served:
        yield served


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("127.0.0.1:8080", 200),
        ("127.0.0.2", 200),
        ("[::1]:8080", 200),
        ("cam.lan:8080", 200),
        ("CAM.LAN", 200),
        ("[fd00::1]:80", 200),
        ("evil.example:8080", 403),  # DNS rebinding: the name of the page, the address of this machine
        ("localhost.evil.example", 403),
        ("evil.example/localhost", 403),
        ("localhost@evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("xcam.lan", 403),
        ("192.0.2.1", 403),
        ("0.0.0.0", 403),  # noqa: S104
        ("localhost:", 403),
        ("localhost:8080:9", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
async def test_the_host(served: tuple[HttpServer, aiohttp.ClientSession], host: str, expected: int) -> None:
    for path in ("/status", "/metrics"):
        assert await status(served[1], path, {"Host": host}) == expected
    code, *_ = await asked(served[1], "POST", SAMPLE, {"Host": host, "Content-Type": "application/json"}, data=BODY)
    assert code == expected
    assert await status(served[1], SAMPLE, {"Host": host}, "OPTIONS") == (204 if expected == 200 else expected)
    assert await status(served[1], "/healthz", {"Host": host}) == 200


async def test_a_refusal_names_the_remedy(served: tuple[HttpServer, aiohttp.ClientSession]) -> None:
    expected = "localhost, 127.0.0.1, [::1] or one of http.hosts was expected, as no keys are configured"
    code, body, _ = await asked(served[1], "GET", "/status", {"Host": "evil.example"})
    assert (code, body) == (403, {"detail": f"Host: evil.example came, {expected}"})
    for head in (b"GET /status HTTP/1.0\r\n\r\n", b"GET /status HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n"):
        async with connected(served[0]) as wire:
            await wire.send(head)
            code, _, _ = await wire.answer()
            assert code in (400, 403)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({}, 200),
        ({"Origin": "OWN"}, 200),
        ({"Origin": "OWN", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "what else"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Origin": "OWN.evil.example"}, 403),
        ({"Origin": "file://"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
    ],
)
async def test_pages_of_other_sites(
    served: tuple[HttpServer, aiohttp.ClientSession], sent: Headers, expected: int
) -> None:
    server, client = served
    headers = {name: value.replace("OWN", server.url) for name, value in sent.items()}
    assert await status(client, "/status", headers) == expected
    code, *_ = await asked(client, "POST", SAMPLE, headers | {"Content-Type": "application/json"}, data=BODY)
    assert code == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"Host: \xff", 403),
        (b"Host: localhost\r\nOrigin: \xff", 403),
        (b"Host: localhost\r\nSec-Fetch-Site: \xff", 403),
    ],
)
async def test_what_is_no_text_is_quoted_so(
    served: tuple[HttpServer, aiohttp.ClientSession], header: bytes, expected: int
) -> None:
    async with connected(served[0]) as wire:
        await wire.send(b"GET /status HTTP/1.1\r\n%s: \xff\r\n\r\n" % header)
        code, _, body = await wire.answer()
        assert (code, "? came" in body["detail"]) == (403, True)


@pytest.mark.parametrize(
    ("origins", "sent", "expected"),
    [
        ((APP,), {"Origin": APP, "Sec-Fetch-Site": "cross-site"}, 200),
        ((APP,), {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403),
        ((APP,), {"Sec-Fetch-Site": "cross-site"}, 403),  # an <img>: it could be of any page
        ((APP,), {"Origin": APP, "Host": "evil.example"}, 403),
        (("*",), {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 200),
        (("*",), {"Sec-Fetch-Site": "cross-site"}, 200),
    ],
)
async def test_pages_that_are_configured(serve: Served, origins: tuple[str, ...], sent: Headers, expected: int) -> None:
    async with serve(chain_of=lambda _: gate(), cors_origins=origins) as (_, client):
        assert await status(client, "/status", sent) == expected


async def test_where_keys_are_configured_they_alone_count(serve: Served) -> None:
    """A page that has one may ask from anywhere: its browser sends none by itself."""
    async with serve(chain_of=lambda _: gate(), keys=SETTINGS) as (_, client):
        sent = {"Host": "cams.example", "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert await status(client, "/status", sent) == 401


@pytest.mark.parametrize(
    ("host", "expected"), [("192.0.2.1:8080", 200), ("[2001:db8::1]", 200), ("evil.example", 403), ("cam.lan", 200)]
)
async def test_an_open_server_is_called_by_any_address_but_not_by_any_name(
    serve: Served, host: str, expected: int
) -> None:
    """A page can let its own name lead here, not an address."""
    async with serve(chain_of=lambda _: gate(), open=True, hosts=("cam.lan",)) as (_, client):
        assert await status(client, "/status", {"Host": host}) == expected


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
async def test_a_proxy_in_front_is_warned_of_once(serve: Served, header: str, caplog: pytest.LogCaptureFixture) -> None:
    for keys, expected in (({}, 1), (SETTINGS, 0)):
        caplog.clear()
        async with serve(chain_of=lambda _: gate(), keys=keys) as (_, client):
            for _ in range(3):
                await status(client, "/status", {header: "for=192.0.2.1"})
        told = [r for r in caplog.records if r.levelno == logging.WARNING and "a proxy passes" in r.getMessage()]
        assert len(told) == expected


REACHED: list[dict[str, Any]] = [{"host": host} for host in ("0.0.0.0", "::", "192.0.2.1", "", "cam.lan", "127.1")]  # noqa: S104


@pytest.mark.parametrize("settings", REACHED, ids=str)
def test_without_keys_others_are_not_listened_to(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^http.host: expected a loopback address .*, got .* without keys$"):
        Guard(HttpSettings(**settings), Cors(()))
    Guard(HttpSettings(**settings, open=True), Cors(()))
    Guard(HttpSettings(**settings, keys=SETTINGS), Cors(()))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LocalHost"])
def test_this_machine_may_be_listened_to_without_keys(host: str) -> None:
    Guard(HttpSettings(host=host), Cors(()))


@pytest.mark.parametrize("name", ["a:80", "http://a", "a/b", "", "*", "[x]", "a."])
def test_a_host_is_a_name_without_a_port(name: str) -> None:
    with pytest.raises(ValidationError):
        HttpSettings(hosts=(name,))
