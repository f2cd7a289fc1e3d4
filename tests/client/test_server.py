"""What answers mean, and that a key goes to nobody else; servers that are not visaged."""

import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
from aiohttp import web

from daemon.client import Client, NoAnswer, NotFound, RequestRefused, UnexpectedAnswer
from daemon.client.server import Answer, Call, Server
from daemon.errors import Problem, RequestFailed
from tests.client.asking import asking, both_ways

URL = "http://127.0.0.1:1"
KEY = "vis_12345678_secret"


def result(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> object:
    call = Call("GET", "/streams", lambda answer: answer.members["streams"])
    return Server(URL).result(call, Answer(status, headers or {}, body))


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (404, b'{"detail": "No stream has the id x"}', NotFound, "404: No stream has the id x"),
        (404, b"<html>\n  No such file\n", UnexpectedAnswer, r"\(404: <html> No such file\): is it visaged\?$"),
        (404, b"", UnexpectedAnswer, "404: .*: is it visaged?"),
        (404, b'{"error": "nothing here"}', UnexpectedAnswer, "404: .*: is it visaged?"),
        (405, b"<html>Not Allowed", UnexpectedAnswer, "405: <html>Not Allowed.*: is it visaged?"),
        (501, b"<html>Unsupported method", UnexpectedAnswer, "501: .*: is it visaged?"),
        (405, b'{"detail": "Method Not Allowed"}', RequestRefused, "405: Method Not Allowed"),
        (502, b"<html>Bad Gateway", RequestRefused, "502: <html>Bad Gateway"),
        (409, b'{"error_code": 409, "message": "incompatible"}', RequestRefused, "409: incompatible"),
        (500, b"", RequestRefused, "500: it does not say why"),
        (422, b'{"detail": [{"other": 1}]}', RequestRefused, r"422: \[\{'other': 1\}\]"),
        (302, b"", UnexpectedAnswer, "302: it leads to '', where a key does not go"),
        (200, b"<html>", UnexpectedAnswer, "is it visaged?"),
        (200, b"{}", UnexpectedAnswer, "KeyError: 'streams'"),
        (200, b"[]", UnexpectedAnswer, "expected a JSON object, got list"),
    ],
)
def test_what_is_no_success_is_an_error_of_its_kind(
    status: int, body: bytes, kind: type[RequestFailed], words: str
) -> None:
    with pytest.raises(kind, match=words) as failed:
        result(status, body)
    assert str(failed.value).startswith(URL)
    assert type(failed.value) is kind


def test_a_refusal_has_its_places_and_when_to_ask_again() -> None:
    body = b'{"detail": [{"loc": ["body", "fps"], "msg": "Input should be greater than 0", "type": "greater_than"}]}'
    with pytest.raises(RequestRefused, match=r"422: fps: Input should be greater than 0$") as refused:
        result(422, body)
    assert refused.value.problems == (Problem(("body", "fps"), "Input should be greater than 0", "greater_than"),)
    assert refused.value.retry_after is None
    for said, seconds in (("7", 7.0), ("Sun, 29 Nov 2026 20:00:00 GMT", None)):
        with pytest.raises(RequestRefused) as busy:
            result(503, b'{"detail": "No capacity"}', {"retry-after": said})
        assert (busy.value.detail, busy.value.retry_after) == ("No capacity", seconds)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:8080", "http://", "http://user:secret@127.0.0.1"])
def test_a_url_that_is_none_is_refused_without_what_is_secret_in_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"^expected http://HOST:PORT or https://HOST:PORT, without a key or password"):
        Client(url)


def test_a_key_is_not_shown() -> None:
    """Nor is what was read as one, and which http.client would quote."""
    assert KEY not in repr(Client(URL, KEY)._transport._server)
    for wrong in (f"{KEY}\n", f"{KEY} # of the wall", "vis_ä", ""):
        with pytest.raises(ValueError, match=r"^expected a key as `visaged keys new` prints it, got other"):
            Client(URL, wrong)


@contextlib.asynccontextmanager
async def answering(answer: Callable[[], web.Response], seen: list[web.BaseRequest]) -> AsyncIterator[str]:
    """A server that answers all with this, and keeps what was asked."""

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append(request)
        return answer()

    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@both_ways
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_with_the_key(way: str, status: int) -> None:
    asked: list[web.BaseRequest] = []
    elsewhere: list[web.BaseRequest] = []
    async with (
        answering(web.Response, elsewhere) as there,
        answering(lambda: web.Response(status=status, headers={"Location": there}), asked) as url,
        asking(way, url, KEY) as of,
    ):
        with pytest.raises(UnexpectedAnswer, match=f"{status}: it leads to '{there}'"):
            await of.ask(of.client.streams.get, "door")
        with pytest.raises(UnexpectedAnswer, match="it leads to"):
            await of.next_of(of.client.events())
    assert (len(asked), elsewhere) == (2, [])


@both_ways
async def test_the_key_and_the_path_are_sent_as_they_are(way: str) -> None:
    seen: list[web.BaseRequest] = []
    async with answering(lambda: web.json_response({}), seen) as url, asking(way, f"{url}/below/", KEY) as of:
        await of.ask(of.client.streams.get, "a/b ü%2F")
    (request,) = seen
    assert request.raw_path == "/below/streams/a%2Fb%20%C3%BC%252F"
    assert request.headers["Authorization"] == f"Bearer {KEY}"


@both_ways
async def test_who_tells_no_events_is_not_asked_again(way: str) -> None:
    async with (
        answering(lambda: web.Response(text="hello", content_type="text/html"), []) as url,
        asking(way, url) as of,
    ):
        with pytest.raises(UnexpectedAnswer, match=r"expected text/event-stream, got text/html.*: is it visaged"):
            await of.next_of(of.client.events())


@both_ways
async def test_nobody_is_there_or_too_slow(way: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with asking(way, url, timeout=0.1) as of:
            with pytest.raises(NoAnswer, match=rf"{url}: no answer: .*: does visaged listen there\?"):
                await of.ask(of.client.streams.get, "door")
    async with asking(way, url) as of:
        with pytest.raises(NoAnswer, match="does visaged listen there"):
            await of.ask(of.client.streams.get, "door")
        with pytest.raises(NoAnswer):
            await of.next_of(of.client.events())


@both_ways
async def test_the_environment_s_proxy_is_used_by_both(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    seen: list[web.BaseRequest] = []
    async with answering(lambda: web.json_response({"id": "door"}), seen) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        async with asking(way, "http://visaged.example", KEY) as of:
            assert (await of.ask(of.client.streams.get, "door")).id == "door"
    assert seen[0].headers["Host"] == "visaged.example"
