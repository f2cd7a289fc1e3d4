"""A browser's session: how it begins, what it may, and what ends it."""

import asyncio
import stat
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp
import pytest

from daemon.errors import ConfigError
from daemon.http.access.keys import Key, Keys, new_key
from daemon.http.access.sessions import SECRET_FILE, SESSION_S, Sessions, kept_secret
from daemon.http.server import HttpServer
from daemon.http.settings import HttpSettings
from tests.http.access.calls import KEYS, SETTINGS, Headers, asked, bearer, settings_of, status
from tests.http.access.test_keys import Clock
from tests.http.conftest import Served
from tests.http.test_connections import gate
from tests.http.test_server import BODY, SAMPLE

JSON = {"Content-Type": "application/json"}
OURS = {"Sec-Fetch-Site": "same-origin"}

Client = aiohttp.ClientSession


async def begun(client: Client, key: str) -> Headers:
    """The header that a browser sends from then on."""
    code, _, headers = await asked(client, "POST", "/session", json={"key": key})
    assert code == 200
    client.cookie_jar.clear()  # which stays out of these tests
    return {"Cookie": headers["Set-Cookie"].partition(";")[0]}


def tampered(cookie: Headers, old: str, new: str) -> Headers:
    assert old in cookie["Cookie"]
    return {"Cookie": cookie["Cookie"].replace(old, new)}


async def test_a_key_begins_a_session_that_is_not_the_key(guarded: tuple[HttpServer, Client]) -> None:
    server, client = guarded
    key = KEYS["metrics"]
    code, body, headers = await asked(client, "POST", "/session", json={"key": key})
    assert (code, body) == (200, {"name": "metrics", "roles": ["metrics"], "streams": ["*"]})
    ((name, cookie),) = SimpleCookie(headers["Set-Cookie"]).items()
    assert name == f"visaged-{server.port}"
    assert key not in headers["Set-Cookie"]
    assert (cookie["path"], cookie["max-age"], cookie["samesite"]) == ("/", str(12 * 3600), "Strict")
    assert cookie["httponly"] is True
    assert not cookie["domain"] and not cookie["secure"]
    assert await status(client, "/status", {"Cookie": f"{name}={cookie.value}"}) == 200


async def test_a_session_may_what_its_key_may(client: Client) -> None:
    session = await begun(client, KEYS["query"])
    assert await status(client, "/status", session) == 403
    code, *_ = await asked(client, "POST", SAMPLE, session | OURS | JSON, data=BODY)
    assert code == 200


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),  # another port is another origin
        ({"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "OWN"}, 200),
    ],
)
async def test_only_pages_of_ours_change_anything_with_a_session(
    guarded: tuple[HttpServer, Client], sent: Headers, expected: int
) -> None:
    server, client = guarded
    own = {name: value.replace("OWN", server.url) for name, value in sent.items()}
    session = await begun(client, KEYS["query"])
    code, *_ = await asked(client, "POST", SAMPLE, session | own | JSON, data=BODY)
    assert code == expected


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_form_is_not_taken_with_a_session(client: Client, content_type: str) -> None:
    """Which a browser sends without asking whether it may."""
    session = await begun(client, KEYS["query"])
    code, body, _ = await asked(client, "POST", SAMPLE, session | OURS | {"Content-Type": content_type}, data=BODY)
    assert (code, body["detail"]) == (415, f"Content-Type: {content_type} came, application/json was expected")


async def test_a_key_counts_before_a_session(client: Client) -> None:
    session = await begun(client, KEYS["metrics"])
    assert await status(client, "/status", session | bearer(new_key())) == 401
    assert await status(client, "/status", session | bearer(KEYS["query"])) == 403


async def test_a_session_that_was_ended_is_over_also_for_who_copied_it(client: Client) -> None:
    session, other = await begun(client, KEYS["metrics"]), await begun(client, KEYS["metrics"])
    assert await status(client, "/session", session, "DELETE") == 403
    assert await status(client, "/status", session) == 200
    code, _, headers = await asked(client, "DELETE", "/session", session | OURS)
    assert code == 204
    ((_, cookie),) = SimpleCookie(headers["Set-Cookie"]).items()
    assert (cookie.value, cookie["max-age"]) == ("", "0")
    assert [await status(client, "/status", of) for of in (session, other)] == [401, 200]


async def test_a_session_ends_with_its_key(guarded: tuple[HttpServer, Client]) -> None:
    server, client = guarded
    session = await begun(client, KEYS["metrics"])
    await server.reconfigure(HttpSettings(keys=SETTINGS | {"metrics": settings_of(new_key(), ["metrics"])}))
    code, body, _ = await asked(client, "GET", "/status", session)
    assert (code, body) == (401, {"detail": "The session is over: POST /session begins another"})
    await server.reconfigure(HttpSettings(keys={"query": SETTINGS["query"]}))
    assert await status(client, "/status", session) == 401


async def test_a_cookie_of_another_port_or_of_no_server_lets_nobody_in(serve: Served) -> None:
    keys = {"metrics": SETTINGS["metrics"], "query": SETTINGS["query"]}
    async with (
        serve(chain_of=lambda _: gate(), keys=keys) as (here, client),
        serve(chain_of=lambda _: gate(), keys=keys) as (there, other),
    ):
        foreign = await begun(other, KEYS["metrics"])
        assert await status(other, "/status", foreign) == 200
        assert await status(client, "/status", foreign) == 401
        assert await status(client, "/status", tampered(foreign, f"-{there.port}=", f"-{here.port}=")) == 401
        session = await begun(client, KEYS["query"])
        for forged in (
            tampered(session, "=query.", "=metrics."),
            tampered(session, "=query.", "=nobody."),
            tampered(session, "=query.", "=query.9"),
            {"Cookie": session["Cookie"].rpartition(".")[0]},
            {"Cookie": f"visaged-{here.port}="},
            {"Cookie": f"visaged-{here.port}=metrics"},
            {"Cookie": f"visaged-{here.port}=metrics.9999999999.a.\u00e9"},
            {"Cookie": f"visaged-{here.port}={KEYS['metrics']}"},
        ):
            assert await status(client, "/status", forged) == 401, forged


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (OURS, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
    ],
)
async def test_no_other_page_logs_anybody_in_or_out(client: Client, sent: Headers, expected: int) -> None:
    code, _, headers = await asked(client, "POST", "/session", sent, json={"key": KEYS["query"]})
    assert (code, "Set-Cookie" in headers) == (expected, expected == 200)
    code, _, headers = await asked(client, "DELETE", "/session", sent)
    assert (code, "Set-Cookie" in headers) == (204 if expected == 200 else expected, expected == 200)


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b'{"key": "vis_01234567_nothing"}', "application/json", 401),
        (b"{}", "application/json", 422),
        (b"[]", "application/json", 422),
        (b'{"key": 1}', "application/json", 422),
        (b"{", "application/json", 422),
        (b'{"key": "A KEY"}', "text/plain", 415),
        pytest.param(b'{"key": "%s"}' % (b"x" * 2000), "application/json", 413, id="too long"),
    ],
)
async def test_what_is_no_key_begins_no_session(client: Client, body: bytes, content_type: str, expected: int) -> None:
    sent = body.replace(b"A KEY", KEYS["query"].encode())
    code, answer, headers = await asked(client, "POST", "/session", {"Content-Type": content_type}, data=sent)
    assert (code, "Set-Cookie" in headers) == (expected, False)
    assert "detail" in answer


async def test_a_key_in_pieces_that_do_not_come(serve: Served) -> None:
    never = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'{"key":'
        await never.wait()

    async with serve(chain_of=lambda _: gate(), keys=SETTINGS, deadline=0.2) as (_, client):
        async with client.post("/session", data=body(), headers=JSON) as response:
            assert response.status == 504
        never.set()


async def test_sessions_count_to_the_rate_of_their_key(serve: Served) -> None:
    keys = {"a": settings_of(KEYS["query"], ["query"], rate=0.01)}
    async with serve(chain_of=lambda _: gate(), keys=keys) as (_, client):
        codes = [(await asked(client, "POST", "/session", json={"key": KEYS["query"]}))[0] for _ in range(2)]
        assert codes == [200, 429]


async def test_without_keys_there_are_no_sessions(serve: Served) -> None:
    async with serve(chain_of=lambda _: gate()) as (_, client):
        code, body, _ = await asked(client, "POST", "/session", json={"key": KEYS["query"]})
        assert (code, body) == (404, {"detail": "No keys are configured: requests need no session"})


def key_and_sessions(clock: Clock) -> tuple[Key, Sessions]:
    secret = new_key()
    keys = Keys({"a.b-c": settings_of(secret, ["watch"])})
    key = keys.find(secret)
    assert key is not None
    return key, Sessions(keys, clock)


def test_a_session_is_over_after_twelve_hours() -> None:
    clock = Clock()
    key, sessions = key_and_sessions(clock)
    token = sessions.begin(key)
    clock.now += SESSION_S - 1
    assert sessions.key_of(token) is key
    clock.now += 1
    assert sessions.key_of(token) is None


def test_ended_sessions_are_forgotten_when_they_would_have_ended() -> None:
    clock = Clock()
    key, sessions = key_and_sessions(clock)
    for _ in range(3):
        sessions.end(sessions.begin(key))
    sessions.end("nobody's")
    assert len(sessions._ended) == 3
    clock.now += SESSION_S + 1
    sessions.end(sessions.begin(key))
    assert len(sessions._ended) == 1


def test_the_secret_is_kept_for_the_daemon_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / SECRET_FILE
    secret = kept_secret(path)
    assert (len(secret), kept_secret(path)) == (32, secret)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [SECRET_FILE]
    path.write_bytes(secret[:5])  # as a full disk leaves it
    assert len(kept_secret(path)) == 32
    assert kept_secret(path) != secret


def test_a_secret_that_cannot_be_kept_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^state_dir: cannot keep a secret in .*: Not a directory"):
        kept_secret(tmp_path / "file" / SECRET_FILE)


async def test_sessions_outlive_a_restart_with_a_state_dir(serve: Served, tmp_path: Path) -> None:
    sessions: list[Headers] = []
    got: list[int] = []
    for state_dir in (tmp_path, tmp_path, None):
        async with serve(chain_of=lambda _: gate(), keys=SETTINGS, state_dir=state_dir) as (server, client):
            for cookie in sessions:
                _, _, token = cookie["Cookie"].partition("=")
                got.append(await status(client, "/status", {"Cookie": f"visaged-{server.port}={token}"}))
            sessions = [await begun(client, KEYS["metrics"])]
    assert got == [200, 401]
