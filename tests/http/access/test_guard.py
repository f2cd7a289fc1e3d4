"""Requests with keys and without, as they are let in or refused."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from daemon.errors import ConfigError
from daemon.http.access.caller import may, tell_change, tell_look
from daemon.http.access.keys import new_key
from daemon.http.access.routes import Need
from daemon.http.openapi.operation import Operation
from daemon.http.server import HttpServer
from daemon.http.settings import HttpSettings
from tests.http.access.calls import KEYS, SETTINGS, Headers, asked, basic, bearer, settings_of, status
from tests.http.conftest import Served
from tests.http.test_connections import gate
from tests.http.test_server import BODY, SAMPLE
from tests.waiting import until

METRICS, QUERY = KEYS["metrics"], KEYS["query"]
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}

Client = aiohttp.ClientSession


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 401),
        (bearer(METRICS), 200),
        ({"Authorization": f"bearer  {METRICS} "}, 200),
        ({"X-API-Key": METRICS}, 200),
        (basic("metrics", METRICS), 200),
        (bearer(QUERY), 403),
        (bearer(new_key()), 401),
        (bearer(METRICS[:-1]), 401),
        (bearer(""), 401),
        (bearer("é"), 401),
        (basic("query", METRICS), 401),
        (basic("metrics", ""), 401),
        ({"Authorization": "Basic !"}, 401),
        ({"Authorization": "Basic /w=="}, 401),
        ({"Authorization": "Basic YQ=="}, 401),
        ({"Authorization": "Digest username=metrics"}, 401),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Digest a", "X-API-Key": METRICS}, 401),  # one that is refused is not passed over
    ],
)
async def test_what_lets_in(client: Client, headers: Headers, expected: int) -> None:
    for method in ("GET", "HEAD"):
        assert await status(client, "/status", headers, method) == expected


async def test_refusals_say_what_was_expected(client: Client) -> None:
    code, body, headers = await asked(client, "GET", "/status")
    assert (code, body) == (
        401,
        {"detail": "A key was expected, as Authorization: Bearer or X-API-Key, nothing came"},
    )
    assert headers.getall("WWW-Authenticate") == ['Basic realm="visaged", charset="UTF-8"', 'Bearer realm="visaged"']
    code, body, _ = await asked(client, "GET", "/status", bearer(QUERY))
    assert (code, body) == (403, {"detail": "The role metrics was expected, key query is not for it"})


async def test_a_browser_is_not_made_to_ask_its_user(client: Client) -> None:
    """It would keep the key, and send it along with what other pages ask for."""
    _, _, headers = await asked(client, "GET", "/status", BROWSER)
    assert headers.getall("WWW-Authenticate") == ['Bearer realm="visaged"']


async def test_basic_is_for_reading_alone(client: Client) -> None:
    code, body, headers = await asked(client, "POST", SAMPLE, basic("query", QUERY), data=b"{}")
    assert (code, body["detail"]) == (401, "Authorization: Basic is taken for GET and HEAD, POST needs Bearer")
    assert headers.getall("WWW-Authenticate") == ['Bearer realm="visaged"']


async def test_a_service_answers_who_has_its_role(client: Client) -> None:
    for key, expected in ((QUERY, 200), (METRICS, 403), (KEYS["control"], 403)):
        code, *_ = await asked(client, "POST", SAMPLE, bearer(key) | {"Content-Type": "application/json"}, data=BODY)
        assert code == expected


async def test_what_needs_no_key(client: Client) -> None:
    assert [await status(client, path) for path in ("/healthz", "/readyz", "/nowhere")] == [200, 200, 404]
    assert await status(client, SAMPLE, method="PUT") == 405
    assert await status(client, SAMPLE, method="OPTIONS") == 204


async def test_a_body_is_not_read_of_one_who_may_not(guarded: tuple[HttpServer, Client]) -> None:
    server, client = guarded
    gone_on = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        await gone_on.wait()

    async with client.post(SAMPLE, data=body(), headers={"Content-Type": "application/json"}) as response:
        assert response.status == 401
    assert server._bodies._taken == 0
    gone_on.set()


@pytest.mark.parametrize("where", ["/status?key={}", "/status?a=1&{}", "/{}", "/healthz?token=a%20{}", "/a/{}/b"])
async def test_a_key_in_a_url_is_refused_and_not_logged(
    client: Client, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    code, body, _ = await asked(client, "GET", where.format(METRICS), bearer(METRICS))
    assert code == 401
    assert body["detail"].startswith("A key in a URL is not taken, as URLs are logged: send it as Authorization: ")
    assert METRICS not in caplog.text
    if where.startswith("/{}"):
        assert f"GET /{METRICS[:12]}_*** 401 " in caplog.text


async def test_a_key_in_a_url_is_refused_where_none_are_configured_and_in_another_spelling(serve: Served) -> None:
    async with serve(chain_of=lambda _: gate()) as (server, client):
        spelt = METRICS.replace("_", "%5F")
        for path in (f"/status?{METRICS}", f"/status?k={spelt}", f"/{spelt}"):
            assert await status(client, URL(f"{server.url}{path}", encoded=True)) == 401


async def test_an_unknown_key_is_told_by_its_public_part(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    key = new_key()
    for came in (key, f"{key}=", "password"):
        await status(client, "/status", {"X-API-Key": came})
    told = [record.getMessage() for record in caplog.records if record.name == "daemon.http.access.guard"]
    of = "a request of 127.0.0.1 bears an unknown key: "
    assert told == [f"{of}{key[:12]}", f"{of}of another form", f"{of}of another form"]
    assert key[13:] not in caplog.text


async def test_the_line_of_a_request_names_its_key(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await status(client, "/status", bearer(METRICS))
    assert re.search(r"GET /status 200 \d\.\d{3} s, key metrics\n", caplog.text)


async def test_without_keys_the_line_is_as_it_was(serve: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serve(chain_of=lambda _: gate()) as (_, client):
        await status(client, "/status")
    assert re.search(r"GET /status 200 \d\.\d{3} s\n", caplog.text)


async def test_a_rate_is_answered_with_429_and_when_to_come_again(serve: Served) -> None:
    keys = {"slow": settings_of(METRICS, ["metrics"], rate=0.01), "other": settings_of(QUERY, ["metrics"])}
    async with serve(chain_of=lambda _: gate(), keys=keys) as (_, client):
        assert await status(client, "/status", bearer(METRICS)) == 200
        code, body, headers = await asked(client, "GET", "/status", bearer(METRICS))
        assert (code, body) == (429, {"detail": "The key slow may have 0.01 requests per second"})
        assert 95 <= int(headers["Retry-After"]) <= 100
        assert await status(client, "/status", bearer(QUERY)) == 200
        assert await status(client, "/healthz") == 200


async def test_requests_at_once_are_counted_until_they_are_answered(serve: Served) -> None:
    closed = gate()
    closed.opened.clear()
    keys = {"one": settings_of(QUERY, ["query", "metrics"], concurrent=1)}
    async with serve(chain_of=lambda _: closed, keys=keys) as (_, client):
        headers = bearer(QUERY) | {"Content-Type": "application/json"}
        first = asyncio.create_task(asked(client, "POST", SAMPLE, headers, data=BODY))
        await closed.reached()
        code, body, answered = await asked(client, "GET", "/status", bearer(QUERY))
        assert (code, body, answered["Retry-After"]) == (
            429,
            {"detail": "The key one may have 1 requests at the same time"},
            "1",
        )
        closed.opened.set()
        assert (await first)[0] == 200
        assert await status(client, "/status", bearer(QUERY)) == 200


async def test_pictures_are_kept_by_no_cache_and_shown_by_no_other_site(client: Client) -> None:
    answers = [
        await asked(client, "GET", "/healthz"),
        await asked(client, "GET", "/status"),
        await asked(client, "POST", SAMPLE, bearer(QUERY) | {"Content-Type": "application/json"}, data=BODY),
    ]
    for _, _, headers in answers:
        assert headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_pages_of_configured_origins_bear_a_key(serve: Served) -> None:
    origin = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
    preflight = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    async with serve(chain_of=lambda _: gate(), keys=SETTINGS, cors_origins=("https://app.example",)) as (_, client):
        code, _, headers = await asked(client, "OPTIONS", "/status", origin | preflight)
        assert code == 204
        assert {"Authorization", "X-API-Key"} <= set(headers["Access-Control-Allow-Headers"].split(", "))
        assert "Access-Control-Allow-Credentials" not in headers  # a session is not for them
        for sent, expected in ((bearer(METRICS), 200), ({}, 401)):
            code, _, headers = await asked(client, "GET", "/status", origin | sent)
            assert (code, headers["Access-Control-Allow-Origin"]) == (expected, "https://app.example")


async def test_keys_are_replaced_while_it_runs(guarded: tuple[HttpServer, Client]) -> None:
    server, client = guarded
    other = new_key()
    await server.reconfigure(HttpSettings(keys={"other": settings_of(other, ["metrics"])}))
    assert [await status(client, "/status", bearer(key)) for key in (METRICS, other)] == [401, 200]


async def test_the_last_key_is_not_taken_away_where_others_listen(serve: Served) -> None:
    async with serve(chain_of=lambda _: gate(), keys=SETTINGS, host="0.0.0.0") as (server, _):  # noqa: S104
        with pytest.raises(ConfigError, match="expected a key, as others than this machine are listened to, got none"):
            await server.reconfigure(HttpSettings())
        url = f"http://127.0.0.1:{server.port}/status"
        async with aiohttp.ClientSession() as client:
            assert [await status(client, url, headers) for headers in ({}, bearer(METRICS))] == [401, 200]


class Watched:
    """Handlers as those of streams are."""

    def __init__(self) -> None:
        self.templates: list[bool] = []
        self.streaming = asyncio.Event()

    async def look(self, request: web.Request) -> web.Response:
        tell_look(request, request.match_info["id"])
        self.templates.append(may(request, "templates", request.match_info["id"]))
        return web.Response()

    async def change(self, request: web.Request) -> web.Response:
        tell_change(request, f"stream {request.match_info['id']}: paused")
        return web.Response()

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Until its key may no more."""
        response = web.StreamResponse()
        await response.prepare(request)
        self.streaming.set()
        await until(lambda: not may(request, "watch", request.match_info["id"]))
        return response


async def test_streams_are_for_keys_of_their_patterns(serve: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    door, yard = new_key(), new_key()
    keys = {
        "door": settings_of(door, ["watch", "control"], streams=["door"]),
        "yards": settings_of(yard, ["watch", "templates"], streams=["yard-*"]),
    }
    watched = Watched()

    def add(server: HttpServer) -> None:
        server.routes.add("GET", "/streams/{id}/picture", watched.look, Need(("watch",), stream="id"), Operation(""))
        server.routes.add("POST", "/streams/{id}/pause", watched.change, Need(("control",), stream="id"), Operation(""))

    async with serve(chain_of=lambda _: gate(), keys=keys, also=add) as (_, client):
        for _ in range(2):
            assert await status(client, "/streams/door/picture", bearer(door)) == 200
        code, body, _ = await asked(client, "GET", "/streams/yard-1/picture", bearer(door))
        assert (code, body) == (403, {"detail": "The key door is not for the stream yard-1"})
        assert await status(client, "/streams/yard-1/picture", bearer(yard)) == 200
        assert watched.templates == [False, False, True]
        assert await status(client, "/streams/door/pause", bearer(door), "POST") == 200
        assert await status(client, "/streams/yard-1/pause", bearer(yard), "POST") == 403
    told = [record.getMessage() for record in caplog.records if record.name == "daemon.http.access.caller"]
    assert told == [
        "stream door: key door looks at its pictures for the first time",
        "stream yard-1: key yards looks at its pictures for the first time",
        "stream door: paused, by key door",
    ]


async def test_a_long_answer_can_end_with_its_key(serve: Served) -> None:
    watched = Watched()

    def add(server: HttpServer) -> None:
        server.routes.add("GET", "/streams/{id}/follow", watched.follow, Need(("watch",), stream="id"), Operation(""))

    async with (
        serve(chain_of=lambda _: gate(), keys=SETTINGS, also=add) as (server, client),
        client.get("/streams/door/follow", headers=bearer(KEYS["watch"])) as response,
    ):
        await watched.streaming.wait()
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
        await server.reconfigure(HttpSettings(keys={"metrics": SETTINGS["metrics"]}))
        assert await response.read() == b""


async def test_a_route_that_says_nothing_is_answered_to_nobody(serve: Served) -> None:
    watched = Watched()

    def add(server: HttpServer) -> None:
        server.routes.router.add_get("/forgotten/{id}", watched.look)

    async with serve(chain_of=lambda _: gate(), also=add) as (_, client):
        assert await status(client, "/forgotten/door") == 500
    assert watched.templates == []
