"""`/history` and `/shots`, against the whole daemon."""

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest

from daemon.flow.receipts import Counts
from daemon.history import reader
from daemon.history.history import History
from daemon.simulator.camera import Camera
from sinks.base import Record
from tests.controlled import Client, Serve, camera, clip, door, serve
from tests.history.events import TEMPLATE, document, event
from tests.http.access.calls import KEYS, bearer, settings_of
from tests.waiting import until

__all__ = ["camera", "clip", "serve"]  # fixtures are found by their names here

AT = 1_764_000_000.0  # 2025-11-24T16:00:00Z
WATCH, CONTROL, TEMPLATES, OTHER = KEYS["watch"], KEYS["control"], KEYS["templates"], KEYS["query"]
GUARDED: dict[str, Any] = {
    "keys": {
        "watch": settings_of(WATCH, ["watch"], streams=["door"]).model_dump(),
        "control": settings_of(CONTROL, ["control"], streams=["yard"]).model_dump(),
        "templates": settings_of(TEMPLATES, ["watch", "templates", "control"]).model_dump(),
        "other": settings_of(OTHER, ["query"]).model_dump(),
    }
}
KEPT: dict[str, Any] = {"history": {"days": 36500}}


def history_of(call: Client) -> History:
    assert call.app._history is not None
    return call.app._history


async def keep(call: Client, *records: Record) -> None:
    history = history_of(call)
    for record in records:
        history.offer(record, Counts().open())
    await until(lambda: history.delivery.counts.received > 0 and history.delivery.counts.pending == 0)


async def fetched(call: Client, path: str, **headers: str) -> tuple[int, str, bytes]:
    """Status, media type and body."""
    assert call.app.http is not None
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{call.app.http.url}{path}", headers=headers) as response,
    ):
        return response.status, response.content_type, await response.read()


def ids(body: Any) -> Sequence[str]:
    return [one["id"] for one in body["events"]]


MANY = [
    event("appeared", event_id="a", at=AT, jpeg=b"jpeg"),
    event("left", event_id="b", at=AT + 1, stream="yard"),
    event("entered", event_id="c", at=AT + 2, zone="till", label="body"),
]


async def test_events_are_found_by_pages_with_their_pictures(serve: Serve) -> None:
    async with serve(**KEPT) as call:
        await keep(call, *MANY)
        found = (await call("GET", "/history?limit=2")).body
        assert ids(found) == ["c", "b"]
        rest = (await call("GET", f"/history?limit=2&after={found['next']}")).body
        (first,) = rest["events"]
        assert rest["next"] is None
        assert ids((await call("GET", f"/history?after={'9' * 17}-{'9' * 18}")).body) == ["c", "b", "a"]
        url = first["data"]["object"].pop("image_url")
        assert first == {
            "id": "a",
            "type": "track",
            "time": "2025-11-24T16:00:00.000000Z",
            "data": document("appeared", "door", AT, None, {"class": "face"}),
        }
        assert await fetched(call, url) == (200, "image/jpeg", b"jpeg")
        assert call.app.status()["history"]["events"] == 3
        assert call.app.status()["sinks"]["history"]["records"]["acknowledged"] == 3
        figures = (await fetched(call, "/metrics"))[2]
        assert b"\nvisaged_history_events 3.0\n" in figures
        assert b"\nvisaged_history_bytes " in figures
        assert b"\nvisaged_history_bytes 0.0\n" not in figures


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("stream=door", "c a"),
        ("stream=door&stream=yard", "c b a"),
        ("stream=nobody", ""),
        ("type=track", "b a"),
        ("type=track.left&type=place", "c b"),
        ("class=body", "c"),
        ("zone=till", "c"),
        ("from=2025-11-24T16:00:01Z&to=2025-11-24T17:00:02%2B01:00", "b"),
    ],
)
async def test_filters(serve: Serve, query: str, expected: str) -> None:
    async with serve(**KEPT) as call:
        await keep(call, *MANY)
        assert ids((await call("GET", f"/history?{query}")).body) == expected.split()
        deleted = await call("DELETE", f"/history?{query}")
        assert deleted.body == {"deleted": len(expected.split())}
        assert ids((await call("GET", f"/history?{query}")).body) == []
        assert history_of(call).figures.events == 3 - deleted.body["deleted"]


@pytest.mark.parametrize(
    ("query", "name", "message"),
    [
        ("strem=door", "strem", "Unknown; did you mean stream?"),
        ("type=frame", "type", "Expected one of track, track.appeared"),
        ("class=dog", "class", "Expected one of face, body"),
        ("from=yesterday", "from", "Expected a time as 2026-11-25T08:00:00Z"),
        ("to=2025-11-24T16:00:00", "to", "Expected a time as"),
        ("from=2025-11-24T16:00:00+01:00", "from", "(a + in a URL is a space)"),
        ("limit=0", "limit", "Expected a number from 1 to 1000"),
        ("after=1", "after", "Expected what `next` of an answer was"),
    ],
)
async def test_what_is_asked_wrongly_is_refused(serve: Serve, query: str, name: str, message: str) -> None:
    async with serve(**KEPT) as call:
        answer = await call("GET", f"/history?{query}")
        (problem,) = answer.body["detail"]
        assert (answer.status, problem["loc"]) == (422, ["query", name])
        assert message in problem["msg"]


async def test_everything_is_deleted_only_where_that_is_said(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serve(**KEPT) as call:
        await keep(call, *MANY)
        url = (await call("GET", "/history?stream=door")).body["events"][1]["data"]["object"]["image_url"]
        for query in ("", "?all=0"):
            refused = await call("DELETE", f"/history{query}")
            assert (refused.status, refused.body["detail"][0]["loc"]) == (422, ["query", "all"])
        assert (await call("DELETE", "/history?all=1&limit=1")).status == 422
        assert (await call("DELETE", "/history?all=1")).body == {"deleted": 3}
        assert (await fetched(call, url))[0] == 404
    assert "history: 3 events are deleted of all=1, by anyone" in caplog.text


async def test_keys_see_and_delete_what_is_of_their_streams(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serve(**KEPT, **GUARDED) as call:
        await keep(call, *MANY, event(event_id="d", at=AT + 3, template=TEMPLATE))
        found = (await call("GET", "/history", **bearer(WATCH))).body
        assert ids(found) == ["d", "c", "a"]
        assert "template" not in found["events"][0]["data"]["object"]
        whole = (await call("GET", "/history", **bearer(TEMPLATES))).body
        assert ids(whole) == ["d", "c", "b", "a"]
        assert whole["events"][0]["data"]["object"]["template"] == TEMPLATE
        url = whole["events"][3]["data"]["object"]["image_url"]
        assert [(await fetched(call, url, **bearer(key)))[0] for key in (WATCH, TEMPLATES, OTHER, CONTROL)] == [
            200,
            200,
            403,
            403,
        ]
        assert "stream door: key watch looks at its pictures for the first time" in caplog.text
        assert (await fetched(call, url))[0] == 401
        assert (await call("GET", "/history?stream=yard", **bearer(WATCH))).status == 403
        assert (await call("DELETE", "/history?stream=door", **bearer(CONTROL))).status == 403
        assert (await call("DELETE", "/history?all=1", **bearer(WATCH))).status == 403
        assert (await call("DELETE", "/history?all=1", **bearer(CONTROL))).body == {"deleted": 1}
        assert ids((await call("GET", "/history", **bearer(TEMPLATES))).body) == ["d", "c", "a"]
        assert "history: 1 events are deleted of all=1, by key control" in caplog.text


async def test_a_signed_url_needs_no_key_until_it_ends(serve: Serve) -> None:
    async with serve(history={"days": 36500, "shots": {"signed": 60}}, **GUARDED) as call:
        await keep(call, *MANY)
        (one,) = (await call("GET", "/history?type=track", **bearer(WATCH))).body["events"]
        url = one["data"]["object"]["image_url"]
        assert call.app.http is not None
        async with aiohttp.ClientSession() as session, session.head(f"{call.app.http.url}{url}") as response:
            assert (response.status, response.headers["Cross-Origin-Resource-Policy"]) == (200, "cross-origin")
        assert await fetched(call, url) == (200, "image/jpeg", b"jpeg")
        assert (await fetched(call, url.replace("expires=1", "expires=2")))[0] == 401
        assert (await fetched(call, "/shots/unknown.jpg"))[0] == 401
        now, urls = call.app._shot_urls._clock(), call.app._shot_urls
        urls._clock = lambda: now + 62
        assert (await fetched(call, url))[0] == 410
        assert (await fetched(call, url, **bearer(WATCH)))[0] == 200
        urls._clock = lambda: now
        assert (await call("DELETE", "/history?stream=door", **bearer(TEMPLATES))).body == {"deleted": 2}
        assert (await fetched(call, url))[0] == 404
        secret = urls.secret
    async with serve(history={"days": 36500, "shots": {"signed": 60}}, **GUARDED) as call:
        assert call.app._shot_urls.secret == secret


async def test_a_camera_s_events_have_the_url_of_their_picture(serve: Serve, camera: Camera) -> None:
    async with serve(**KEPT) as call:
        tracking = {"per": {}, "confirmed_after": 2, "events": {"image_url": True}}
        assert (await call("PUT", "/streams/door", door(camera, tracking=tracking))).status == 201
        await until(lambda: history_of(call).figures.events > 2)
        assert (await call("DELETE", "/streams/door")).status == 204
        await until(lambda: "door" not in call.app.status()["streams"])
        await until(lambda: history_of(call).delivery.counts.pending == 0)
        found = (await call("GET", "/history?stream=door&type=track")).body["events"]
        text = await asyncio.to_thread(call.out.read_text)
        written = [document for line in text.splitlines() if "event" in (document := json.loads(line))]
        assert [one["data"] for one in reversed(found)] == written
        assert {"appeared", "left"} <= {one["event"] for one in written}
        for event in written:
            assert "_image" not in event["object"]
            status, _, jpeg = await fetched(call, event["object"]["image_url"])
            assert (status, jpeg[:2]) == (200, b"\xff\xd8")
        assert history_of(call).figures.pictures <= len(written)


async def test_a_search_that_takes_too_long_says_what_to_do(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "STEPS", 1)
    async with serve(**KEPT) as call:
        await keep(call, *MANY)
        monkeypatch.setattr(reader, "QUERY_S", -1.0)
        answer = await call("GET", "/history")
        assert (answer.status, answer.body["detail"][:45]) == (504, "Too much is to be searched: name a stream, or")


async def test_without_a_history_it_is_said_how_to_begin_one(serve: Serve) -> None:
    async with serve() as call:
        for method, path in (("GET", "/history"), ("DELETE", "/history?all=1"), ("GET", "/shots/x.jpg")):
            answer = await call(method, path)
            assert answer.status == 404
            assert answer.body["detail"].startswith("No history is kept: `history` and `state_dir`")


async def test_a_history_that_cannot_be_written_is_told_and_the_rest_goes_on(serve: Serve) -> None:
    async with serve(**KEPT) as call:
        history = history_of(call)
        await until(lambda: history.delivery.state == "writing")
        await history._writing(history._store.close)
        answer = await call("GET", "/history")
        assert answer.status == 200
        answer = await call("DELETE", "/history?all=1")
        assert (answer.status, answer.body["detail"]) == (
            503,
            "the history is not open: /status says why, under `sinks`",
        )
        assert (await call("GET", "/streams")).status == 200
