"""The same over TLS."""

import asyncio
import logging
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from daemon.errors import ConfigError
from daemon.http.access.settings import TlsSettings
from daemon.http.settings import HttpSettings
from tests.http.access.calls import CERTIFICATE, KEYS, PRIVATE_KEY, SETTINGS, asked, status
from tests.http.calls import send
from tests.http.conftest import Served
from tests.http.raw import connected
from tests.http.test_connections import gate
from tests.http.test_server import BODY, SAMPLE

TLS = TlsSettings(certificate=CERTIFICATE, key=PRIVATE_KEY)


def trusting(certificate: Path = CERTIFICATE) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


def connector() -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(ssl=trusting())


async def test_a_service_over_tls(serve: Served) -> None:
    async with serve(chain_of=lambda _: gate(), tls=TLS, connector=connector) as (server, client):
        assert server.url == f"https://127.0.0.1:{server.port}"
        assert (await send(client, SAMPLE, BODY))[0] == 200
        assert await status(client, "/status", {"Origin": server.url}) == 200
        for foreign in ("https://evil.example", server.url.replace("https", "http")):
            assert await status(client, "/status", {"Origin": foreign}) == 403


async def test_a_session_s_cookie_is_for_this_host_over_tls_alone(serve: Served) -> None:
    async with serve(chain_of=lambda _: gate(), tls=TLS, keys=SETTINGS, connector=connector) as (server, client):
        _, _, headers = await asked(client, "POST", "/session", json={"key": KEYS["metrics"]})
        cookie = headers["Set-Cookie"]
        assert cookie.startswith(f"__Host-visaged-{server.port}=metrics.")
        assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        client.cookie_jar.clear()
        value = cookie.partition(";")[0]
        assert await status(client, "/status", {"Cookie": value}) == 200
        assert await status(client, "/status", {"Cookie": value.removeprefix("__Host-")}) == 401  # of a subdomain


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_old_versions_are_refused(serve: Served, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(chain_of=lambda _: gate(), tls=TLS, connector=connector) as (server, _):
        old = trusting()
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(OSError):  # a reset, or OpenSSL's own
            await asyncio.open_connection("127.0.0.1", server.port, ssl=old)
    assert "UNSUPPORTED_PROTOCOL" in caplog.text


async def test_what_is_no_tls_is_told_and_closed(serve: Served, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(chain_of=lambda _: gate(), tls=TLS, connector=connector) as (server, client):
        async with connected(server) as wire:
            await wire.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"HTTP" not in await wire.rest()
        assert await status(client, "/healthz") == 200
    assert "HTTP: a client did not begin TLS as expected: HTTP_REQUEST" in caplog.text


async def test_a_client_that_never_begins_tls_is_closed(serve: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with (
        serve(chain_of=lambda _: gate(), tls=TLS, connector=connector, header_timeout=0.2) as (server, _),
        connected(server) as wire,
    ):
        assert await wire.rest() == b""
    assert "HTTP: a client did not begin TLS as expected: SSL handshake is taking longer than 0.2" in caplog.text


async def test_a_stop_does_not_wait_for_one_that_never_begins_tls(serve: Served) -> None:
    async with (
        serve(chain_of=lambda _: gate(), tls=TLS, connector=connector, header_timeout=60) as (server, client),
        connected(server) as wire,
    ):
        assert await status(client, "/healthz") == 200  # so that the other has been accepted
        async with asyncio.timeout(5):
            await server.stop()
            assert await wire.rest() == b""


async def test_connections_that_begin_no_tls_count_to_the_limit(serve: Served) -> None:
    async with (
        serve(chain_of=lambda _: gate(), tls=TLS, connector=connector, header_timeout=0.5, max_connections=2) as (
            server,
            client,
        ),
        connected(server),
        connected(server),
    ):
        assert await status(client, "/healthz") == 200  # when the others have had their time


async def test_a_new_certificate_is_for_new_connections(serve: Served, tmp_path: Path) -> None:
    there = TlsSettings(certificate=tmp_path / "c.pem", key=tmp_path / "k.pem")
    shutil.copy(CERTIFICATE, there.certificate)
    shutil.copy(PRIVATE_KEY, there.key)
    async with serve(chain_of=lambda _: gate(), tls=there, keys=SETTINGS, connector=connector) as (server, client):
        first = server._connections and server._connections.tls
        await server.reconfigure(HttpSettings(tls=there, keys=SETTINGS))
        second = server._connections and server._connections.tls
        assert first is not second
        there.key.write_text("no key any more")
        with pytest.raises(ConfigError, match=r"^http\.tls: expected a certificate and its private key"):
            await server.reconfigure(HttpSettings(tls=there, keys={"a": SETTINGS["query"]}))
        assert (server._connections and server._connections.tls) is second
        code, *_ = await asked(client, "POST", "/session", json={"key": KEYS["metrics"]})
        assert code == 200  # the keys are the old ones too


def missing(folder: Path) -> TlsSettings:
    return TlsSettings(certificate=folder / "none.pem", key=PRIVATE_KEY)


def swapped(_: Path) -> TlsSettings:
    return TlsSettings(certificate=PRIVATE_KEY, key=CERTIFICATE)


def of_another(folder: Path) -> TlsSettings:
    (folder / "key.pem").write_text(OTHER_KEY)
    return TlsSettings(certificate=CERTIFICATE, key=folder / "key.pem")


def encrypted(_: Path) -> TlsSettings:
    return TlsSettings(certificate=CERTIFICATE, key=PRIVATE_KEY.with_name("encrypted_key.pem"))


OTHER_KEY = """\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEICPaghKjPZowxkWO1hPeD2asi3P4cNK/dFCr0CNRig5yoAoGCCqGSM49
AwEHoUQDQgAEr0++Ve3YnRaWKw+AVWVFCfkxphwY/fQUo+2N9GDvuP8gQjUOyeLe
mU+FKSNc5Hbtqp3XnMuXdPzIstkAQIBDVQ==
-----END EC PRIVATE KEY-----"""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (missing, r"cannot read /.*/none.pem: No such file or directory$"),
        (swapped, r"expected a certificate and its private key \(PEM\), got .*key.pem and .*certificate.pem, which "),
        (of_another, r"which OpenSSL refuses: KEY_VALUES_MISMATCH$"),
        (encrypted, r"expected a private key without a passphrase, got an encrypted one$"),
    ],
)
def test_a_certificate_that_cannot_be_used(
    settings: Callable[[Path], TlsSettings], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=expected):
        settings(tmp_path).context()
