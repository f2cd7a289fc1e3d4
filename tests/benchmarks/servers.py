"""What becomes of cameras of other makers' servers: python -m tests.benchmarks.servers

Reads each codec by each transport from the RTSP servers of GStreamer and VLC, and prints a row of Markdown for each
codec: how many frames came in SECONDS, and after how many seconds the first; or the error. docs/cameras.md has the
tables. Needs, as Debian calls them, gir1.2-gst-rtsp-server-1.0, python3-gi, gstreamer1.0-plugins-{good,bad}, openssl,
vlc-bin and vlc-plugin-base.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from daemon.errors import SourceError
from daemon.sources.base import InThread
from daemon.sources.settings import SourceSettings
from daemon.sources.video import VideoReader
from processors.types import Frame
from tests.fakes import CollectingFeed

HOST = "127.0.0.1"
SECONDS = 8.0
START_S = 20.0
FPS = 10
SYSTEM_PYTHON = "/usr/bin/python3"  # which has GStreamer's bindings


@dataclass(frozen=True, slots=True)
class Codec:
    encoder: str
    container: str
    pipeline: str
    """From the file to RTP, in GStreamer's words."""


CODECS = {
    "H.264": Codec("libx264", "mp4", "qtdemux ! h264parse ! rtph264pay config-interval=-1"),
    "H.265": Codec("libx265", "mp4", "qtdemux ! h265parse ! rtph265pay config-interval=-1"),
    "MJPEG": Codec("mjpeg", "avi", "avidemux ! jpegparse ! rtpjpegpay"),
    "MPEG-4": Codec("mpeg4", "mp4", "qtdemux ! mpeg4videoparse ! rtpmp4vpay config-interval=1"),
    "VP8": Codec("libvpx", "webm", "matroskademux ! rtpvp8pay"),
    "VP9": Codec("libvpx-vp9", "webm", "matroskademux ! rtpvp9pay"),
    "AV1": Codec("libsvtav1", "mp4", "qtdemux ! av1parse ! rtpav1pay"),
}

TRANSPORTS: dict[str, dict[str, object]] = {
    "TCP": {},
    "UDP": {"transport": "udp"},
    "HTTP tunnel": {"ffmpeg_options": {"rtsp_transport": "http"}},
    "TLS": {},
}

SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtspServer
port, certificate, *mounts = sys.argv[1:]
Gst.init(None)
server = GstRtspServer.RTSPServer(); server.set_address("127.0.0.1"); server.set_service(port)
if certificate:
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(certificate))
    token.set_string("media.factory.role", "all"); auth.set_default_token(token); server.set_auth(auth)
for mount in mounts:
    path, pipeline = mount.split("=", 1)
    factory = GstRtspServer.RTSPMediaFactory(); factory.set_launch(f"( {pipeline} )")
    permissions = GstRtspServer.RTSPPermissions()
    for right in ("access", "construct"):
        permissions.add_permission_for_role("all", f"media.factory.{right}", True)
    factory.set_permissions(permissions); server.get_mount_points().add_factory(path, factory)
server.attach(None); print("ready", flush=True); GLib.MainLoop().run()
"""


def make(path: Path, encoder: str) -> None:
    """Half a minute of moving noise."""
    kinds: dict[str, dict[str, str]] = {
        "libx265": {"preset": "ultrafast", "x265-params": "log-level=error:bframes=0"},
        "libx264": {"preset": "ultrafast", "bf": "0"},
        "libsvtav1": {"preset": "12", "svtav1-params": "lookahead=0:pred-struct=1"},
    }
    options = kinds.get(encoder, {"deadline": "realtime", "cpu-used": "8"} if "vpx" in encoder else {})
    noise = np.random.default_rng(0).integers(60, 190, (45, 80, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(encoder, rate=FPS, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.gop_size = 320, 180, 2 * FPS
        stream.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
        for pts in range(30 * FPS):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, 2 * pts, axis=1), format="bgr24")
            frame.pts = pts
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


@contextlib.contextmanager
def server(folder: Path, certificate: str) -> Iterator[int]:
    """Yields its port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    mounts = [
        f"/{name}=filesrc location={folder}/{name}.{codec.container} ! {codec.pipeline} name=pay0 pt=96"
        for name, codec in CODECS.items()
    ]
    command = [SYSTEM_PYTHON, "-c", SERVER, str(port), certificate, *mounts]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "ready\n":
                raise SystemExit("GStreamer's RTSP server does not start; the first lines say what it needs")
            yield port
        finally:
            process.kill()


@contextlib.contextmanager
def vlc(path: Path) -> Iterator[int]:
    """Plays a file for whoever comes, again and again; yields its port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    # It does not run as root.
    nobody = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    rtsp = f"#rtp{{sdp=rtsp://{HOST}:{port}/{path.stem}}}"
    command = [*nobody, "cvlc", "-I", "dummy", "--no-audio", "--loop", str(path), "--sout", rtsp, "--sout-keep"]
    environ = {**os.environ, "HOME": str(path.parent)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + START_S
            while time.monotonic() < deadline and process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
                    break
                time.sleep(0.1)
            else:
                raise SystemExit("VLC does not start; the first lines say what it needs")
            yield port
        finally:
            process.kill()


class Timed(CollectingFeed):
    def __init__(self) -> None:
        super().__init__()
        self.first_s: float | None = None
        self._began = time.monotonic()

    def offer(self, frame: Frame) -> None:
        if self.first_s is None:
            self.first_s = time.monotonic() - self._began
        super().offer(frame)


async def outcome(url: str, settings: dict[str, object]) -> str:
    """Of one camera, in words for a table's cell."""
    feed = Timed()
    reader = VideoReader(SourceSettings.model_validate({"source": url, **settings}))
    reading = asyncio.create_task(InThread(reader, "camera").run(feed))
    await asyncio.wait([reading], timeout=SECONDS)
    reading.cancel()
    try:
        await reading
    except asyncio.CancelledError:
        pass
    except SourceError as err:
        return str(err).partition(": ")[2]
    counts = feed.counts
    accounted = counts.acknowledged + sum(counts.skipped.values()) + sum(counts.failed.values()) + counts.pending
    if counts.received != accounted:
        return f"WRONG: {counts.received} received, {accounted} accounted for"
    if feed.first_s is None:
        return "no frame"
    lost = (
        f", {counts.received - counts.acknowledged} without a picture" if counts.received > counts.acknowledged else ""
    )
    return f"{len(feed.offered)} frames, the first after {feed.first_s:.1f} s{lost}"


def make_certificate(folder: Path) -> Path:
    key, certificate, both = (folder / name for name in ("key.pem", "certificate.pem", "both.pem"))
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*openssl, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    return both


async def table(folder: Path, certificate: Path) -> None:
    write = sys.stdout.write
    write(f"| | {' | '.join(TRANSPORTS)} |\n|{' --- |' * (len(TRANSPORTS) + 1)}\n")
    with server(folder, "") as plain, server(folder, str(certificate)) as secured:
        for name in CODECS:
            urls = {each: f"rtsp://{HOST}:{plain}/{name}" for each in TRANSPORTS}
            urls["TLS"] = f"rtsps://{HOST}:{secured}/{name}"
            cells = await asyncio.gather(*(outcome(urls[each], TRANSPORTS[each]) for each in TRANSPORTS))
            write(f"| {name} | {' | '.join(cells)} |\n")
            sys.stdout.flush()


async def vlcs_table(folder: Path) -> None:
    write = sys.stdout.write
    transports = {"TCP": TRANSPORTS["TCP"], "UDP": TRANSPORTS["UDP"]}
    write(f"\n| VLC | {' | '.join(transports)} |\n|{' --- |' * (len(transports) + 1)}\n")
    for name, codec in CODECS.items():
        with vlc(folder / f"{name}.{codec.container}") as port:
            url = f"rtsp://{HOST}:{port}/{name}"
            cells = [await outcome(url, transports[each]) for each in transports]
        write(f"| {name} | {' | '.join(cells)} |\n")
        sys.stdout.flush()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # VLC runs as another user
        for name, codec in CODECS.items():
            make(Path(folder) / f"{name}.{codec.container}", codec.encoder)
        asyncio.run(table(Path(folder), make_certificate(Path(folder))))
        asyncio.run(vlcs_table(Path(folder)))


if __name__ == "__main__":
    main()
