import asyncio
import base64
import contextlib
import gc
import hashlib
import itertools
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

import av
import numpy as np
import psutil
import pytest

from daemon.simulator.camera import Camera
from daemon.simulator.clip import Scene, make_clip
from daemon.simulator.mount import MAX_BACKLOG
from daemon.simulator.rtp import Clip
from daemon.simulator.rtsp import Credentials

SCENE = Scene(width=320, height=180, fps=100, seconds=0.5)
GOP = 10
FRAME = 900  # ticks of 90 kHz


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    make_clip(folder / "h264.mp4", SCENE, gop=GOP)
    return folder / "h264.mp4"


@pytest.fixture(scope="module")
def clip(path: Path) -> Clip:
    return Clip.read(path)


@pytest.fixture(scope="module")
def heavy_clip(folder: Path) -> Clip:
    """Noise, some 10 MB a second."""
    path = folder / "noise.mp4"
    noise = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=50, options={"tune": "zerolatency", "preset": "ultrafast"})
        stream.width, stream.height, stream.gop_size = 480, 360, 10
        for _ in range(20):
            pixels = noise.integers(0, 256, (360, 480, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        container.mux(stream.encode())
    return Clip.read(path)


def digest(frame: av.VideoFrame) -> str:
    return hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()


def pictures(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [digest(frame) for frame in container.decode(video=0)]


@dataclass(frozen=True)
class Seen:
    picture: str
    pts: int | None
    keyframe: bool
    corrupt: bool
    size: tuple[int, int]


Transport = Literal["tcp", "udp"]


def watch(url: str, transport: Transport = "tcp", timeout_s: float = 5) -> Iterator[Seen]:
    """A client: FFmpeg. Blocks; ends when the camera does."""
    options = {
        "rtsp_transport": transport,
        "timeout": str(round(timeout_s * 1e6)),
        "analyzeduration": "0",
        "probesize": "32",
    }
    with av.open(url, options=options) as container:
        for frame in container.decode(video=0):
            yield Seen(digest(frame), frame.pts, frame.key_frame, frame.is_corrupt, (frame.width, frame.height))


def look(url: str, count: int, transport: Transport = "tcp", timeout_s: float = 5) -> list[Seen]:
    return list(itertools.islice(watch(url, transport, timeout_s), count))


async def until(condition: Callable[[], object], timeout_s: float = 5) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # counters have no event
            await asyncio.sleep(0.01)


def open_files() -> int:
    return psutil.Process().num_fds()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: str


class RawClient:
    """RTSP by hand, for what FFmpeg does not show; `packets` are (channel, data) read on the way to a reply."""

    def __init__(self, url: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.url = url
        self.reader = reader
        self.writer = writer
        self.packets: list[tuple[int, bytes]] = []
        self._cseq = 0

    @classmethod
    async def connect(cls, camera: Camera, name: str = "cam", receive_buffer: int | None = None) -> Self:
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", camera.port))
        return cls(camera.url(name), *await asyncio.open_connection(sock=sock, limit=2**12))

    async def ask(self, method: str, suffix: str = "", **headers: str) -> Reply:
        self._cseq += 1
        lines = [f"{method} {self.url}{suffix} RTSP/1.0", f"CSeq: {self._cseq}"]
        self.writer.write("\r\n".join([*lines, *(f"{k}: {v}" for k, v in headers.items()), "", ""]).encode())
        reply = await self.reply()
        assert reply.headers.get("CSeq") == str(self._cseq)
        return reply

    async def reply(self) -> Reply:
        while (first := await self.reader.readexactly(1)) == b"$":
            self.packets.append(await self._packet_body())
        status, *lines = (first + await self.reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(headers.get("Content-Length", "0")))
        return Reply(int(status.split(" ")[1]), headers, body.decode())

    async def packet(self) -> tuple[int, bytes]:
        assert await self.reader.readexactly(1) == b"$"
        return await self._packet_body()

    async def _packet_body(self) -> tuple[int, bytes]:
        channel, size = struct.unpack(">BH", await self.reader.readexactly(3))
        return channel, await self.reader.readexactly(size)

    async def play(self, transport: str = "RTP/AVP/TCP;unicast;interleaved=0-1") -> str:
        """Returns the session."""
        setup = await self.ask("SETUP", "/trackID=0", Transport=transport)
        assert setup.status == 200
        session = setup.headers["Session"].partition(";")[0]
        assert (await self.ask("PLAY", Session=session)).status == 200
        return session

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):  # the camera may have been first
            await self.writer.wait_closed()


@dataclass(frozen=True)
class Rtp:
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        first, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", data)
        assert (first, second & 0x7F) == (0x80, 96)
        return cls(second > 0x7F, sequence, timestamp, ssrc, data[12:])


def nal_type(packet: Rtp) -> int:
    """Of H.264; 28 for a fragment."""
    return packet.payload[0] & 0x1F


@dataclass(frozen=True)
class Report:
    ssrc: int
    unix_time: float
    timestamp: int
    packets: int
    octets: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        first, kind, length, ssrc, seconds, fraction, timestamp, packets, octets = struct.unpack_from(
            ">BBHIIIIII", data
        )
        assert (first, kind, length) == (0x80, 200, 6)
        first, kind, length, source = struct.unpack_from(">BBHI", data, 28)
        assert (first, kind, source) == (0x81, 202, ssrc)
        assert len(data) == 28 + 4 * (length + 1)
        assert data[36] == 1  # CNAME
        assert data[-1] == 0
        return cls(ssrc, seconds + fraction / 2**32 - 2_208_988_800, timestamp, packets, octets)


# --- what is seen


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_a_client_sees_the_clips_own_pictures_from_a_keyframe_on_and_over_the_loop(
    path: Path, clip: Clip, transport: Transport
) -> None:
    truth = pictures(path)
    async with Camera({"cam": clip}) as camera:
        seen = await asyncio.to_thread(look, camera.url("cam"), 70, transport)

    first = truth.index(seen[0].picture)
    assert first % GOP == 0
    assert seen[0].keyframe
    assert [frame.picture for frame in seen] == [truth[(first + i) % len(truth)] for i in range(70)]
    # FFmpeg gives the first frame no pts.
    assert [b.pts - a.pts for a, b in pairwise(seen[1:]) if a.pts is not None and b.pts is not None] == [FRAME] * 68


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_h265(folder: Path, transport: Transport) -> None:
    path = folder / "h265.mp4"
    await asyncio.to_thread(make_clip, path, SCENE, gop=GOP, codec="libx265")
    truth = pictures(path)
    async with Camera({"cam": Clip.read(path)}) as camera:
        seen = await asyncio.to_thread(look, camera.url("cam"), 20, transport)

    first = truth.index(seen[0].picture)
    assert first % GOP == 0
    assert [frame.picture for frame in seen] == [truth[(first + i) % len(truth)] for i in range(20)]


async def test_it_can_run_faster_than_time_with_the_clips_own_timestamps(clip: Clip) -> None:
    """70 frames at 100 a second are .7 s; at 8 times the speed .09, beside the opening."""
    took, steps = {}, {}
    for speed in (1.0, 8.0):
        async with Camera({"cam": clip}, speed=speed) as camera:
            watching = asyncio.create_task(asyncio.to_thread(look, camera.url("cam"), 210))
            await until(lambda camera=camera: camera.mounts["cam"].packets_sent > 0)  # type: ignore[misc]
            began = time.monotonic()
            seen = await watching
            took[speed] = time.monotonic() - began
            steps[speed] = [b.pts - a.pts for a, b in pairwise(seen[1:]) if a.pts is not None and b.pts is not None]
    assert steps[1.0] == steps[8.0] == [FRAME] * 208
    assert took[8.0] < took[1.0] / 2


def test_a_file_without_video_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))

    with pytest.raises(ValueError, match=r"expected h264 or hevc video in .*sound\.wav"):
        Clip.read(path)


async def test_several_clients_and_mounts_at_once(clip: Clip) -> None:
    async with Camera({"one": clip, "two": clip}) as camera:
        transports: list[Transport] = ["tcp", "udp"]
        seen = await asyncio.gather(
            *(
                asyncio.to_thread(look, camera.url(name), 30, transport)
                for name in camera.mounts
                for transport in transports * 2
            )
        )
        await until(lambda: not camera.connections)
        sent = [mount.packets_sent for mount in camera.mounts.values()]

    assert [len(frames) for frames in seen] == [30] * 8
    assert not any(frame.corrupt for frames in seen for frame in frames)
    least = 4 * sum(len(unit.offsets) for unit in clip.units) * 30 // len(clip.units) // 2
    assert min(sent) > least


async def test_another_resolution_in_mid_stream(clip: Clip, folder: Path) -> None:
    path = folder / "larger.mp4"
    await asyncio.to_thread(make_clip, path, Scene(width=640, height=360, fps=100, seconds=0.5), gop=GOP)
    larger = Clip.read(path)
    truth = pictures(path)
    async with Camera({"cam": clip}) as camera:

        def see_the_change() -> list[Seen]:
            seen = []
            for frame in watch(camera.url("cam")):
                seen.append(frame)
                if len(seen) == 15:
                    camera_loop.call_soon_threadsafe(camera.mounts["cam"].switch, larger)
                if len(seen) > 15 and sum(f.size == (640, 360) for f in seen) == 20:
                    break
            return seen

        camera_loop = asyncio.get_running_loop()
        seen = await asyncio.to_thread(see_the_change)
        later = await asyncio.to_thread(look, camera.url("cam"), 1)

    new = [frame for frame in seen if frame.size == (640, 360)]
    assert {frame.size for frame in seen[:15]} == {(320, 180)}
    assert [frame.picture for frame in new] == truth[:20]
    assert {b.pts - a.pts for a, b in pairwise(seen[1:]) if a.pts is not None and b.pts is not None} == {FRAME}
    assert later[0].size == (640, 360)


async def test_damaged_packets(path: Path, clip: Clip) -> None:
    truth = set(pictures(path))
    async with Camera({"cam": clip}) as camera:
        mount = camera.mounts["cam"]
        watching = asyncio.create_task(asyncio.to_thread(look, camera.url("cam"), 80))
        await until(lambda: mount.packets_sent > 20)
        mount.corrupt(0.1)
        await asyncio.sleep(0.3)
        mount.corrupt(0)
        seen = await watching

    right = [frame.picture in truth for frame in seen]
    assert right.count(False) > 5
    assert all(right[:3] + right[-20:])


# --- who may look


def with_password(url: str, user: str, password: str) -> str:
    return url.replace("rtsp://", f"rtsp://{user}:{password}@")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("scheme", ["basic", "digest"])
async def test_the_right_password_opens(clip: Clip, scheme: Literal["basic", "digest"], transport: Transport) -> None:
    async with Camera({"cam": clip}, credentials=Credentials("me", "s3cret", scheme)) as camera:
        url = with_password(camera.url("cam"), "me", "s3cret")
        assert len(await asyncio.to_thread(look, url, 3, transport)) == 3


@pytest.mark.parametrize("scheme", ["basic", "digest"])
async def test_a_wrong_name_or_password_or_none_does_not(clip: Clip, scheme: Literal["basic", "digest"]) -> None:
    async with Camera({"cam": clip}, credentials=Credentials("me", "s3cret", scheme)) as camera:
        url = camera.url("cam")
        for attempt in (url, with_password(url, "me", "secret"), with_password(url, "you", "s3cret")):
            with pytest.raises(av.HTTPUnauthorizedError):
                await asyncio.to_thread(look, attempt, 1)
        assert camera.mounts["cam"].packets_sent == 0


async def test_a_digest_for_another_nonce_or_in_shreds_is_wrong(clip: Clip) -> None:
    async with Camera({"cam": clip}, credentials=Credentials("me", "s3cret")) as camera:
        client = await RawClient.connect(camera)
        replies = [
            await client.ask("DESCRIBE", Authorization=value)
            for value in (
                f'Digest username="me", realm="camera", nonce="old", uri="{client.url}", response="{"0" * 32}"',
                "Digest username",
                "Digest",
                "Basic " + base64.b64encode(b"me:s3cret").decode(),
                "Basic \u00fc",
            )
        ]
        await client.close()

    assert [reply.status for reply in replies] == [401] * 5
    assert all(re.fullmatch(r'Digest realm="camera", nonce="\w+"', r.headers["WWW-Authenticate"]) for r in replies)
    assert "s3cret" not in repr(camera.credentials)


# --- faults


async def test_an_unknown_mount(clip: Clip) -> None:
    async with Camera({"cam": clip}) as camera:
        with pytest.raises(av.HTTPNotFoundError):
            await asyncio.to_thread(look, camera.url("other"), 1)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_a_stall_keeps_the_connection_and_ends_on_a_keyframe(clip: Clip, transport: Transport) -> None:
    async with Camera({"cam": clip}) as camera:
        mount = camera.mounts["cam"]
        watching = asyncio.create_task(asyncio.to_thread(look, camera.url("cam"), 60, transport))
        await until(lambda: mount.packets_sent > 20)
        mount.stall()
        await asyncio.sleep(0.05)
        sent = mount.packets_sent
        await asyncio.sleep(0.3)
        assert mount.packets_sent == sent
        assert mount.clients == 1
        mount.resume()
        seen = await watching

    ((before, after),) = [(a, b) for a, b in pairwise(seen[1:]) if (b.pts or 0) - (a.pts or 0) != FRAME]
    assert after.keyframe
    assert after.pts is not None
    assert before.pts is not None
    assert 0.3 < (after.pts - before.pts) / 90_000 < 2


async def test_a_client_gives_a_long_stall_up_and_comes_back_after_it(clip: Clip) -> None:
    async with Camera({"cam": clip}) as camera:
        mount = camera.mounts["cam"]
        watching = asyncio.create_task(asyncio.to_thread(look, camera.url("cam"), 10_000, "tcp", 0.5))
        await until(lambda: mount.packets_sent > 20)
        mount.stall()
        with pytest.raises(av.FFmpegError):
            await watching
        with pytest.raises(av.FFmpegError):
            await asyncio.to_thread(look, camera.url("cam"), 1, "tcp", 0.5)
        mount.resume()
        assert len(await asyncio.to_thread(look, camera.url("cam"), 3)) == 3


async def test_dropped_clients_see_the_end_and_may_come_back(clip: Clip) -> None:
    async with Camera({"cam": clip}) as camera:
        mount = camera.mounts["cam"]
        watching = asyncio.create_task(asyncio.to_thread(look, camera.url("cam"), 10_000))
        await until(lambda: mount.packets_sent > 20)
        mount.drop_clients()
        assert await watching
        await until(lambda: camera.connections == 0)
        assert mount.clients == 0
        assert await asyncio.to_thread(look, camera.url("cam"), 1)


@pytest.mark.parametrize(("status", "error"), [(503, av.HTTPServerError), (404, av.HTTPNotFoundError)])
async def test_new_clients_are_refused_while_others_go_on(clip: Clip, status: int, error: type[Exception]) -> None:
    async with Camera({"cam": clip}) as camera:
        mount = camera.mounts["cam"]
        watching = asyncio.create_task(asyncio.to_thread(look, camera.url("cam"), 60))
        await until(lambda: mount.packets_sent > 20)
        mount.refuse(status)
        with pytest.raises(error):
            await asyncio.to_thread(look, camera.url("cam"), 1)
        assert len(await watching) == 60
        mount.refuse(None)
        assert await asyncio.to_thread(look, camera.url("cam"), 1)


async def test_a_power_cycle_keeps_the_port(clip: Clip) -> None:
    async with Camera({"cam": clip}) as camera:
        url = camera.url("cam")
        watching = asyncio.create_task(asyncio.to_thread(look, url, 10_000))
        await until(lambda: camera.mounts["cam"].packets_sent > 20)
        await camera.stop()
        assert await watching
        with pytest.raises(av.ConnectionRefusedError):
            await asyncio.to_thread(look, url, 1)
        await camera.start()
        assert camera.url("cam") == url
        assert await asyncio.to_thread(look, url, 1)


async def test_a_taken_port_is_an_error_and_leaves_nothing_open(clip: Clip) -> None:
    async with Camera({"cam": clip}) as camera:
        files = await asyncio.to_thread(open_files)
        with pytest.raises(OSError, match="in use"):
            await Camera({"cam": clip}, port=camera.port).start()
        assert await asyncio.to_thread(open_files) == files


async def test_a_slow_client_is_passed_over_and_delays_nobody(heavy_clip: Clip) -> None:
    async with Camera({"cam": heavy_clip}) as camera:
        mount = camera.mounts["cam"]
        slow = await RawClient.connect(camera, receive_buffer=8192)
        await slow.play()
        fast = await RawClient.connect(camera)
        await fast.play()
        largest = max(len(unit.packets) for unit in heavy_clip.units)
        backlog = 0
        sequences = []
        began = time.monotonic()
        while time.monotonic() < began + 1:
            channel, data = await fast.packet()
            if channel == 0:
                sequences.append(Rtp.parse(data).sequence)
            backlog = max(backlog, mount.backlog)
        dropped = mount.frames_dropped
        # Now it reads.
        slow_packets: list[Rtp] = []
        while len(slow_packets) < 2 or not slow_packets[-1].marker or slow_packets[-1].sequence < sequences[-1]:
            channel, data = await asyncio.wait_for(slow.packet(), 5)
            if channel == 0:
                slow_packets.append(Rtp.parse(data))
        await slow.close()
        await fast.close()

    assert {(b - a) % 2**16 for a, b in pairwise(sequences)} == {1}
    assert dropped > 20
    assert MAX_BACKLOG < backlog <= MAX_BACKLOG + largest
    jumps = [(a, b) for a, b in pairwise(slow_packets) if b.sequence != (a.sequence + 1) % 2**16]
    assert jumps
    # Whole pictures, then a keyframe: SPS, at the clip's beginning with SEI before it.
    assert all(before.marker and nal_type(after) in (6, 7) for before, after in jumps)


# --- the protocol


async def test_every_keyframe_comes_with_its_parameter_sets_and_fits_the_mtu(clip: Clip) -> None:
    async with Camera({"cam": clip}) as camera:
        client = await RawClient.connect(camera)
        described = await client.ask("DESCRIBE", Accept="application/sdp")
        await client.play("RTP/AVP/TCP;unicast;interleaved=4-5")
        packets = [await client.packet() for _ in range(60)]
        await client.close()

    assert {channel for channel, _ in packets} == {4, 5}
    rtp = [Rtp.parse(data) for channel, data in packets if channel == 4]
    assert [(b.sequence - a.sequence) % 2**16 for a, b in pairwise(rtp)] == [1] * (len(rtp) - 1)
    assert all((a.timestamp != b.timestamp) == a.marker for a, b in pairwise(rtp))
    assert max(len(packet.payload) for packet in rtp) <= 1400
    sets = re.search(r"sprop-parameter-sets=([^,]+),(\S+)", described.body)
    assert sets
    first_picture = [packet for packet in rtp if packet.timestamp == rtp[0].timestamp and nal_type(packet) != 6]
    assert [base64.b64decode(nal) for nal in sets.groups()] == [packet.payload for packet in first_picture[:2]]
    assert {nal_type(packet) for packet in first_picture[2:]} <= {5, 28}
    assert described.headers["Content-Base"] == client.url + "/"


async def test_sender_reports_map_rtp_time_to_wall_clock_time(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.simulator.mount.REPORT_INTERVAL_S", 0.5)
    async with Camera({"cam": clip}) as camera:
        client = await RawClient.connect(camera)
        await client.play()
        reports: list[Report] = []
        arrived: list[tuple[float, Rtp]] = []
        while len(reports) < 3:
            channel, data = await client.packet()
            if channel == 1:
                reports.append(Report.parse(data))
            elif (packet := Rtp.parse(data)).marker:
                arrived.append((time.time(), packet))
        await client.close()

    first, *_, last = reports
    delays = [
        unix_time - first.unix_time - ((packet.timestamp - first.timestamp) % 2**32) / 90_000
        for unix_time, packet in arrived
    ]
    assert -0.002 < min(delays) < 0.01  # a busy machine delays many packets, but not all
    assert {packet.ssrc for _, packet in arrived} == {first.ssrc}
    assert first.timestamp == arrived[0][1].timestamp
    assert ((last.timestamp - first.timestamp) % 2**32) / 90_000 == pytest.approx(
        last.unix_time - first.unix_time, abs=0.001
    )
    assert 0.48 < reports[2].unix_time - reports[1].unix_time < 1.5
    assert last.packets > first.packets
    assert last.octets > first.octets


async def test_udp_comes_from_the_announced_ports(clip: Clip) -> None:
    async with Camera({"cam": clip}) as camera:
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        ports = "-".join(str(sock.getsockname()[1]) for sock in sockets)
        client = await RawClient.connect(camera)
        setup = await client.ask("SETUP", "/trackID=0", Transport=f"RTP/AVP;unicast;client_port={ports}")
        await client.ask("PLAY", Session=setup.headers["Session"])
        loop = asyncio.get_running_loop()
        (data, rtp_from), (report, rtcp_from) = [
            await asyncio.wait_for(loop.sock_recvfrom(sock, 2000), 5) for sock in sockets
        ]
        await client.close()
        for sock in sockets:
            sock.close()

    assert Report.parse(report).timestamp == Rtp.parse(data).timestamp
    announced = re.search(r"server_port=(\d+)-(\d+)", setup.headers["Transport"])
    assert announced
    assert [rtp_from[1], rtcp_from[1]] == [int(port) for port in announced.groups()]
    assert rtp_from[1] % 2 == 0


async def test_a_silent_session_ends_and_any_sign_of_life_keeps_it(clip: Clip) -> None:
    report = struct.pack(">BBHI", 0x80, 201, 1, 7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        port = sock.getsockname()[1]
        async with Camera({"cam": clip}, session_timeout=0.5) as camera:
            silent, asking, reporting, datagrams = [await RawClient.connect(camera) for _ in range(4)]
            await silent.play()
            session = await asking.play()
            await reporting.play()
            await datagrams.play(f"RTP/AVP;unicast;client_port={port - 1}-{port}")
            for _ in range(8):
                asking.writer.write(f"GET_PARAMETER {asking.url} RTSP/1.0\r\nSession: {session}\r\n\r\n".encode())
                reporting.writer.write(b"$\x01\x00\x08" + report)
                sock.sendto(report, camera.udp.rtcp.get_extra_info("sockname"))
                await asyncio.sleep(0.1)
            assert camera.mounts["cam"].clients == 3
            await asyncio.wait_for(silent.reader.read(), 1)  # to the end
            for client in (silent, asking, reporting, datagrams):
                await client.close()


async def test_requests_out_of_turn(clip: Clip) -> None:
    async with Camera({"cam": clip, "other": clip}) as camera:
        client = await RawClient.connect(camera)
        assert "GET_PARAMETER" in (await client.ask("OPTIONS")).headers["Public"]
        statuses = [
            (await client.ask(method, suffix, **headers)).status
            for method, suffix, headers in (
                ("PLAY", "", {}),
                ("RECORD", "", {}),
                ("SETUP", "/trackID=0", {"Transport": "RTP/AVP;multicast;client_port=4-5"}),
                ("SETUP", "/trackID=0", {"Transport": "RAW/RAW/UDP"}),
                ("SETUP", "/trackID=0", {}),
                ("GET_PARAMETER", "", {}),
                ("DESCRIBE", "/../other/none", {}),
            )
        ]
        assert statuses == [454, 501, 461, 461, 461, 200, 404]
        offers = "RTP/AVP/UDP;multicast,RTP/AVP/TCP;unicast;interleaved=0-1"
        session = await client.play(offers)
        assert (await client.ask("PAUSE", Session=session)).status == 200
        assert camera.mounts["cam"].clients == 0
        assert (await client.ask("PLAY", Session="other")).status == 454
        client.url = camera.url("other")
        assert (await client.ask("PLAY", Session=session)).status == 454
        assert (await client.ask("SETUP", "/trackID=0", Transport=offers)).status == 455
        client.url = camera.url("cam")
        assert (await client.ask("PLAY", Session=session)).status == 200
        assert (await client.ask("TEARDOWN", Session=session)).status == 200
        assert (await client.ask("PLAY", Session=session)).status == 454
        assert camera.mounts["cam"].clients == 0
        await client.close()


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.1 or so\r\n\r\n",
        b"HELLO\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nno colon\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nContent-Length: -1\r\n\r\n",
        b"OPTIONS \xff RTSP/1.0\r\n\r\n",
        b"SETUP rtsp://x/cam RTSP/1.0\r\nTransport: RTP/AVP/TCP;interleaved=300-301\r\n\r\n",
        b"x" * 100_000,
    ],
)
async def test_nonsense_ends_the_connection_and_nothing_else(clip: Clip, words: bytes) -> None:
    async with Camera({"cam": clip}) as camera:
        client = await RawClient.connect(camera)
        client.writer.write(words)
        assert (await client.reply()).status == 400
        await until(lambda: camera.connections == 0)
        await client.close()
        assert await asyncio.to_thread(look, camera.url("cam"), 1)


# --- the end


async def test_nothing_is_left_when_it_closes(clip: Clip) -> None:
    await asyncio.to_thread(gc.collect)  # what other tests left
    files = await asyncio.to_thread(open_files)
    camera = Camera({"cam": clip})
    async with camera:
        clients = [await RawClient.connect(camera) for _ in range(3)]
        await clients[0].play()  # then it does not read
        await clients[1].ask("OPTIONS")
        camera.mounts["cam"].stall()
        clients[1].writer.write(f"DESCRIBE {camera.url('cam')} RTSP/1.0\r\nCSeq: 9\r\n\r\n".encode())
        await asyncio.sleep(0.05)
        began = time.monotonic()
    assert time.monotonic() - began < 1.5
    assert asyncio.all_tasks() == {asyncio.current_task()}
    for client in clients:
        await client.close()
    await asyncio.sleep(0)
    assert await asyncio.to_thread(open_files) == files
    assert camera.connections == 0
    await camera.stop()


def test_it_runs_alone_and_ends_by_a_signal(path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "daemon.simulator.camera",
        str(path),
        "--host",
        "127.0.0.2",
        "--port",
        "0",
        "--user",
        "me",
        "--password",
        "pass",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"rtsp://127\.0\.0\.2:\d+/h264", url)
        assert look(with_password(url, "me", "pass"), 2)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(5) == 0


def test_alone_it_refuses_what_it_cannot_serve(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "daemon.simulator.camera", str(tmp_path / "missing.mp4")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    assert result.returncode == 2
    assert "missing.mp4" in result.stderr
    assert "Traceback" not in result.stderr
