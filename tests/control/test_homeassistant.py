"""What Home Assistant finds in the broker, a real one, and what it may ask for."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from daemon.control import homeassistant as module
from daemon.control.homeassistant import HomeAssistant
from daemon.control.settings import StreamSettings
from daemon.control.wanted import Wanted
from daemon.errors import Conflict
from daemon.flow.receipts import Counts
from daemon.flow.watched import Look, Watches
from daemon.wire.homeassistant import mark, slug
from processors.types import Frame, Object, Sample, Zones
from sinks.base import About, Record
from tests.brokers import free_port, proxy
from tests.mqtt import Listener, Mosquitto, listening, mosquitto, mqtt_settings
from tests.waiting import until

ALL = ("homeassistant/#", "visaged/#")
MARK = mark("visaged")
DOOR = f"{MARK}{slug('door')}"
BASE = "visaged/homeassistant"
ZONE = {"name": "Till 1", "polygon": [[0, 0], [1, 0], [1, 1]]}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTERVAL_S", 0.02)
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.05)
    monkeypatch.setattr(module, "PICTURE_S", 0.0)


class House:
    """Streams, as far as they are shown."""

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}
        self.supervisors: dict[str, Any] = {}
        self.watches = Watches()
        self.paused: list[tuple[str, bool]] = []
        self.refuses = False

    def add(self, stream: str, state: str = "running", **settings: Any) -> None:
        settings = {"source": "rtsp://camera/1", "chain": ["face-detector", "body-detector"], **settings}
        built = SimpleNamespace(settings=StreamSettings(**settings), paused=settings.get("paused", False))
        self.entries[stream] = SimpleNamespace(built=built)
        self.supervisors[stream] = SimpleNamespace(state=state)
        self.watches.join(stream)

    def remove(self, stream: str) -> None:
        del self.entries[stream], self.supervisors[stream]
        self.watches.streams[stream].leave()

    def show(self, stream: str, *labels: str, zone: str | None = None) -> None:
        objects = [Object(label, np.array([0.0, 0.0, 1.0, 1.0])) for label in labels]
        for obj in objects if zone else ():
            obj.put(Zones((cast(str, zone),)))
        frame = Frame.of(np.zeros((4, 4, 3), np.uint8))
        self.watches.streams[stream].show(Sample(frame, objects))

    async def pause(self, stream: str, *, paused: bool) -> None:
        if self.refuses:
            raise Conflict("not now")
        self.paused.append((stream, paused))
        self.entries[stream].built.paused = paused


async def picture(look: Look) -> bytes:
    return b"%d people" % len(look.sample.objects)


@asynccontextmanager
async def shown(house: House, port: int, **options: Any) -> AsyncIterator[HomeAssistant]:
    settings = mqtt_settings(port, home_assistant={"hold": 0.0, **options}, timeout=2.0)
    home = HomeAssistant(settings, cast(Wanted, house), house.supervisors, house.watches, picture, "1.2.3")
    running = asyncio.create_task(home.run())
    try:
        yield home
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.fixture
def house() -> House:
    house = House()
    house.add("door", name="Front door", zones=[ZONE])
    return house


@pytest.fixture
async def listener(broker: Mosquitto) -> AsyncIterator[Listener]:
    """Leaves nothing behind."""
    async with listening(broker.port, *ALL) as listener:
        yield listener
        await listener.quiet()
        for topic in list(listener.retained):
            await listener.say(topic, b"", retain=True)


def config(listener: Listener, device: str = DOOR) -> Any:
    return json.loads(listener.retained[f"homeassistant/device/{device}/config"])


def said(listener: Listener, level: str, device: str = DOOR) -> bytes | None:
    return listener.retained.get(f"{BASE}/{device}/{level}")


def is_said(listener: Listener, level: str, payload: bytes) -> bool:
    return said(listener, level) == payload


def state(listener: Listener) -> dict[str, Any]:
    return dict(json.loads(said(listener, "state") or b"{}"))


async def until_shown(listener: Listener, device: str = DOOR) -> None:
    await until(lambda: said(listener, "state", device) is not None)


async def test_a_stream_is_a_device_with_counts_and_presence_for_each_zone(
    house: House, broker: Mosquitto, listener: Listener
) -> None:
    async with shown(house, broker.port):
        await until_shown(listener)
        found = config(listener)
        zone = slug("Till 1")
        assert found["device"] == {
            **{"identifiers": [DOOR], "name": "Front door", "manufacturer": "visaged"},
            **{"model": "Camera stream", "sw_version": "1.2.3"},
        }
        assert list(found["components"]) == [
            *("body", "body_present", "face", "face_present", f"{zone}_body", f"{zone}_body_present"),
        ]
        assert found["components"]["body_present"] == {
            "platform": "binary_sensor",
            "unique_id": f"{DOOR}_body_present",
            "name": "Person",
            "device_class": "occupancy",
            "state_topic": f"{BASE}/{DOOR}/state",
            "value_template": "{{ value_json['body_present'] }}",
            "availability": [{"topic": f"{BASE}/status"}, {"topic": f"{BASE}/{DOOR}/status"}],
            "availability_mode": "all",
        }
        assert found["components"][f"{zone}_body"]["name"] == "Till 1: people"
        assert said(listener, "status") == listener.retained[f"{BASE}/status"] == b"online"
        house.show("door", "body", "body", "face", zone="Till 1")
        await until(lambda: state(listener).get("body") == 2)
        assert state(listener) == {
            **{"body": 2, "body_present": "ON", "face": 1, "face_present": "ON"},
            **{f"{zone}_body": 2, f"{zone}_body_present": "ON"},
        }
        house.show("door")
        await until(lambda: state(listener)["body"] == 0)
        assert state(listener)["body_present"] == "OFF"


async def test_presence_stays_on_for_a_while(house: House, broker: Mosquitto, listener: Listener) -> None:
    async with shown(house, broker.port, hold=0.3):
        house.show("door", "face")
        await until(lambda: state(listener).get("face") == 1)
        house.show("door")
        await until(lambda: state(listener)["face"] == 0)
        assert state(listener)["face_present"] == "ON"
        await until(lambda: state(listener)["face_present"] == "OFF")


async def test_a_stream_that_does_not_run_is_not_available(house: House, broker: Mosquitto, listener: Listener) -> None:
    async with shown(house, broker.port):
        await until_shown(listener)
        for now, expected in (("waiting", b"offline"), ("starving", b"online"), ("ended", b"offline")):
            house.supervisors["door"].state = now
            await until(partial(is_said, listener, "status", expected))


async def test_the_broker_says_so_when_the_daemon_is_gone(house: House, broker: Mosquitto, listener: Listener) -> None:
    """Both when it has ended, and when its connection is lost without a word."""
    status = f"{BASE}/status"
    async with shown(house, broker.port):
        await until(lambda: listener.retained.get(status) == b"online")
    await until(lambda: listener.retained[status] == b"offline")
    async with proxy(broker.address, port := free_port()) as between, shown(house, port) as home:
        await until(lambda: listener.retained[status] == b"online")
        between.cut()
        await until(lambda: listener.retained[status] == b"offline")
        await until(lambda: home.error is not None)
        await between.restore()
        await until(lambda: listener.retained[status] == b"online" and home.error is None)


async def test_what_was_removed_is_taken_away(house: House, broker: Mosquitto, listener: Listener) -> None:
    house.add("yard")
    yard = f"{MARK}{slug('yard')}"
    async with shown(house, broker.port):
        await until_shown(listener, yard)
        house.remove("yard")
        await until(lambda: not any(yard in topic for topic in listener.retained))
        assert any(DOOR in topic for topic in listener.retained)
    house.remove("door")  # while no daemon runs
    async with shown(house, broker.port):
        await until(lambda: not any(DOOR in topic for topic in listener.retained))


async def test_a_zone_that_was_removed_is_taken_from_its_device(
    house: House, broker: Mosquitto, listener: Listener
) -> None:
    """Also by the next process. Home Assistant removes a component that comes with a platform alone."""
    zone = slug("Till 1")

    def farewells() -> list[Any]:
        heard = [json.loads(message.payload) for message in listener.heard if message.topic.endswith("/config")]
        return [one["components"].get(f"{zone}_body") for one in heard]

    async with shown(house, broker.port):
        await until_shown(listener)
    house.add("door", name="Front door")
    async with shown(house, broker.port):
        await until(lambda: {"platform": "sensor"} in farewells())
        await until(lambda: f"{zone}_body" not in config(listener)["components"])


async def test_others_devices_are_left_alone(house: House, broker: Mosquitto, listener: Listener) -> None:
    others = f"homeassistant/device/{mark('other')}door/config"
    await listener.say(others, b'{"components": {}}', retain=True)
    await listener.say(f"homeassistant/device/{DOOR}/config", b"not JSON", retain=True)
    async with shown(house, broker.port), listening(broker.port, "homeassistant/#") as later:
        await until(lambda: "components" in (later.retained.get(f"homeassistant/device/{DOOR}/config") or b"").decode())
        assert others in later.retained


async def test_all_is_told_again_when_home_assistant_starts(
    house: House, broker: Mosquitto, listener: Listener
) -> None:
    topics = [f"homeassistant/device/{DOOR}/config", f"{BASE}/{DOOR}/status", f"{BASE}/{DOOR}/state"]
    async with shown(house, broker.port):
        await until_shown(listener)
        await listener.quiet()
        listener.heard.clear()
        await listener.say("homeassistant/status", b"offline")
        await listener.quiet()
        assert listener.heard == []
        await listener.say("homeassistant/status", b"online")
        await until(lambda: len(listener.heard) >= 3)
        assert [message.topic for message in listener.heard] == topics


async def test_a_broker_that_forgot_everything_is_told_everything(house: House, tmp_path: Path) -> None:
    with mosquitto(tmp_path) as forgetful:
        async with shown(house, forgetful.port):
            async with listening(forgetful.port, *ALL) as listener:
                await until_shown(listener)
            forgetful.kill()
            forgetful.start()
            async with listening(forgetful.port, *ALL) as listener:
                await until_shown(listener)
                assert config(listener)["device"]["name"] == "Front door"


async def test_a_switch_pauses_and_resumes(house: House, broker: Mosquitto, listener: Listener) -> None:
    async with shown(house, broker.port, command=True):
        await until_shown(listener)
        switch = config(listener)["components"]["running"]
        assert switch["availability"] == [{"topic": f"{BASE}/status"}]  # also of a stream that does not run
        await until(lambda: said(listener, "running") == b"ON")
        await listener.say(switch["command_topic"], b"OFF")
        await until(lambda: said(listener, "running") == b"OFF")
        await listener.say(switch["command_topic"], b"ON")
        await until(lambda: said(listener, "running") == b"ON")
        assert house.paused == [("door", True), ("door", False)]
        for payload in (b"", b"off", b"\xff"):
            await listener.say(switch["command_topic"], payload)
        await listener.say(f"{BASE}/{MARK}unknown/set", b"OFF")
        await listener.say(switch["command_topic"], b"OFF", retain=True)
        await listener.say(switch["command_topic"], b"", retain=True)
        house.refuses = True
        await listener.say(switch["command_topic"], b"OFF")
        house.show("door", "face")
        await until(lambda: state(listener).get("face") == 1)
        assert house.paused[2:] in ([], [("door", True)])


async def test_commands_that_came_while_the_connection_was_lost_are_obeyed(
    house: House, broker: Mosquitto, listener: Listener
) -> None:
    async with proxy(broker.address, port := free_port()) as between, shown(house, port, command=True):
        await until_shown(listener)
        between.cut()
        await until(lambda: listener.retained[f"{BASE}/status"] == b"offline")
        await listener.say(f"{BASE}/{DOOR}/set", b"OFF")
        await between.restore()
        await until(lambda: house.paused == [("door", True)])


async def test_without_command_nobody_is_listened_to(house: House, broker: Mosquitto, listener: Listener) -> None:
    async with shown(house, broker.port):
        await until_shown(listener)
        assert "running" not in config(listener)["components"]
        await listener.say(f"{BASE}/{DOOR}/set", b"OFF")
        house.show("door", "face")
        await until(lambda: state(listener).get("face") == 1)
        assert house.paused == []


async def test_pictures_come_by_url(house: House, broker: Mosquitto, listener: Listener) -> None:
    house.add("door", tracking={"events": {"image_url": True}})
    async with shown(house, broker.port):
        await until_shown(listener)
        assert config(listener)["components"]["picture"]["url_topic"] == f"{BASE}/{DOOR}/picture"
        assert said(listener, "picture") is None
        for number in range(2):
            value = json.dumps({"event": "appeared", "object": {"image_url": f"http://a/shots/{number}.jpg"}}).encode()
            event = Record("door", value, about=About("visaged.track"))
            house.watches.streams["door"].offer(event, Counts().open())
        await until(lambda: said(listener, "picture") == b"http://a/shots/1.jpg")


async def test_or_as_they_are_when_somebody_comes(house: House, broker: Mosquitto, listener: Listener) -> None:
    async with shown(house, broker.port, snapshot=True):
        await until_shown(listener)
        shown_as = config(listener)["components"]["picture"]
        assert (shown_as["image_topic"], shown_as["content_type"]) == (f"{BASE}/{DOOR}/picture", "image/jpeg")
        house.show("door", "face")
        await until(lambda: said(listener, "picture") == b"1 people")
        house.show("door")
        await until(lambda: state(listener)["face"] == 0)
        assert said(listener, "picture") == b"1 people"
        house.show("door", "face", "body")
        await until(lambda: said(listener, "picture") == b"2 people")


async def test_a_picture_that_cannot_be_made_keeps_nothing_from_being_shown(
    house: House, broker: Mosquitto, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Look) -> bytes:
        raise RuntimeError("no memory")

    monkeypatch.setitem(globals(), "picture", broken)
    async with shown(house, broker.port, snapshot=True):
        house.show("door", "face")
        await until(lambda: state(listener).get("face") == 1)


async def test_a_fault_of_ours_is_told_and_it_goes_on(
    house: House, broker: Mosquitto, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    entry = house.entries.pop("door")
    house.entries["door"] = SimpleNamespace(built=None)
    async with shown(house, broker.port) as home:
        await until(lambda: "AttributeError" in (home.error or ""))
        house.entries["door"] = entry
        await until_shown(listener)
        assert home.error is None
    assert "a fault of ours" in caplog.text


async def test_a_broker_that_is_away_is_told_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async with shown(house, port := free_port()) as home:
        await until(lambda: home.error == f"127.0.0.1:{port}: connection refused")
        await asyncio.sleep(0.3)
    assert caplog.text.count("connection refused") == 1


@pytest.mark.parametrize("text", ["door", "Front door", "\u043a\u0430\u043c", "a/b+c#", "", "x" * 500, "Caf\u00e9"])
def test_slugs(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9_]{8,50}", slug(text))


def test_slugs_differ_where_the_texts_do() -> None:
    texts = ["a b", "a_b", "a-b", "A b", "\u00e1 b"]
    assert len({slug(text) for text in texts}) == len(texts)
