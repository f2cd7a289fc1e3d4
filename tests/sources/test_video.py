import struct
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from daemon.errors import DamagedImage, SourceError, SourceSpent
from daemon.sources.base import InThread, Out
from daemon.sources.boundary import in_our_words
from daemon.sources.planes import Mounted
from daemon.sources.settings import SourceSettings
from daemon.sources.video import VideoReader
from processors.types import Frame
from tests.fakes import CollectingFeed
from tests.sources.videos import FPS, HEIGHT, LOW_DELAY, WIDTH, encode, jpeg, make_video, numbers, picture


async def read(source: Path | str, **settings: object) -> CollectingFeed:
    feed = CollectingFeed()
    reader = VideoReader(SourceSettings.model_validate({"source": str(source), **settings}))
    await InThread(reader, "test").run(feed)
    return feed


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
async def test_a_file_s_frames_in_order(tmp_path: Path, container: str) -> None:
    began = time.time()
    feed = await read(make_video(tmp_path / f"a.{container}"))
    assert numbers(feed.put_frames) == list(range(10))
    assert [frame.index for frame in feed.put_frames] == list(range(10))
    assert {(frame.width, frame.height, frame.image.shape) for frame in feed.put_frames} == {
        (WIDTH, HEIGHT, (HEIGHT, WIDTH, 3))
    }
    pts = np.array([frame.pts for frame in feed.put_frames])
    np.testing.assert_allclose(pts - pts[0], np.arange(10) / FPS, atol=1e-3)
    start = np.array([frame.captured_at for frame in feed.put_frames]) - pts
    np.testing.assert_allclose(start, start[0], atol=1e-6)  # for a file: start + pts
    assert began <= start[0] <= time.time()
    assert (feed.offered, feed.failed) == ([], [])


@pytest.mark.parametrize("name", ["a.avi", "a.h264", "a.hevc", "a.mkv", "a.ts", "a.mjpeg"])
async def test_time_goes_on_evenly_whatever_the_container_keeps_of_it(tmp_path: Path, name: str) -> None:
    """AVI keeps the order of storage alone, and raw video nothing."""
    codec = {"a.hevc": "libx265", "a.mjpeg": "mjpeg"}.get(name, "libx264")
    b_frames = {"preset": "veryfast", "bf": "3", "sc_threshold": "0"}
    options = {"x265-params": "log-level=error:bframes=3:scenecut=0"} if codec == "libx265" else b_frames
    path = encode(tmp_path / name, [picture(number % 12) for number in range(36)], codec, options=options)  # type: ignore[arg-type]
    feed = await read(path)
    assert numbers(feed.put_frames) == [number % 12 for number in range(36)]
    steps = np.diff([frame.pts for frame in feed.put_frames])
    np.testing.assert_allclose(steps, 1 / FPS, atol=2e-3)
    captured = np.diff([frame.captured_at for frame in feed.put_frames])
    np.testing.assert_allclose(captured, steps, atol=1e-5)
    assert feed.counts.received == 36


async def test_two_runs_read_the_same(tmp_path: Path) -> None:
    feed = CollectingFeed()
    source = InThread(VideoReader(SourceSettings(source=str(make_video(tmp_path / "a.mp4", 3)))), "test")
    await source.run(feed)
    await source.run(feed)
    assert numbers(feed.put_frames) == [0, 1, 2, 0, 1, 2]
    assert [frame.index for frame in feed.put_frames] == [0, 1, 2, 0, 1, 2]


async def test_a_title_that_is_no_utf_8_spoils_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "cafe"
        stream = container.add_stream("mjpeg", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame(WIDTH, HEIGHT, "yuvj420p")))
    content = path.read_bytes()
    assert content.count(b"cafe") == 1
    path.write_bytes(content.replace(b"cafe", "café".encode("latin-1")))
    assert len((await read(path)).put_frames) == 1


async def test_a_codec_without_a_decoder_is_told(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv")
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_VISAGED/XYZAB"))
    with pytest.raises(SourceError, match=r"a\.mkv: "):
        await read(path)


async def test_a_video_without_a_picture_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        container.start_encoding()
    with pytest.raises(SourceError, match=r"a\.mkv: "):
        await read(path)


class TestBoundary:
    class Reader:
        _shown = "a.mp4"

        def __init__(self, error: Exception | None) -> None:
            self._error = error

        @in_our_words
        def read(self, out: Out) -> None:
            if self._error is not None:
                raise self._error
            out.skip("not wanted")

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (av.error.PatchWelcomeError(1, "patches welcome", "rtsp://user:hunter2@door"), "a.mp4: patches welcome"),
            (OSError(5, "Input/output error", "rtsp://user:hunter2@door"), "a.mp4: Input/output error"),
            (ZeroDivisionError("by zero"), "a.mp4: cannot be read: ZeroDivisionError: by zero"),
            (SourceError("a.mp4: in our words"), "a.mp4: in our words"),
        ],
    )
    async def test_whatever_a_library_raises_is_a_source_error(self, error: Exception, said: str) -> None:
        with pytest.raises(SourceError) as caught:
            await InThread(self.Reader(error), "test").run(CollectingFeed())
        assert str(caught.value) == said
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))

    async def test_what_the_feed_raises_is_its_own(self, tmp_path: Path) -> None:
        class Full(CollectingFeed):
            async def put(self, frame: Frame) -> None:
                raise ZeroDivisionError

        reader = VideoReader(SourceSettings(source=str(make_video(tmp_path / "a.mp4", 1))))
        with pytest.raises(ZeroDivisionError):
            await InThread(reader, "test").run(Full())

    async def test_frames_that_are_not_wanted_are_frames(self) -> None:
        await InThread(self.Reader(None), "test").run(CollectingFeed())


def rotate_by_metadata(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Writes the display matrix that takes a stored (x, y) to (a x + c y, b x + d y), into an MP4's track header."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2, version 0
    one = 1 << 16
    content[matrix : matrix + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [
        ((1, 0, 0, 1), "upper left"),
        ((0, 1, -1, 0), "upper right"),
        ((-1, 0, 0, -1), "lower right"),
        ((0, -1, 1, 0), "lower left"),
        ((-1, 0, 0, 1), "upper right"),
        ((1, 0, 0, -1), "lower left"),
        ((0, 1, 1, 0), "upper left"),
        ((0, -1, -1, 0), "lower right"),
    ],
)
async def test_a_video_that_is_stored_lying_down_or_mirrored_is_shown_upright(
    tmp_path: Path, matrix: tuple[int, int, int, int], corner: str
) -> None:
    """The stored picture has a light corner in the upper left, and a grey one below it that tells of a mirror."""
    stored = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    stored[: HEIGHT // 2, : WIDTH // 2] = 255
    stored[HEIGHT // 2 :, : WIDTH // 2] = 100
    path = encode(tmp_path / "a.mp4", [stored])
    rotate_by_metadata(path, *matrix)
    (frame,) = (await read(path)).put_frames
    assert frame.image.shape == (frame.height, frame.width, 3)
    assert (frame.width, frame.height) == ((WIDTH, HEIGHT) if matrix[0] else (HEIGHT, WIDTH))
    rows, columns = np.nonzero(frame.image[..., 0] > 127)
    vertical = "upper" if rows.mean() < frame.height / 2 else "lower"
    horizontal = "left" if columns.mean() < frame.width / 2 else "right"
    assert f"{vertical} {horizontal}" == corner
    *_, c, d = matrix
    grey = np.argwhere((frame.image[..., 0] > 60) & (frame.image[..., 0] < 127)).mean(axis=0)
    light = np.array([rows.mean(), columns.mean()])
    # From the light corner a step down in the stored picture is (c, d) in the shown one.
    np.testing.assert_allclose(np.sign(np.round((grey - light) / 10)), (np.sign(d), np.sign(c)))


@pytest.mark.parametrize("matrix", [None, (0, 1, -1, 0), (-1, 0, 0, -1), (-1, 0, 0, 1), (0, 1, 1, 0)])
@pytest.mark.parametrize(
    ("mounted", "turn"), [(90, cv2.ROTATE_90_CLOCKWISE), (180, cv2.ROTATE_180), (270, cv2.ROTATE_90_COUNTERCLOCKWISE)]
)
async def test_a_camera_that_hangs_otherwise_is_turned_after_what_its_video_says(
    tmp_path: Path, matrix: tuple[int, int, int, int] | None, mounted: Mounted, turn: int
) -> None:
    path = encode(tmp_path / "a.mp4", [picture(3)])
    if matrix is not None:
        rotate_by_metadata(path, *matrix)
    (before,) = (await read(path)).put_frames
    (after,) = (await read(path, mounted=mounted)).put_frames
    np.testing.assert_array_equal(after.image, cv2.rotate(before.image, turn))
    assert after.image.shape == (after.height, after.width, 3)


def of_two(path: Path, *dispositions: int) -> Path:
    """Videos of one size: the first is black, the second white. A cover has one picture."""
    with av.open(str(path), "w") as container:
        streams = []
        for disposition in dispositions:
            stream = container.add_stream("mjpeg", rate=FPS)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
            stream.disposition = Disposition(disposition)
            streams.append(stream)
        for stream, level in zip(streams, (0, 255), strict=False):
            for pts in range(1 if stream.disposition & Disposition.attached_pic else 3):
                frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), level, np.uint8), format="bgr24")
                frame.pts = pts
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("container", "dispositions", "level"),
    [
        ("mkv", (0, 0), 0),
        ("mkv", (0, Disposition.default), 255),
        ("mp4", (Disposition.attached_pic, Disposition.default), 255),
    ],
    ids=["the first", "the default", "not the cover"],
)
async def test_of_several_videos_the_one_that_players_show(
    tmp_path: Path, container: str, dispositions: tuple[int, int], level: int
) -> None:
    path = of_two(tmp_path / f"a.{container}", *dispositions)
    frames = (await read(path)).put_frames
    assert len(frames) == 3
    assert frames[0].image.mean() == pytest.approx(level, abs=3)


async def test_a_cover_is_no_video(tmp_path: Path) -> None:
    """As in a song."""
    path = of_two(tmp_path / "a.mp4", Disposition.attached_pic, 0)
    with av.open(str(path)) as whole, av.open(str(tmp_path / "b.mp4"), "w") as out:
        cover = next(each for each in whole.streams.video if each.disposition & Disposition.attached_pic)
        copy = out.add_stream_from_template(cover)
        copy.disposition = Disposition.attached_pic
        sound = out.add_stream("aac", rate=48_000)
        for packet in whole.demux(cover):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.rate = 48_000
        out.mux(sound.encode(silence))
        out.mux(sound.encode())
    with pytest.raises(SourceError, match=r"b.mp4: expected a video, found none in it, but a cover picture$"):
        await read(tmp_path / "b.mp4")


async def test_a_file_cut_short_gives_what_it_has(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.ts")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    feed = await read(path)
    assert numbers(feed.put_frames) == list(range(len(feed.put_frames)))
    assert 0 < len(feed.put_frames) < 10


@pytest.mark.parametrize(("first", "second"), [("libx264", "libx265"), ("libx265", "libx264")])
async def test_what_comes_before_a_change_of_the_codec_is_read_and_the_change_told(
    tmp_path: Path, first: Literal["libx264", "libx265"], second: Literal["libx264", "libx265"]
) -> None:
    pictures, parts = [picture(number) for number in range(10)], []
    for codec in (first, second):
        quiet = {"x265-params": "log-level=none:bframes=0"} if codec == "libx265" else LOW_DELAY
        parts.append(encode(tmp_path / f"{codec}.ts", pictures, codec, options=quiet).read_bytes())
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    feed = CollectingFeed()
    with pytest.raises(SourceSpent, match=r"a\.ts: its last \d+ packets cannot be decoded as \w+: .*its codec changes"):
        await InThread(VideoReader(SourceSettings(source=str(tmp_path / "a.ts"))), "test").run(feed)
    before = numbers(feed.put_frames)
    assert before == list(range(len(before)))
    assert len(before) >= 8  # FFmpeg holds the last ones back for what belongs to them, and something else came
    assert {type(error) for error in feed.failed} == {DamagedImage}


async def test_a_file_that_cannot_be_read_to_its_end_is_spent(tmp_path: Path) -> None:
    """FFmpeg takes the boundary behind the last part for the beginning of one more."""
    jpegs = [jpeg(number) for number in range(3)]
    path = tmp_path / "a.mpjpeg"
    path.write_bytes(b"".join(b"--x\r\nContent-Type: image/jpeg\r\n\r\n" + one + b"\r\n" for one in jpegs) + b"--x\r\n")
    feed = CollectingFeed()
    with pytest.raises(SourceSpent, match=r"a\.mpjpeg: Invalid data"):
        await InThread(VideoReader(SourceSettings(source=str(path))), "test").run(feed)
    assert numbers(feed.put_frames) == [0, 1, 2]
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(SourceError) as refused:
        await read(tmp_path / "empty.mp4")
    assert not isinstance(refused.value, SourceSpent)  # it may be on its way


async def test_damaged_packets_are_counted(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv")
    content = bytearray(path.read_bytes())
    for position in np.random.default_rng(1).integers(len(content) // 3, len(content), 200):
        content[position] ^= 0xFF
    path.write_bytes(content)
    assert {type(error) for error in (await read(path)).failed} == {DamagedImage}


def sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.touch(), "Invalid data found when processing input"),
        (lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)), "Invalid data found"),
        (lambda path: path.write_bytes(b"GIF89a" + bytes(3)), "Invalid data found"),
        (sound, "expected a video, found none in it"),
    ],
    ids=["missing", "empty", "garbage", "cut picture", "sound"],
)
async def test_what_is_no_video_is_a_source_error_and_nothing_is_printed(
    tmp_path: Path, make: Callable[[Path], object], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.wav"
    make(path)
    with pytest.raises(SourceError, match=f"a.wav: {message}"):
        await read(path)
    assert capfd.readouterr().err == ""


async def test_an_mp4_cut_short_has_no_index(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = make_video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(SourceError):
        await read(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://user:hunter2@127.0.0.1:1/live?token=hunter2",
        "rtsps://user:hunter2@127.0.0.1:1/live",
        "http://user:hunter2@127.0.0.1:1/video.mjpg?password=hunter2",
        "https://user:hunter2@127.0.0.1:1/video.m3u8?password=hunter2",
    ],
)
async def test_no_password_leaves_the_reader(
    url: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nor FFmpeg: not in the error or what it was raised from, not in a log line, not on standard error."""
    with caplog.at_level("DEBUG"), pytest.raises(SourceError, match=r"^\w+://\*\*\*@127\.0\.0\.1:1/") as error:
        await read(url)
    shown = "".join(traceback.format_exception(error.value))
    shown += caplog.text + "".join(capfd.readouterr())
    assert "nobody listens at 127.0.0.1:1" in shown
    assert "hunter2" not in shown


async def test_no_thread_is_left(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    await read(make_video(tmp_path / "a.mp4", 2))
    with pytest.raises(SourceError):
        await read(tmp_path / "none.mp4")
    assert set(threading.enumerate()) == before
