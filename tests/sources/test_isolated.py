import asyncio
import contextlib
import gc
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest

from daemon.control.settings import StreamSettings
from daemon.errors import DamagedImage, ImageTooLarge, SourceError
from daemon.flow.engine import Engine
from daemon.flow.stream import Stream
from daemon.flow.supervisor import Supervisor
from daemon.simulator.camera import Camera
from daemon.simulator.rtp import Clip
from daemon.simulator.rtsp import Credentials
from daemon.sources import make_source
from daemon.sources.base import InThread
from daemon.sources.isolated import PUTS, SLOTS, STOP_S, Isolated
from daemon.sources.planes import Mounted
from daemon.sources.settings import SourceSettings
from daemon.sources.video import VideoReader
from processors.types import Frame
from tests.fakes import CollectingFeed, CollectingSink
from tests.flow.test_stream import stream_of
from tests.sources.readers import Breaks, Deaf, Garbles, InTurn, Offers, Prints, Puts, Sizes, Tells, TooLarge
from tests.sources.videos import CODED, Coded, make_video, numbers, textured, turned
from tests.waiting import until

NAME = "door"
ROOT = Path(__file__).parents[2]


class Feed(CollectingFeed):
    """Keeps a put frame as the engine would have it: converted."""

    async def put(self, frame: Frame) -> None:
        _ = frame.image
        await super().put(frame)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def shared_memory() -> int:
    """Mappings of frames in this process."""
    return Path("/proc/self/maps").read_text(encoding="utf-8").count("memfd:frames")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No process, no descriptor, no memory and no thread."""
    open_before, threads = descriptors(), set(threading.enumerate())
    yield
    assert decoders() == []
    gc.collect()  # Python 3.13 keeps a cancelled task's error, with the frames in its traceback, until then
    assert shared_memory() == 0
    assert descriptors() <= open_before
    deadline = time.monotonic() + 2  # Python 3.11 waits for each process in a thread, which still has to go
    while set(threading.enumerate()) - threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= threads


def decoders() -> list[psutil.Process]:
    """Of this process; the brokers of other tests are its children too."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "daemon.sources.isolated" in " ".join(child.cmdline()):
                found.append(child)
    return found


async def decoder_process() -> psutil.Process:
    await until(lambda: len(decoders()) == 1)
    return decoders()[0]


@contextlib.asynccontextmanager
async def camera(path: Path, credentials: Credentials | None = None) -> AsyncIterator[str]:
    """The URL of a small video that goes round and round."""
    async with Camera({"cam": Clip.read(make_video(path / "cam.mp4"))}, credentials=credentials) as simulator:
        yield simulator.url("cam")


async def cancelled(source: "asyncio.Task[None]") -> float:
    """Seconds that it took."""
    began = time.monotonic()
    source.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(source, 10)
    return time.monotonic() - began


# What comes over


async def both(*paths: Path, mounted: Mounted | None = None) -> tuple[list[list[Frame]], list[list[Frame]]]:
    """Of each video the frames that its reader gives in a thread, and those that come out of one process for all."""
    reader = InTurn([VideoReader(SourceSettings(source=str(path), mounted=mounted)) for path in paths])
    feeds = Feed(), Feed()
    await InThread(reader, NAME).run(feeds[0])
    await Isolated(reader, NAME).run(feeds[1])
    assert len(feeds[0].codecs) == len(paths)
    assert feeds[0].codecs == feeds[1].codecs
    assert feeds[0].cpu_seconds > 0
    assert feeds[1].cpu_seconds > feeds[0].cpu_seconds / 2  # with the process's start
    return by_video(feeds[0].put_frames), by_video(feeds[1].put_frames)


def by_video(frames: list[Frame]) -> list[list[Frame]]:
    starts = [place for place, frame in enumerate(frames) if frame.index == 0]
    return [frames[start:end] for start, end in pairwise([*starts, len(frames)])]


def of_two_sizes(folder: Path) -> Path:
    """H.264 as cameras send it, with a new parameter set on the way."""
    sizes = [(320, 180), (640, 360)]
    parts = [textured(folder / f"{w}.h264", Coded(width=w, height=h)) for w, h in sizes]
    path = folder / "both.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


async def test_the_frames_of_a_thread_byte_for_byte(tmp_path: Path) -> None:
    videos = {
        name: textured(tmp_path / f"{place}.{coded.container}", coded)
        for place, (name, coded) in enumerate(CODED.items())
    }
    videos |= {f"turned by {rotation}": turned(tmp_path / f"{rotation}.mp4", rotation) for rotation in (90, 180, 270)}
    videos["a change of size"] = of_two_sizes(tmp_path)
    threads, processes = await both(*videos.values())
    assert len(threads) == len(processes) == len(videos)
    sizes = {}
    for name, thread, process in zip(videos, threads, processes, strict=True):
        assert [(f.index, f.pts, f.width, f.height) for f in thread] == [
            (f.index, f.pts, f.width, f.height) for f in process
        ], name
        for ours, theirs in zip(thread, process, strict=True):
            np.testing.assert_array_equal(ours.image, theirs.image, name)
        sizes[name] = {(frame.width, frame.height) for frame in process}
    assert sizes["turned by 90"] == sizes["turned by 270"] == {(180, 320)}
    assert sizes["turned by 180"] == {(320, 180)}
    assert sizes["a change of size"] == {(320, 180), (640, 360)}


async def test_pictures_of_a_camera_that_is_mounted_otherwise(tmp_path: Path) -> None:
    """The planes are carried as they are stored, and turned on this side."""
    (thread,), (process,) = await both(textured(tmp_path / "a.mp4", CODED["4:2:0"]), mounted=90)
    assert {(frame.width, frame.height) for frame in process} == {(180, 320)}
    for ours, theirs in zip(thread, process, strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)


async def test_pictures_of_changing_sizes() -> None:
    feed = Feed()
    await Isolated(Sizes(), NAME).run(feed)
    assert [frame.image.shape for frame in feed.put_frames] == [
        (48, 64, 3),
        (720, 1280, 3),
        (31, 17, 3),
        (2160, 3840, 3),
        (48, 64, 3),
    ]
    assert all((frame.image == frame.index).all() for frame in feed.put_frames)


async def test_a_picture_without_room_fails_alone() -> None:
    feed = Feed()
    await Isolated(TooLarge(), NAME).run(feed)
    assert [type(error) for error in feed.failed] == [ImageTooLarge]
    assert [frame.index for frame in feed.put_frames] == [1]


async def test_skipped_and_failed_frames_are_counted() -> None:
    feed = Feed()
    await Isolated(Tells(), NAME).run(feed)
    assert feed.counts.skipped == {"no motion": 2, "frame rate": 1}
    assert [(type(error), str(error)) for error in feed.failed] == [
        (DamagedImage, "torn"),
        (FileNotFoundError, "[Errno 2] No such file or directory: 'a.png'"),
    ]
    assert [(frame.index, frame.pts, frame.captured_at) for frame in feed.put_frames] == [(0, 0.0, 0.5)]


async def test_what_prints_does_not_disturb(capfd: pytest.CaptureFixture[str]) -> None:
    feed = Feed()
    await Isolated(Prints(), NAME).run(feed)
    assert len(feed.put_frames) == 1
    assert capfd.readouterr().out == ""


async def test_by_configuration(tmp_path: Path) -> None:
    settings = StreamSettings(source=str(make_video(tmp_path / "a.mp4", 3)), isolate=True, chain=("face-detector",))
    source = make_source(settings, NAME)
    assert isinstance(source, Isolated)
    feed = Feed()
    await source.run(feed)
    await source.run(feed)
    assert numbers(feed.put_frames) == [0, 1, 2, 0, 1, 2]


async def test_a_camera(tmp_path: Path) -> None:
    async with camera(tmp_path) as url:
        feed = CollectingFeed()
        source = asyncio.create_task(make_source(SourceSettings(source=url, isolate=True), NAME).run(feed))
        await until(lambda: len(feed.offered) >= 5)
        await cancelled(source)
    assert [frame.index for frame in feed.offered] == list(range(len(feed.offered)))
    assert {frame.image.shape for frame in feed.offered} == {(48, 64, 3)}
    ages = [time.time() - frame.captured_at for frame in feed.offered]
    assert 0 < min(ages) < max(ages) < 10


# How fast it comes


async def test_put_waits_for_room_a_frame_ahead(tmp_path: Path) -> None:
    feed, progress = Feed(), tmp_path / "progress"
    feed.open.clear()
    source = asyncio.create_task(Isolated(Puts(10, progress), NAME).run(feed))
    await until(lambda: feed.waiting == 1)
    await asyncio.sleep(0.2)
    assert progress.read_text(encoding="ascii") == str(PUTS)
    feed.open.set()
    await source
    assert [frame.index for frame in feed.put_frames] == list(range(10))


async def test_a_frame_that_is_kept_is_never_written_over() -> None:
    """And what has no room is dropped, counted, without a wait."""
    feed = CollectingFeed()
    await Isolated(Offers(SLOTS + 8), NAME).run(feed)
    assert feed.counts.dropped == {"overload": 8}
    assert [frame.index for frame in feed.offered] == list(range(SLOTS))
    assert shared_memory() == 1  # the process is gone, its pictures are not
    assert all((frame.image == frame.index).all() for frame in feed.offered)


@pytest.mark.parametrize("converted", [True, False])
async def test_slots_are_used_again(converted: bool) -> None:
    """Those of frames that were converted, or let go of, while the last are kept."""

    class Keeping(CollectingFeed):
        async def put(self, frame: Frame) -> None:
            if converted:
                assert (frame.image == frame.index).all()
            await super().put(frame)
            del self.put_frames[:-8]

    feed = Keeping()
    await Isolated(Puts(3 * SLOTS), NAME).run(feed)
    assert [frame.index for frame in feed.put_frames] == list(range(3 * SLOTS - 8, 3 * SLOTS))
    assert all((frame.image == frame.index).all() for frame in feed.put_frames)


# How it ends


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
async def test_a_crash_is_a_source_error_after_all_frames(number: signal.Signals) -> None:
    feed = CollectingFeed()
    with pytest.raises(SourceError, match=rf"^the decoder's process was ended by {number.name}$"):
        await Isolated(Offers(20, signal=number), NAME).run(feed)
    assert [frame.index for frame in feed.offered] == list(range(20))
    assert all((frame.image == frame.index).all() for frame in feed.offered)


async def test_killed_in_the_middle_it_takes_one_stream_down_and_can_be_run_again(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4")
    feed, other = Feed(), Feed()
    feed.open.clear()
    source = Isolated(VideoReader(SourceSettings(source=str(path))), NAME)
    run = asyncio.create_task(source.run(feed))
    await until(lambda: feed.waiting == 1)
    victim = await decoder_process()
    beside = asyncio.create_task(Isolated(Puts(30), "beside").run(other))
    await until(lambda: len(other.put_frames) >= 1)
    victim.kill()
    feed.open.set()
    with pytest.raises(SourceError, match="was ended by SIGKILL"):
        await run
    assert numbers(feed.put_frames) == list(range(len(feed.put_frames)))
    assert 1 <= feed.counts.received == feed.counts.acknowledged <= PUTS  # what it had told of, and nothing twice
    await beside
    assert len(other.put_frames) == 30
    feed.put_frames.clear()
    await source.run(feed)
    assert numbers(feed.put_frames) == list(range(10))


async def test_a_camera_whose_decoder_is_killed_is_called_again(tmp_path: Path) -> None:
    """Twice; beside it another stream of the same engine goes on, and every frame is accounted for."""
    engine, sinks = Engine(2), (CollectingSink(), CollectingSink())
    async with camera(tmp_path) as url:
        supervisors = [
            Supervisor(
                stream_of(
                    make_source(SourceSettings(source=url, isolate=isolate), NAME),
                    engine.lane(str(isolate)),
                    sink,
                    work=lambda frame: frame.image,
                )
            )
            for isolate, sink in zip((True, False), sinks, strict=True)
        ]
        running = [asyncio.create_task(supervisor.run()) for supervisor in supervisors]
        await killed_and_called_again(supervisors[0])
        await killed_and_called_again(supervisors[0])
        await until(lambda: supervisors[0].state == "running", 20)
        for supervisor in supervisors:
            supervisor.stop()
        await asyncio.wait(running)
    await engine.close()
    assert supervisors[1].restarts == 0
    for supervisor, sink in zip(supervisors, sinks, strict=True):
        counts = supervisor.stream.counts
        assert counts.received == len(sink.records) + counts.dropped.total()
    assert len({record.key for record in sinks[0].records}) == 3  # runs
    assert len({record.key for record in sinks[1].records}) == 1


async def killed_and_called_again(supervisor: Supervisor[Stream]) -> None:
    counts, restarts = supervisor.stream.counts, supervisor.restarts
    acknowledged = counts.acknowledged
    await until(lambda: counts.acknowledged > acknowledged + 5, 20)
    (await decoder_process()).kill()
    await until(lambda: supervisor.restarts > restarts)
    assert supervisor.error == "the decoder's process was ended by SIGKILL"


async def test_a_mistake_in_a_reader_ends_the_process_with_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match=r"^the decoder's process ended with status 1$"):
        await Isolated(Breaks(), NAME).run(CollectingFeed())
    assert "ZeroDivisionError: a mistake" in capfd.readouterr().err


async def test_nonsense_is_a_source_error() -> None:
    with pytest.raises(SourceError, match=r"^the decoder's process is out of order: message 255 of 4294967295 bytes$"):
        await Isolated(Garbles(), NAME).run(CollectingFeed())


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.touch()], ids=["missing", "empty"])
async def test_the_reader_s_errors_are_those_of_a_thread(
    tmp_path: Path, make: Callable[[Path], object], capfd: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "a.mp4")
    thread, process = await errors_of(str(tmp_path / "a.mp4"))
    assert (type(process), str(process)) == (type(thread), str(thread))
    assert capfd.readouterr().err == ""


async def test_no_password_leaves_the_process(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A camera that refuses it: not in the error, which is that of a thread, not in a line; not on the command line."""
    with caplog.at_level("DEBUG"):
        async with camera(tmp_path, Credentials("me", "s3cret")) as url:
            thread, process = await errors_of(url.replace("rtsp://", "rtsp://me:hunter2@"))
            right = url.replace("rtsp://", "rtsp://me:s3cret@")
            feed = CollectingFeed()
            source = asyncio.create_task(Isolated(VideoReader(SourceSettings(source=right)), NAME).run(feed))
            command = (await decoder_process()).cmdline()
            await until(lambda: len(feed.offered) > 1)
            await cancelled(source)
    assert (type(process), str(process)) == (type(thread), str(thread))
    assert "401" in str(process)
    assert command[-1] == NAME
    shown = "".join((*command, str(process), caplog.text, *capfd.readouterr()))
    assert "hunter2" not in shown
    assert "s3cret" not in shown


async def errors_of(url: str) -> tuple[SourceError, SourceError]:
    """In a thread, and in a process."""
    reader = VideoReader(SourceSettings(source=url))
    raised = []
    for source in (InThread(reader, NAME), Isolated(reader, NAME)):
        with pytest.raises(SourceError) as error:
            await source.run(CollectingFeed())
        raised.append(error.value)
    return raised[0], raised[1]


async def test_cancelled_between_frames() -> None:
    feed = CollectingFeed()
    source = asyncio.create_task(Isolated(Offers(10_000, 0.005), NAME).run(feed))
    await until(lambda: len(feed.offered) > 5)
    feed.offered.clear()
    await cancelled(source)
    assert {frame.index for frame in feed.offered} <= set(range(10_000))


async def test_cancelled_while_put_waits() -> None:
    feed = CollectingFeed()
    feed.open.clear()
    source = asyncio.create_task(Isolated(Puts(10), NAME).run(feed))
    await until(lambda: feed.waiting == 1)
    await cancelled(source)
    assert feed.counts.dropped == {"stopped": 1}
    assert len(asyncio.all_tasks()) == 1


async def test_cancelled_before_the_first_frame() -> None:
    source = asyncio.create_task(Isolated(Offers(1), NAME).run(CollectingFeed()))
    await decoder_process()
    await cancelled(source)


async def test_one_that_does_not_hear_is_killed() -> None:
    feed = CollectingFeed()
    source = asyncio.create_task(Isolated(Deaf(), NAME).run(feed))
    await until(lambda: len(feed.offered) == 1)
    assert STOP_S <= await cancelled(source) < 3 * STOP_S + 2


async def test_sigterm_is_the_daemon_s_alone() -> None:
    """Service managers send it to every process of a service."""
    feed = CollectingFeed()
    source = asyncio.create_task(Isolated(Offers(40, 0.01), NAME).run(feed))
    await until(lambda: len(feed.offered) > 1)
    (await decoder_process()).terminate()
    await source
    assert len(feed.offered) + feed.counts.dropped.total() == 40


def test_it_dies_with_the_daemon() -> None:
    """Also one that looks at nothing, and nothing is said of it."""
    program = """
import asyncio, psutil
from daemon.sources.isolated import Isolated
from tests.fakes import CollectingFeed, CollectingSink
from tests.sources.readers import Deaf

class Feed(CollectingFeed):
    def offer(self, frame):
        print(psutil.Process().children()[0].pid, flush=True)

asyncio.run(Isolated(Deaf(), "door").run(Feed()))
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        with contextlib.suppress(psutil.NoSuchProcess):
            child.wait(5)
        assert not child.is_running()
        assert parent.communicate() == ("", "")
