import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon.config.contradictions import contradictions_of
from daemon.config.explain import explained
from daemon.control.build import Builder
from daemon.control.networks import Networks
from daemon.control.reconciler import Reconciler
from daemon.control.registry import FileRegistry
from daemon.control.run_time import RunTime
from daemon.control.settings import PRIVATE, RunTimeSettings, StreamDefaults, StreamSettings
from daemon.control.wanted import Condition, Edit, Wanted
from daemon.errors import (
    ConfigError,
    Conflict,
    InvalidDocument,
    PreconditionFailed,
    RegistryError,
    UnknownStream,
)
from daemon.flow.delivery import Delivery
from daemon.flow.engine import Engine
from daemon.sources.base import Feed, Source
from daemon.wire.codec import Members
from daemon.work.settings import ProcessorSettings
from models.errors import ModelError
from models.store import ModelStore
from sinks.stdout import StdoutSettings, StdoutSink
from tests.waiting import until

MOST = 3
NETWORKS = Networks(PRIVATE)
CHAIN = ["face-detector"]
DOOR: Members = {"source": "rtsp://10.0.0.5/1", "chain": CHAIN}


class Silent:
    """A source that connects and brings nothing."""

    def __init__(self, settings: StreamSettings, name: str) -> None:
        self.settings = settings

    async def run(self, feed: Feed) -> None:
        await asyncio.Event().wait()


class Rules(RunTime):
    """As they are, but that nothing is called."""

    def source(self, settings: StreamSettings, name: str) -> Source:
        return Silent(settings, name)


class Bench:
    """What is wanted, over a folder that outlives it."""

    def __init__(self, engine: Engine, store: ModelStore, folder: Path) -> None:
        sinks = {"out": Delivery("out", StdoutSink(StdoutSettings(type="stdout")))}
        self.builder = Builder(engine, engine.lane("shots"), store, ProcessorSettings(), sinks, None)
        self.reconciler = Reconciler(self.builder, stop_timeout=1.0)
        self.run_time = Rules(
            RunTimeSettings(),
            StreamDefaults(),
            explained,
            lambda name, stream: contradictions_of(name, stream, sinks),
            NETWORKS,
        )
        self.registry = FileRegistry(folder / "streams.json")
        self.wanted = Wanted(self.builder, self.reconciler, self.registry, self.run_time, MOST)

    @property
    def running(self) -> set[str]:
        return set(self.reconciler.supervisors)

    async def kept(self) -> Mapping[str, Members]:
        """What the next process will find."""
        return await asyncio.to_thread(FileRegistry(self.registry._path).load)


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine(1)
    yield engine
    await engine.close()


@pytest.fixture
async def bench(engine: Engine, store: ModelStore, tmp_path: Path) -> Bench:
    return Bench(engine, store, tmp_path)


def of(members: Members) -> Edit:
    return lambda _: members


async def nothing() -> None:
    """What else is read again."""


def filed(**streams: Any) -> dict[str, StreamSettings]:
    return {name: StreamSettings(**(DOOR | settings)) for name, settings in streams.items()}


async def test_what_was_added_is_kept_before_it_is_answered_and_found_by_the_next_process(
    bench: Bench, engine: Engine, store: ModelStore, tmp_path: Path
) -> None:
    await bench.wanted.begin({})
    entry, new = await bench.wanted.put("door", of(DOOR | {"paused": True, "password": "p", "username": "u"}))
    assert new and (await bench.kept())["door"]["settings"]["username"] == "u"
    other = Bench(engine, store, tmp_path)
    await other.wanted.begin(filed(yard={}))
    assert other.running == {"door", "yard"}
    found = other.wanted.entry("door")
    assert (found.revision, found.origin, found.built.paused) == (entry.revision, "run-time", True)
    await other.wanted.remove("door")
    assert (await other.kept()) == {}


async def test_the_file_s_streams_are_changed_in_the_file(bench: Bench) -> None:
    await bench.wanted.begin(filed(door={}))
    with pytest.raises(Conflict, match="change it there, then send SIGHUP"):
        await bench.wanted.put("door", of(DOOR))
    with pytest.raises(Conflict, match="change it there"):
        await bench.wanted.remove("door")
    assert bench.wanted.entry("door").origin == "file"


async def test_without_a_state_dir_nothing_is_added(bench: Bench) -> None:
    wanted = Wanted(bench.builder, bench.reconciler, None, bench.run_time, MOST)
    await wanted.begin(filed(yard={}))
    with pytest.raises(Conflict, match="`state_dir`"):
        await wanted.put("door", of(DOOR))
    assert bench.running == {"yard"}


async def test_the_file_wins_a_clash_and_the_other_waits(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    await bench.wanted.begin({})
    await bench.wanted.put("door", of(DOOR))
    await bench.wanted.read_again(filed(door={"source": "rtsp://10.0.0.9/1"}), nothing)
    assert "the file has a stream of this id" in caplog.text
    assert bench.wanted.entry("door").members["source"] == "rtsp://10.0.0.9/1"
    assert set(await bench.kept()) == {"door"}
    await bench.wanted.read_again({}, nothing)
    assert bench.wanted.entry("door").members == DOOR


async def test_a_file_that_is_read_again_changes_what_has_changed_alone(bench: Bench) -> None:
    await bench.wanted.begin(filed(door={}, yard={}, hall={}))
    before = bench.wanted.entries
    await bench.wanted.read_again(filed(door={}, yard={"emit": "objects"}, gate={}), nothing)
    now = bench.wanted.entries
    assert now["door"] is before["door"]
    assert now["yard"].revision != before["yard"].revision
    assert set(now) == {"door", "yard", "gate"}


async def test_a_file_whose_models_do_not_load_changes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.wanted.begin(filed(door={}, yard={}))
    before = bench.wanted.entries
    fail_of(monkeypatch, "gate")
    with pytest.raises(ModelError):
        await bench.wanted.read_again(filed(door={"emit": "objects"}, gate={}), nothing)
    assert bench.wanted.entries == before
    assert bench.running == {"door", "yard"}


async def test_what_is_refused_elsewhere_changes_no_stream(bench: Bench) -> None:
    async def refuse() -> None:
        raise ConfigError("http.keys: expected a key")

    await bench.wanted.begin(filed(door={}))
    with pytest.raises(ConfigError):
        await bench.wanted.read_again(filed(yard={}), refuse)
    assert set(bench.wanted.entries) == bench.running == {"door"}


def fail_of(monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    build = Builder.build

    def failing(self: Builder, name: str, *others: Any) -> Any:
        if name == stream:
            raise ModelError("yunet.onnx: not there")
        return build(self, name, *others)

    monkeypatch.setattr(Builder, "build", failing)


async def test_a_stream_whose_models_do_not_load_is_not_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.wanted.begin({})
    fail_of(monkeypatch, "door")
    with pytest.raises(InvalidDocument, match=r"chain: yunet\.onnx: not there"):
        await bench.wanted.put("door", of(DOOR))
    assert (await bench.kept()) == {} and bench.running == set()


async def test_a_kept_stream_that_cannot_run_any_more_stays_and_says_why(
    bench: Bench, engine: Engine, store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(bench.registry.put, "door", {"settings": DOOR, "revision": "1"})
    await asyncio.to_thread(bench.registry.put, "yard", {"settings": DOOR | {"sinks": ["gone"]}, "revision": "2"})
    await asyncio.to_thread(bench.registry.put, "hall", {"of": "another version"})
    await asyncio.to_thread(bench.registry.put, "gate", {"settings": DOOR, "revision": "3"})
    fail_of(monkeypatch, "gate")
    await bench.wanted.begin({})
    reasons = {name: entry.built.refusal for name, entry in bench.wanted.entries.items()}
    assert reasons["door"] is None
    assert "topics has none" in (reasons["yard"] or "").lower()
    assert "source" in (reasons["hall"] or "")
    assert reasons["gate"] == "yunet.onnx: not there"
    running = asyncio.create_task(bench.reconciler.run())
    await until(lambda: all(bench.reconciler.supervisors[name].error for name in ("yard", "hall", "gate")))
    bench.reconciler.stop()
    await running
    monkeypatch.undo()
    await bench.wanted.read_again({}, nothing)
    assert bench.wanted.entry("gate").built.refusal is None
    assert set(await bench.kept()) == {"door", "yard", "hall", "gate"}


async def test_defaults_hold_but_for_what_another_s_address_must_not_get(bench: Bench) -> None:
    secret = {"username": "u", "password": "p", "ffmpeg_options": {"headers": "Authorization: Basic x"}}
    bench.run_time.defaults = StreamDefaults.model_validate({"chain": CHAIN, "emit": "objects"} | secret)
    await bench.wanted.begin({})
    entry, _ = await bench.wanted.put("door", of({"source": "rtsp://10.0.0.5/1"}))
    settings = entry.built.settings
    assert settings is not None
    assert (settings.emit, settings.username, settings.password, settings.ffmpeg_options) == ("objects", None, None, {})


async def test_of_two_changes_of_what_both_saw_one_is_made(bench: Bench) -> None:
    await bench.wanted.begin({})
    entry, _ = await bench.wanted.put("door", of(DOOR))
    seen = Condition({entry.revision})
    results = await asyncio.gather(
        *(bench.wanted.put("door", of(DOOR | {"name": name}), seen) for name in ("a", "b")), return_exceptions=True
    )
    assert [type(result) for result in results] == [tuple, PreconditionFailed]
    assert (await bench.kept())["door"]["settings"]["name"] == "a"


async def test_conditions(bench: Bench) -> None:
    await bench.wanted.begin({})
    new = Condition(must_be_new=True)
    with pytest.raises(PreconditionFailed, match="there is none"):
        await bench.wanted.put("door", of(DOOR), Condition({"*"}))
    await bench.wanted.put("door", of(DOOR), new)
    with pytest.raises(PreconditionFailed, match="there is one"):
        await bench.wanted.put("door", of(DOOR), new)
    with pytest.raises(PreconditionFailed, match="changed since"):
        await bench.wanted.remove("door", Condition({"another"}))
    await bench.wanted.remove("door", Condition({"*"}))
    with pytest.raises(UnknownStream):
        await bench.wanted.remove("door")


async def test_only_so_many_run(bench: Bench) -> None:
    await bench.wanted.begin(filed(a={}, b={"paused": True}))
    for name in ("c", "d"):
        await bench.wanted.put(name, of(DOOR))
    with pytest.raises(Conflict, match="at most 3 may"):
        await bench.wanted.put("e", of(DOOR))
    await bench.wanted.put("e", of(DOOR | {"paused": True}))
    await bench.wanted.put("d", of(DOOR | {"name": "the same one"}))
    with pytest.raises(Conflict):
        await bench.wanted.put("e", of(DOOR))


async def test_what_cannot_be_kept_is_not_run(bench: Bench) -> None:
    await bench.wanted.begin({})
    await bench.wanted.put("door", of(DOOR))
    new = bench.registry._path.with_suffix(".new")
    new.mkdir()
    for change in (bench.wanted.put("yard", of(DOOR)), bench.wanted.remove("door")):
        with pytest.raises(RegistryError):
            await change
    assert set(bench.wanted.entries) == bench.running == {"door"}


async def test_a_change_goes_on_without_the_one_who_asked(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await bench.wanted.begin({})
    asking = asyncio.create_task(bench.wanted.put("door", of(DOOR)))
    await asyncio.sleep(0)
    asking.cancel()
    await bench.wanted.close()
    assert set(await bench.kept()) == bench.running == {"door"}


async def test_a_paused_stream_is_not_restarted(bench: Bench) -> None:
    await bench.wanted.begin(filed(door={"paused": True}))
    with pytest.raises(Conflict, match="resume it"):
        bench.wanted.restart("door")
    with pytest.raises(UnknownStream):
        bench.wanted.restart("yard")


@pytest.mark.parametrize("paused", [True, False])
async def test_a_stream_of_the_file_is_paused_until_the_file_is_read_again(bench: Bench, paused: bool) -> None:
    of_file = filed(door={"paused": not paused})
    await bench.wanted.begin(of_file)
    before = bench.wanted.entry("door")
    await bench.wanted.pause("door", paused=paused)
    entry = bench.wanted.entry("door")
    assert (entry.built.paused, entry.members["paused"], entry.origin) == (paused, paused, "file")
    assert entry.revision != before.revision
    assert await bench.kept() == {}
    await bench.wanted.read_again(of_file, nothing)
    assert bench.wanted.entry("door").built.paused is not paused


async def test_a_stream_that_was_added_is_paused_for_good(bench: Bench) -> None:
    await bench.wanted.begin({})
    await bench.wanted.put("door", of(DOOR))
    await bench.wanted.pause("door", paused=True)
    assert bench.wanted.entry("door").built.paused
    assert (await bench.kept())["door"]["settings"]["paused"]


async def test_what_is_not_there_cannot_be_paused(bench: Bench) -> None:
    await bench.wanted.begin({})
    with pytest.raises(UnknownStream):
        await bench.wanted.pause("door", paused=True)
