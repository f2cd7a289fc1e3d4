"""Streams, what they see, and what is kept, of the whole daemon, by either client."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest

from daemon.client import Event, Frame, Gap, NotFound, PlaceEvent, RequestRefused, TrackEvent
from daemon.client import history as history_module
from daemon.flow.receipts import Counts
from daemon.http.streams import events as served_events
from daemon.simulator.camera import Camera
from tests.client.asking import BLOCKING, Asking, asking, both_ways
from tests.controlled import FILED, Client, Serve, camera, clip, door, serve
from tests.history.events import event
from tests.http.access.calls import KEYS, settings_of
from tests.http.test_history import AT, KEPT, MANY, keep
from tests.waiting import until

__all__ = ["camera", "clip", "serve"]  # fixtures are found by their names here

pytestmark = pytest.mark.slow


def url_of(daemon: Client) -> str:
    assert daemon.app.http is not None
    return daemon.app.http.url


@both_ways
async def test_a_session_of_control(serve: Serve, camera: Camera, way: str) -> None:
    async with serve() as daemon, asking(way, url_of(daemon)) as of:
        streams, settings = of.client.streams, door(camera, labels={"site": "depot"})
        added = await of.ask(streams.set, "door", settings, new=True)
        assert (added.id, added.origin, added.settings, added.error) == ("door", "run-time", settings, None)
        with pytest.raises(RequestRefused) as there_already:
            await of.ask(streams.set, "door", settings, new=True)
        assert there_already.value.status == 412
        await until(lambda: daemon.state() == "running")
        assert [(one.id, one.state) for one in await of.all_of(streams.list, labels=["site=depot"])] == [
            ("door", "running")
        ]
        changed = await of.ask(streams.patch, "door", {"name": "Tür", "labels": None}, etag=added.etag)
        assert changed.settings == {"name": "Tür", **door(camera)}
        with pytest.raises(RequestRefused) as changed_before:
            await of.ask(streams.patch, "door", {"name": "Tor"}, etag=added.etag)
        assert changed_before.value.status == 412
        assert (await of.ask(streams.get, "door")).status["state"] == "running"
        seen = await of.ask(streams.check, "door")
        assert (seen.ok, seen.codec, seen.width, seen.height, seen.by) == (True, "h264", 320, 180, "stream")
        away = await of.ask(streams.check, {"source": FILED})
        assert (away.ok, "nobody listens" in away.reason) == (False, True)
        await until(lambda: daemon.app._watches.watched("door").look is not None)
        snapshot = await of.ask(streams.snapshot, "door", width=160, draw=True)
        assert snapshot.jpeg.startswith(b"\xff\xd8")
        assert (datetime.now(UTC) - snapshot.captured_at).total_seconds() < 30
        for change, state in ((streams.pause, "paused"), (streams.resume, "running"), (streams.restart, "running")):
            assert (await of.ask(change, "door")).id == "door"
            await until(lambda state=state: daemon.state() == state)  # type: ignore[misc]
        assert await of.ask(streams.remove, "door") is None
        with pytest.raises(NotFound, match="No stream has the id door"):
            await of.ask(streams.get, "door")


@both_ways
async def test_streams_and_what_is_kept_come_by_pages(serve: Serve, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr("daemon.client.streams.PAGE", 1)
    monkeypatch.setattr(history_module, "PAGE", 1)
    async with serve(**KEPT) as daemon, asking(way, url_of(daemon)) as of:
        for stream in ("a/b", "ü"):  # no id of a stream, and taken into the path all the same
            with pytest.raises(NotFound):
                await of.ask(of.client.streams.get, stream)
        await of.ask(of.client.streams.set, "another", {"source": FILED, "paused": True})
        assert [one.id for one in await of.all_of(of.client.streams.list)] == ["another", "filed"]
        await keep(daemon, *MANY)
        history = of.client.history
        kept = await of.all_of(history.list)
        assert [(one.id, type(one.data)) for one in kept] == [("c", PlaceEvent), ("b", TrackEvent), ("a", TrackEvent)]
        assert kept[0].data.zone.name == "till"
        assert kept[0].data.object.label == "body"
        assert kept[2].time == kept[2].data.track.first_seen == datetime.fromtimestamp(AT, UTC)
        assert await of.ask(history.shot, kept[2].data.object.image_url) == b"jpeg"
        elsewhere = f"https://elsewhere.example{kept[2].data.object.image_url}?expires=1&signature=x"
        assert await of.ask(history.shot, elsewhere) == b"jpeg"
        with pytest.raises(ValueError, match="expected the image_url of an event"):
            await of.ask(history.shot, "https://elsewhere.example/1.jpg")
        assert [one.id for one in await of.all_of(history.list, limit=2)] == ["c", "b"]
        assert [one.id for one in await of.all_of(history.list, streams=["door", "yard"], types=["track"])] == [
            "b",
            "a",
        ]
        since = datetime.fromtimestamp(AT + 2, UTC)
        assert [one.id for one in await of.all_of(history.list, zones=["till"], since=since)] == ["c"]
        with pytest.raises(RequestRefused, match="all=1"):
            await of.ask(history.delete)
        with pytest.raises(ValueError, match="stream: expected one at least, got none"):  # not everybody's until then
            await of.ask(history.delete, streams=[], until=since)
        assert await of.ask(history.delete, until="2025-11-24T17:00:01+01:00") == 1
        assert await of.ask(history.delete, everything=True) == 2


def tell(daemon: Client, number: int, happened: str = "appeared") -> None:
    """An event of a track whose object has this id."""
    daemon.app._watches.watched("filed").offer(event(happened, stream="filed", id=number), Counts().open())


def number_of(told: Event) -> int:
    assert isinstance(told.data, TrackEvent)
    assert told.data.object.id is not None
    return told.data.object.id


async def watching(daemon: Client, number: int = 1) -> None:
    await until(lambda: daemon.app._watches.watching["events"] == number)


async def cut_off(daemon: Client) -> None:
    """As a connection that is lost: those who watch connect anew."""
    assert daemon.app.http is not None
    daemon.app.http.long_answers.close()
    await watching(daemon, 0)
    daemon.app.http.long_answers._closed = False


@both_ways
async def test_a_subscription_goes_on_through_cuts_and_a_restart(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Each event comes once. Through a cut none is missing; a restart is told as a gap."""
    monkeypatch.setattr(served_events, "RETRY_MS", 20)
    keys = {"wall": settings_of(KEYS["watch"], ["watch"]).model_dump()}
    async with contextlib.AsyncExitStack() as stack:
        async with serve(keys=keys) as daemon:
            of: Asking = await stack.enter_async_context(asking(way, url_of(daemon), KEYS["watch"]))
            told = of.client.events("filed", types=["track"])
            coming = asyncio.ensure_future(of.next_of(told))
            await watching(daemon)
            for number in range(0, 6, 2):
                tell(daemon, number)
                seen = await coming
                assert (seen.type, number_of(seen)) == ("track", number)
                coming = asyncio.ensure_future(of.next_of(told))
                await cut_off(daemon)
                tell(daemon, number + 1)  # while nobody watches
                assert number_of(await coming) == number + 1
                coming = asyncio.ensure_future(of.next_of(told))
                await watching(daemon)
            assert daemon.app.http is not None
            port = daemon.app.http.port
        await asyncio.sleep(0.1)  # nobody listens there
        async with serve(http={"port": port, "keys": keys}) as daemon:
            gap = (await coming).data
            assert isinstance(gap, Gap)
            assert (gap.reason, gap.lost) == ("restart", None)
            tell(daemon, 6)
            seen = await of.next_of(told)
            assert number_of(seen) == 6
            coming = asyncio.ensure_future(of.next_of(told))
            await watching(daemon)
            tell(daemon, 7)
            again = of.client.events(after=seen.id)  # as after a restart of the one who watches
            assert number_of(await coming) == number_of(await of.next_of(again)) == 7
            daemon.app._wanted._of_file.clear()
            daemon.app._watches.watched("filed").leave()
            with pytest.raises(NotFound, match="No stream has the id filed"):
                await of.next_of(told)


@both_ways
async def test_frames_of_a_camera_are_told_until_they_are_left(serve: Serve, camera: Camera, way: str) -> None:
    async with serve() as daemon, asking(way, url_of(daemon)) as of:
        told = of.client.events(types=["frame"])
        coming = asyncio.ensure_future(of.next_of(told))
        await watching(daemon)
        await of.ask(of.client.streams.set, "door", door(camera))
        frame = (await coming).data
        assert isinstance(frame, Frame)
        assert (frame.stream.id, frame.stream.width, frame.stream.height) == ("door", 320, 180)
        assert all(face.bbox is not None for face in frame.faces)
        assert (datetime.now(UTC) - frame.stream.captured_at).total_seconds() < 30
        await of.ask(told.close if way == BLOCKING else told.aclose)
        await watching(daemon, 0)
        await of.ask(of.client.streams.remove, "door")


@both_ways
async def test_a_watch_that_may_not_begin_says_why(serve: Serve, way: str) -> None:
    keys: dict[str, Any] = {"wall": settings_of(KEYS["control"], ["control"]).model_dump()}
    async with serve(keys=keys) as daemon, asking(way, url_of(daemon), KEYS["control"]) as of:
        with pytest.raises(RequestRefused) as refused:
            await of.next_of(of.client.events())
        assert refused.value.status == 403
        assert [one.id for one in await of.all_of(of.client.streams.list)] == ["filed"]
