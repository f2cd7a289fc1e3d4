"""/status and /metrics of a daemon at work, figure by figure beside what can be counted from outside.

One run for all: a camera, a camera that asks more than the machine has, a file, a sink, a request. From outside come
the frames that the camera simulator sent, the lines of the sink's file and when they came, the threads' and the
process's figures in /proc, and the clock.
"""

import asyncio
import json
import logging
import math
import re
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from daemon.commands.run import App
from daemon.config.model import Config
from daemon.http.metrics import collect, registry_of
from daemon.simulator import mount
from daemon.simulator.camera import Camera
from daemon.simulator.clip import Scene, make_clip
from daemon.simulator.rtp import AccessUnit, Clip
from processors.registry import PROCESSORS
from tests.http.calls import upload
from tests.packaging.rules import METRICS_OF_RULES, MOVE_ELSEWHERE
from tests.photos import file_of
from tests.waiting import until

FPS = 10
LOOKS = 2
UNTOLD = FPS // LOOKS
"""Frames that are passed over and told with the next that is not."""
SCENE = Scene(width=640, height=360, fps=FPS, seconds=2)
SECONDS = 12.5  # that all has been at work when the figures are taken: their windows are of 10 s
WORKERS = 2
LOOKED_WITH = ["face-detector", "face-fitter"]
EVERYTHING = [name for name in PROCESSORS if name != "quality-assessment-estimator"] + ["quality-assessment-estimator"]

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Seen:
    """What was counted from outside up to a moment."""

    at: float
    """Wall clock."""
    lines: Mapping[str, list[tuple[float, dict[str, Any]]]]
    """Documents by stream, with the time at which each was in the file."""
    sent: Mapping[str, list[float]]
    """When the simulator sent the frames of each camera."""
    cpu: Mapping[str, float]
    """Seconds of each thread by its name."""
    rss: int

    def in_file(self, stream: str, seconds: float = math.inf) -> int:
        return sum(self.at - seconds < at for at, _ in self.lines[stream])

    def sent_in(self, stream: str, seconds: float = math.inf) -> int:
        return sum(self.at - seconds < at for at in self.sent[stream])

    def latencies(self, stream: str) -> list[float]:
        """From a document's capture until it is in the file, in their order."""
        taken = ((at, datetime.fromisoformat(doc["stream"]["captured_at"])) for at, doc in self.lines[stream])
        return sorted(at - captured.timestamp() for at, captured in taken)

    @property
    def workers_cpu(self) -> float:
        return sum(seconds for name, seconds in self.cpu.items() if name.startswith("worker-"))


class Outside:
    """Reads the sink's file as it grows, and counts what the simulator sends."""

    def __init__(self, path: Path, clips: Mapping[str, Clip], monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: dict[str, list[tuple[float, dict[str, Any]]]] = defaultdict(list)
        self.sent: dict[str, list[float]] = defaultdict(list)
        self._path = path
        self._read = 0
        mount_of = {id(unit): name for name, clip in clips.items() for unit in clip.units}
        send = mount.TcpOutlet.send

        def counted(outlet: mount.TcpOutlet, unit: AccessUnit, packets: bytearray) -> None:
            self.sent[mount_of[id(unit)]].append(time.time())
            send(outlet, unit, packets)

        monkeypatch.setattr(mount.TcpOutlet, "send", counted)

    async def run(self) -> None:
        while True:
            self.read()
            await asyncio.sleep(0.005)

    def read(self) -> None:
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                now, new = time.time(), file.read()
            whole = new[: new.rfind(b"\n") + 1]  # a large write may be seen in parts
            self._read += len(whole)
            for line in whole.splitlines():
                document = json.loads(line)
                self.lines[document["stream"]["id"]].append((now, document))

    def seen(self) -> Seen:
        self.read()
        process = psutil.Process()
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        times = {names.get(one.id, ""): one.user_time + one.system_time for one in process.threads()}
        lines = {name: list(lines) for name, lines in self.lines.items()}
        return Seen(time.time(), lines, {k: list(v) for k, v in self.sent.items()}, times, process.memory_info().rss)


class Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.levelname, record.getMessage()))


@dataclass
class Told:
    """What the daemon said, and what was seen, at one moment."""

    status: dict[str, Any]
    metrics: Series
    outside: Seen

    @classmethod
    def by(cls, app: App, outside: Outside) -> "Told":
        seen, status, families = outside.seen(), app.status(), list(collect(app.overview))
        return cls(status, parsed(generate_latest(registry_of(families)).decode()), seen)

    def stream(self, name: str) -> dict[str, Any]:
        row: dict[str, Any] = self.status["streams"][name]
        return row

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics[name, frozenset(labels.items())]

    def total(self, name: str, **labels: str) -> float:
        """Of all series with these labels."""
        return sum(
            value for (of, have), value in self.metrics.items() if of == name and have >= frozenset(labels.items())
        )


@dataclass
class Run:
    early: Told
    """When the first documents are there."""
    busy: Told
    """While the cameras run."""
    quiet: Told
    """When they are away, and nothing is under way."""
    stopped: Told
    served: Series
    """/metrics over HTTP, in the quiet."""
    content_type: str
    waited: tuple[float, float]
    """Seconds to the next attempt, as said and as they were."""
    log: list[tuple[str, str]]


def parsed(text: str) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("told")
    make_clip(folder / "clip.mp4", SCENE, gop=FPS)
    log = Log()
    loggers = [logging.getLogger(name) for name in ("daemon", "sinks")]
    for logger in loggers:
        logger.addHandler(log)
        logger.setLevel(logging.INFO)
    try:
        with pytest.MonkeyPatch.context() as monkeypatch:
            return asyncio.run(_at_work(folder, monkeypatch, log))
    finally:
        for logger in loggers:
            logger.removeHandler(log)
            logger.setLevel(logging.NOTSET)


def _configured(camera: Camera, folder: Path) -> Config:
    return Config.model_validate(
        {
            "http": {"port": 0},
            "engine": {"workers": WORKERS},
            "streams": {
                "door": {
                    "source": camera.url("door"),
                    "fps": LOOKS,
                    "chain": [*LOOKED_WITH, "age-estimator"],
                    "tracking": {"per": {"face-detector": 2}},
                    "zones": [{"name": "hall", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}],
                    "lines": [{"name": "swung over", "points": [[0.81, 1], [0.81, 0]], "directions": ["in", "out"]}],
                    "read_timeout": 2,
                },
                "crowd": {"source": camera.url("crowd"), "chain": EVERYTHING, "window": 1, "read_timeout": 2},
                "clip": {"source": str(folder / "clip.mp4"), "chain": ["face-detector"]},
            },
            "sinks": {"lines": {"type": "file", "path": str(folder / "lines.jsonl")}},
        }
    )


async def _at_work(folder: Path, monkeypatch: pytest.MonkeyPatch, log: Log) -> Run:
    clips = {name: await asyncio.to_thread(Clip.read, folder / "clip.mp4") for name in ("door", "crowd")}
    outside = Outside(folder / "lines.jsonl", clips, monkeypatch)
    async with Camera(clips) as camera:
        app, stop = App(_configured(camera, folder)), asyncio.Event()
        tasks = [asyncio.create_task(app.run(stop)), asyncio.create_task(outside.run())]
        await until(lambda: bool(outside.lines["crowd"] and outside.lines["door"]), timeout_s=60)
        assert app.http is not None
        async with aiohttp.ClientSession(app.http.url) as client:
            await upload(client, "/face-detector-face-fitter/v2/process/image", file_of("astronaut"))
            early = Told.by(app, outside)
            await asyncio.sleep(SECONDS)
            busy = Told.by(app, outside)
            await camera.stop()

            def rows() -> dict[str, Any]:
                streams: dict[str, Any] = app.status()["streams"]
                return streams

            await until(lambda: all(rows()[name]["state"] == "waiting" for name in clips))
            said, began, restarts = rows()["door"]["next_attempt"], time.monotonic(), rows()["door"]["restarts"]
            await until(lambda: rows()["door"]["restarts"] > restarts)
            waited = said, time.monotonic() - began
            await until(lambda: not any(row["frames"]["pending"] for row in rows().values()))
            quiet = Told.by(app, outside)
            async with client.get("/metrics") as response:
                served, content_type = parsed(await response.text()), response.headers["Content-Type"]
        stop.set()
        await tasks[0]
        tasks[1].cancel()
    return Run(early, busy, quiet, Told.by(app, outside), served, content_type, waited, log.lines)


STREAMS = ("door", "crowd", "clip")


def ended(frames: Mapping[str, Any]) -> int:
    return int(frames["acknowledged"]) + sum(sum(frames[how].values()) for how in ("skipped", "dropped", "failed"))


@pytest.mark.parametrize("name", STREAMS)
def test_the_accounting_adds_up_at_each_moment(run: Run, name: str) -> None:
    for told in (run.busy, run.quiet, run.stopped):
        frames = told.stream(name)["frames"]
        assert frames["received"] == ended(frames) + frames["pending"]
        records = told.status["sinks"]["lines"]["records"]
        assert records["received"] == ended(records) + records["pending"]
    assert run.stopped.stream(name)["frames"]["pending"] == 0


@pytest.mark.parametrize("name", STREAMS)
def test_frames_and_documents_are_those_of_the_simulator_and_the_file(run: Run, name: str) -> None:
    for told in (run.quiet, run.stopped):
        frames, outside = told.stream(name)["frames"], told.outside
        assert frames["acknowledged"] == outside.in_file(name)
        if name != "clip":  # what FFmpeg looks at to know the stream is lost
            received = frames["received"] - run.early.stream(name)["frames"]["received"]
            assert received == pytest.approx(outside.sent_in(name) - run.early.outside.sent_in(name), abs=UNTOLD + 2)
        else:
            assert frames == dict.fromkeys(("received", "acknowledged"), SCENE.frames) | {
                "skipped": {},
                "dropped": {},
                "failed": {},
                "pending": 0,
            }
    records = run.stopped.status["sinks"]["lines"]["records"]
    assert records["acknowledged"] == sum(run.stopped.outside.in_file(name) for name in STREAMS)


def test_what_is_passed_over_and_what_is_dropped(run: Run) -> None:
    door, crowd = (run.quiet.stream(name)["frames"] for name in ("door", "crowd"))
    sent = run.quiet.outside.sent_in("door") - run.early.outside.sent_in("door")
    skipped = door["skipped"]["frame rate"] - run.early.stream("door")["frames"]["skipped"].get("frame rate", 0)
    assert skipped == pytest.approx(sent * (1 - LOOKS / FPS), abs=UNTOLD + 2)
    assert crowd["dropped"]["overload"] == crowd["received"] - run.quiet.outside.in_file("crowd")
    assert crowd["dropped"]["overload"] > crowd["received"] / 2


@pytest.mark.parametrize("name", ["door", "crowd"])
def test_rates_of_ten_seconds_and_of_a_minute(run: Run, name: str) -> None:
    row, outside = run.busy.stream(name), run.busy.outside
    last_10_s, last_60_s = row["rates"]["last_10_s"], row["rates"]["last_60_s"]
    assert 10 * last_10_s["received"] == pytest.approx(outside.sent_in(name, 10), abs=FPS)  # a sample is up to 1 s old
    assert 10 * last_10_s["acknowledged"] == pytest.approx(outside.in_file(name, 10), abs=LOOKS + 1)
    assert last_60_s["received"] == pytest.approx(FPS, rel=0.15)  # of the time since the start
    lost = last_10_s["dropped"].get("overload", 0) + last_10_s["skipped"].get("frame rate", 0)
    assert lost == pytest.approx(last_10_s["received"] - last_10_s["acknowledged"], abs=0.4)
    records = run.busy.status["sinks"]["lines"]["rates"]["last_10_s"]
    assert 10 * records["acknowledged"] == pytest.approx(sum(outside.in_file(n, 10) for n in STREAMS), abs=LOOKS + 2)


@pytest.mark.parametrize("name", ["door", "crowd"])
def test_latency_from_capture_to_acknowledgement(run: Run, name: str) -> None:
    took, told = run.busy.outside.latencies(name), run.busy.stream(name)["latency"]
    assert told["p50"] == pytest.approx(took[math.ceil(0.5 * len(took)) - 1], abs=0.1)
    assert told["p95"] == pytest.approx(took[math.ceil(0.95 * len(took)) - 1], abs=0.3)
    of_sink = run.busy.status["sinks"]["lines"]["latency"]
    assert 0 < of_sink["p50"] < 0.5  # `linger`, and a write


@pytest.mark.parametrize("name", ["door", "crowd"])
def test_when_the_last_frame_and_document_came(run: Run, name: str) -> None:
    for told in (run.busy, run.quiet):
        row, outside = told.stream(name), told.outside
        assert unix(row["last_frame"]) == pytest.approx(outside.sent[name][-1], abs=1)
        assert unix(row["last_document"]) == pytest.approx(outside.lines[name][-1][0], abs=0.2)
    newest = max(lines[-1][0] for lines in run.quiet.outside.lines.values())
    assert unix(run.quiet.status["sinks"]["lines"]["last_record"]) == pytest.approx(newest, abs=0.2)


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_codec_size_and_rate(run: Run) -> None:
    video = run.busy.stream("door")["video"]
    assert (video["codec"], video["width"], video["height"]) == ("h264", SCENE.width, SCENE.height)
    assert video["fps"] == pytest.approx(run.busy.outside.sent_in("door", 10) / 10, abs=1)
    assert video["cpu_seconds"] == pytest.approx(run.busy.outside.cpu["door"], rel=0.3, abs=0.1)
    info = {"codec": "h264", "width": str(SCENE.width), "height": str(SCENE.height)}
    assert run.busy.metric("visaged_stream_video_info", stream="door", **info) == 1


def test_what_the_workers_time_goes_to(run: Run) -> None:
    status, outside = run.quiet.status, run.quiet.outside
    rows = [status["http"]["processors"], *(status["streams"][name]["processors"] for name in STREAMS)]
    seconds = sum(spent["seconds"] for row in rows for spent in row.values())
    cpu_seconds = sum(spent["cpu_seconds"] for row in rows for spent in row.values())
    assert 0.9 * status["engine"]["busy_seconds"] < seconds <= status["engine"]["busy_seconds"]
    # Of requests decoding is not a processor's; the kernel counts in hundredths.
    assert 0.85 * outside.workers_cpu - 0.1 < cpu_seconds < outside.workers_cpu + 0.1
    assert cpu_seconds <= seconds


def test_the_calls_of_each_processor(run: Run) -> None:
    for name, chain in (("crowd", EVERYTHING), ("clip", ["face-detector"])):
        calls = {key: spent["calls"] for key, spent in run.quiet.stream(name)["processors"].items()}
        assert calls == dict.fromkeys(["decode", "tell", *chain], run.quiet.outside.in_file(name))
    calls = {key: spent["calls"] for key, spent in run.quiet.status["http"]["processors"].items()}
    assert calls == {"face-detector": 1, "face-fitter": 1}


def test_looks_and_predictions(run: Run) -> None:
    """Every frame is one or the other; a frame without a look isn't even converted."""
    row = run.quiet.stream("door")
    calls = {key: spent["calls"] for key, spent in row["processors"].items()}
    (looks,), (predictions,) = row["looks"]["made"].values(), row["looks"]["predicted"].values()
    assert looks + predictions == calls["tell"] == run.quiet.outside.in_file("door")
    assert [calls[key] for key in ("decode", *LOOKED_WITH)] == [looks] * 3
    documents = [doc["objects"] for _, doc in run.quiet.outside.lines["door"]]
    assert sum(any("predicted" in obj for obj in objects) for objects in documents) == predictions > 0
    assert not any(
        "predicted" in obj and ("pose" in obj or "keypoints" in obj) for objects in documents for obj in objects
    )
    assert run.quiet.metric("visaged_stream_looks_total", stream="door", **{"class": "face"}) == looks
    assert run.quiet.metric("visaged_stream_predictions_total", stream="door", **{"class": "face"}) == predictions
    assert run.quiet.stream("crowd")["looks"] == {"made": {}, "predicted": {}}


def test_zones_and_lines(run: Run) -> None:
    """All figures are those of the documents; when the camera is away nobody is there."""
    (_, last), busy = run.quiet.outside.lines["door"][-1], run.busy
    here = last["places"]["zones"]["hall"]["now"]["face"]
    assert 0 < here <= last["places"]["zones"]["hall"]["entered"]["face"]
    assert run.quiet.stream("door")["places"]["zones"]["hall"] == last["places"]["zones"]["hall"] | {"now": {"face": 0}}
    assert run.quiet.stream("door")["places"]["lines"] == last["places"]["lines"]
    labels = {"stream": "door", "zone": "hall", "class": "face"}
    places = busy.stream("door")["places"]
    assert busy.metric("visaged_stream_zone_objects", **labels) == places["zones"]["hall"]["now"]["face"] > 0
    assert busy.metric("visaged_stream_zone_entered_total", **labels) == places["zones"]["hall"]["entered"]["face"]
    for way, crossed in places["lines"]["swung over"].items():
        labels = {"stream": "door", "line": "swung over", "direction": way, "class": "face"}
        assert busy.metric("visaged_stream_line_crossed_total", **labels) == crossed["face"]
    assert run.quiet.stream("crowd")["places"] == {"zones": {}, "lines": {}}


def test_shots_of_tracks(run: Run) -> None:
    """Each shot that is made calls the estimator once, and its age is in the documents from then on."""
    row = run.quiet.stream("door")
    shots = row["shots"]
    assert shots["made"] == row["processors"]["age-estimator"]["calls"]
    aged = {obj["track_id"] for _, doc in run.quiet.outside.lines["door"] for obj in doc["objects"] if obj.get("age")}
    assert shots["made"] >= len(aged) > 1
    assert (shots["waiting"], shots["failed"]) == (0, {})
    assert run.quiet.metric("visaged_stream_shots_made_total", stream="door") == shots["made"]
    assert run.quiet.metric("visaged_stream_shots_waiting", stream="door") == 0
    assert run.quiet.total("visaged_stream_shots_shed_total", stream="door") == sum(shots["shed"].values())
    assert run.quiet.total("visaged_stream_shots_failed_total", stream="door") == 0


def test_shares_of_processors_are_of_the_workers_time(run: Run) -> None:
    busy = run.busy.status["engine"]["busy"]
    sampled = run.busy.status["engine"]["busy_seconds"] / busy["last_60_s"]  # of all workers, since the start
    for spent in run.busy.stream("crowd")["processors"].values():
        assert spent["share"] * sampled == pytest.approx(spent["seconds"], rel=0.2, abs=0.3)  # up to a second ago
    of_all = [run.busy.status["http"]["processors"], *(run.busy.stream(name)["processors"] for name in STREAMS)]
    told = sum(spent["share"] for row in of_all for spent in row.values())
    assert told == pytest.approx(busy["last_60_s"], abs=0.25)  # on a busy machine workers also wait between the parts
    assert 0.4 < busy["last_10_s"] <= 1  # one of the two workers at least is at the crowd


def test_memory(run: Run) -> None:
    for told in (run.busy, run.quiet):
        assert told.status["resident_bytes"] == pytest.approx(told.outside.rss, rel=0.1)
    assert run.served["process_resident_memory_bytes", frozenset()] == pytest.approx(run.quiet.outside.rss, rel=0.1)


def test_the_time_to_the_next_attempt(run: Run) -> None:
    said, was = run.waited
    assert was == pytest.approx(said, abs=0.25)
    assert run.busy.stream("door")["next_attempt"] is None


def test_states(run: Run) -> None:
    for told, states in (
        (run.busy, {"door": "running", "crowd": "starving", "clip": "ended"}),
        (run.quiet, {"door": "waiting", "crowd": "waiting", "clip": "ended"}),
    ):
        assert {name: told.stream(name)["state"] for name in STREAMS} == states
        assert {name: state for name, state in states_of(told, "stream")} == states
    assert states_of(run.busy, "sink") == [("lines", "writing")]
    assert states_of(run.stopped, "sink") == [("lines", "closed")]


def states_of(told: Told, kind: str) -> list[tuple[str, str]]:
    rows = [(dict(labels), value) for (name, labels), value in told.metrics.items() if name == f"visaged_{kind}_state"]
    return [(labels[kind], labels["state"]) for labels, value in rows if value]


def test_who_starves_says_why_with_its_figures_and_once(run: Run) -> None:
    row, outside = run.busy.stream("crowd"), run.busy.outside
    said = re.fullmatch(
        r"the workers are busy (\d+)% of the time: (\d+) of (\d+) frames of the last 10 s were dropped "
        r"\(overload: (\d+)\)",
        row["error"],
    )
    assert said is not None, row["error"]
    busy, dropped, looked_at, overload = map(int, said.groups())
    assert busy / 100 == pytest.approx(run.busy.status["engine"]["busy"]["last_10_s"], abs=0.1)
    assert dropped == overload
    assert looked_at == pytest.approx(outside.sent_in("crowd", 10), abs=FPS + 2)
    assert looked_at - dropped == pytest.approx(outside.in_file("crowd", 10), abs=3)
    told = [line for line in run.log if "starving" in line[1]]
    once = [("WARNING", "crowd"), ("INFO", "crowd")]  # the second where it was over before the daemon was stopped
    assert told
    assert [(level, text.partition(":")[0]) for level, text in told] == once[: len(told)]


def test_probes_and_a_dead_camera_are_quiet(run: Run) -> None:
    assert run.quiet.stream("door")["restarts"] >= 2
    told = [level for level, text in run.log if text.startswith("door: rtsp://")]
    assert len(told) == len({text.partition("; trying")[0] for _, text in run.log if text.startswith("door: rtsp://")})
    assert not [text for _, text in run.log if "/metrics" in text]


# /metrics says the same as /status at the same moment

MOMENTS = ("busy", "quiet", "stopped")
COUNTED = {"stream": ("streams", "frames"), "sink": ("sinks", "records")}


@pytest.mark.parametrize("moment", MOMENTS)
def test_counters_of_metrics(run: Run, moment: str) -> None:
    told: Told = getattr(run, moment)
    for kind, (section, noun) in COUNTED.items():
        prefix = f"visaged_{kind}_{noun}"
        for name, row in told.status[section].items():
            counts = row[noun]
            assert told.metric(f"{prefix}_received_total", **{kind: name}) == counts["received"]
            assert told.metric(f"{prefix}_acknowledged_total", **{kind: name}) == counts["acknowledged"]
            assert told.metric(f"{prefix}_pending", **{kind: name}) == counts["pending"]
            for how in ("skipped", "dropped", "failed"):
                shown = {
                    dict(labels)["reason"]: value
                    for (of, labels), value in told.metrics.items()
                    if of == f"{prefix}_{how}_total" and (kind, name) in labels
                }
                assert shown == counts[how]
    for name, row in told.status["sinks"].items():
        assert told.metric("visaged_sink_retries_total", sink=name) == row["retries"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_figures_of_streams_in_metrics(run: Run, moment: str) -> None:
    told: Told = getattr(run, moment)
    for name, row in told.status["streams"].items():
        assert told.metric("visaged_stream_restarts_total", stream=name) == row["restarts"]
        for key, spent in row["processors"].items() if moment != "busy" else ():  # which a worker may be at meanwhile
            labels = {"stream": name, "processor": key}
            assert told.metric("visaged_stream_processor_calls_total", **labels) == spent["calls"]
            for figure in ("seconds", "cpu_seconds"):
                shown = told.metric(f"visaged_stream_processor_{figure}_total", **labels)
                assert shown == pytest.approx(spent[figure], abs=0.001)
        for metric, key in (
            ("visaged_stream_last_frame_timestamp_seconds", "last_frame"),
            ("visaged_stream_last_document_timestamp_seconds", "last_document"),
        ):
            assert told.metric(metric, stream=name) == pytest.approx(unix(row[key]), abs=0.001)
        shown = told.metric("visaged_stream_video_cpu_seconds_total", stream=name)
        assert shown == pytest.approx(row["video"]["cpu_seconds"], abs=0.001)
        waits = told.metrics.get(("visaged_stream_next_attempt_seconds", frozenset({("stream", name)})))
        assert (waits is None) == (row["next_attempt"] is None)
    for key, spent in told.status["http"]["processors"].items():
        assert told.metric("visaged_http_processor_calls_total", processor=key) == spent["calls"]
    engine = told.status["engine"]
    assert told.metric("visaged_workers") == engine["workers"] == WORKERS
    assert told.metric("visaged_workers_busy_seconds_total") == pytest.approx(engine["busy_seconds"], abs=1)
    assert (told.metric("visaged_workers_hung_total"), told.metric("visaged_workers_abandoned_total")) == (0, 0)
    assert told.metric("visaged_build_info", version=told.status["version"]) == 1


@pytest.mark.parametrize("name", STREAMS)
def test_histograms_are_of_the_documents_in_the_file(run: Run, name: str) -> None:
    told, documents = run.quiet, run.quiet.outside.in_file(name)
    for stage in ("wait", "look", "tell"):
        assert told.metric("visaged_stream_stage_seconds_count", stream=name, stage=stage) == documents
    assert told.metric("visaged_stream_latency_seconds_count", stream=name) == documents
    if name == "clip":  # from its arrival: when it was taken says nothing
        return
    took = told.outside.latencies(name)
    assert told.metric("visaged_stream_latency_seconds_sum", stream=name) == pytest.approx(sum(took), rel=0.1, abs=1)
    below = told.metric("visaged_stream_latency_seconds_bucket", stream=name, le="2.5")
    assert below == pytest.approx(sum(one <= 2.5 for one in took), abs=2)
    processors = told.stream(name)["processors"]
    looked = sum(processors[key]["seconds"] for key in ("decode", *(EVERYTHING if name == "crowd" else LOOKED_WITH)))
    spent = {"look": looked, "tell": processors["tell"]["seconds"]}
    shown = {stage: told.metric("visaged_stream_stage_seconds_sum", stream=name, stage=stage) for stage in spent}
    if name == "door":  # a look that comes late, after a second, is made in the telling
        spent, shown = {"both": sum(spent.values())}, {"both": sum(shown.values())}
    for stage, seconds in spent.items():  # between two processors others may have the GIL, and the cores
        assert seconds - 0.01 < shown[stage] < 3 * seconds + 0.5


def test_the_sink_s_histogram_is_of_the_lines_in_the_file(run: Run) -> None:
    lines = sum(run.quiet.outside.in_file(name) for name in STREAMS)
    assert run.quiet.metric("visaged_sink_latency_seconds_count", sink="lines") == lines


def test_the_request_is_in_its_service_s_histogram(run: Run) -> None:
    labels = {"service": "face-detector-face-fitter", "version": "v2", "status": "2xx"}
    assert run.served["visaged_http_request_seconds_count", frozenset(labels.items())] == 1
    assert 0 < run.served["visaged_http_request_seconds_sum", frozenset(labels.items())] < 60


def test_what_the_dashboard_and_the_alerts_ask_for_is_there_and_moves(run: Run) -> None:
    moved = {name for (name, _), value in (*run.busy.metrics.items(), *run.served.items()) if value > 0}
    assert METRICS_OF_RULES - MOVE_ELSEWHERE.keys() <= moved


def test_metrics_over_http_are_prometheus_text(run: Run) -> None:
    assert run.content_type.startswith("text/plain; version=")
    still = [key for key in run.quiet.metrics if key[0].endswith(("received_total", "acknowledged_total", "_count"))]
    assert len(still) > 20
    assert {key: run.served[key] for key in still} == {key: run.quiet.metrics[key] for key in still}
    assert run.served["process_start_time_seconds", frozenset()] == pytest.approx(psutil.Process().create_time(), abs=2)
