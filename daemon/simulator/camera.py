"""A camera simulator: an RTSP server (RFC 2326) that loops clips as live streams, for the demo, tests and benchmarks.

    python -m daemon.simulator.camera FILE... [--port N] [--user U --password P]

Each mount is one timeline shared by all its clients, as with a camera: whoever comes joins at the next keyframe. RTP
goes over TCP (interleaved) or UDP, with RTCP sender reports that map RTP time to wall-clock time. Faults come on
demand: see Mount. A session has one track, belongs to its connection and ends with it.
"""

import argparse
import asyncio
import contextlib
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from daemon.simulator.clip import drawn_clip
from daemon.simulator.mount import Client, Mount, Outlet, TcpOutlet, UdpOutlet
from daemon.simulator.rtp import PAYLOAD_TYPE, Clip
from daemon.simulator.rtsp import Credentials, Request, Response, RtspError, challenge, is_authorized, read_request

HOST = "127.0.0.1"
TRACK = "trackID=0"
SOUND = "trackID=1"
SEND_BUFFER = 256 * 1024


class Connection:
    """One client's RTSP connection and its session."""

    def __init__(self, camera: "Camera", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # By itself the kernel keeps seconds of video for a client that does not read.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._camera = camera
        self._reader = reader
        self._writer = writer
        self._deadline = asyncio.timeout(camera.session_timeout)
        self._nonce = secrets.token_hex(16)
        self._session = ""
        self._mount: Mount | None = None
        self._client: Client | None = None
        self.task = asyncio.create_task(self._serve())
        self.task.add_done_callback(lambda _: writer.transport.abort())

    async def _serve(self) -> None:
        """Until the client goes, errs, says nothing for the session timeout, or is dropped (cancelled)."""
        try:
            async with self._deadline:
                while True:
                    request = await read_request(self._reader, self.touch)
                    try:
                        response = await self._answer(request)
                    except RtspError as err:
                        response = Response(err.headers, status=err.status)
                    self._writer.write(response.encode(request))
        except (ValueError, asyncio.LimitOverrunError):
            self._writer.write(Response(status=400).encode(None))
        except (EOFError, OSError):
            pass
        finally:
            self._end_session()
        self._writer.close()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

    def touch(self) -> None:
        """The client lives."""
        if not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._camera.session_timeout)

    def sends_rtcp_from(self, address: tuple[str, int]) -> bool:
        outlet = self._client and self._client.outlet
        return isinstance(outlet, UdpOutlet) and address == (outlet.host, outlet.rtcp_port)

    async def _answer(self, request: Request) -> Response:
        mount = self._camera.find(request.url)
        if mount:
            await mount.wait_while_stalled()
            if mount.refusal is not None and not self._session:
                raise RtspError(mount.refusal)
        answers: dict[str, Callable[[Request, Mount], Response]] = {
            "DESCRIBE": self._describe,
            "SETUP": self._setup,
            "PLAY": self._play,
            "PAUSE": self._pause,
            "TEARDOWN": self._teardown,
            "GET_PARAMETER": self._keep_alive,
            "SET_PARAMETER": self._keep_alive,
        }
        if request.method == "OPTIONS":
            return Response({"Public": ", ".join(("OPTIONS", *answers))})
        if request.method not in answers:
            raise RtspError(501)
        credentials = self._camera.credentials
        if credentials and not is_authorized(request, credentials, self._nonce):
            raise RtspError(401, {"WWW-Authenticate": challenge(credentials, self._nonce)})
        if mount is None:
            raise RtspError(404)
        return answers[request.method](request, mount)

    def _describe(self, request: Request, mount: Mount) -> Response:
        sdp = (
            f"v=0\r\no=- 0 0 IN IP4 {HOST}\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}\r\n{mount.clip.sdp}a=control:{TRACK}\r\n"
        )
        if mount.refuses_sound:
            sdp += f"m=audio 0 RTP/AVP 0\r\na=control:{SOUND}\r\n"
        return Response({"Content-Type": "application/sdp", "Content-Base": request.url.rstrip("/") + "/"}, sdp)

    def _setup(self, request: Request, mount: Mount) -> Response:
        if self._mount is not None and mount is not self._mount:
            raise RtspError(455)
        if request.url.endswith(SOUND):
            raise RtspError(453)
        outlet, transport = self._choose_transport(request.headers.get("transport", ""))
        self._leave()
        self._session = self._session or secrets.token_hex(8)
        self._mount = mount
        self._client = Client(outlet, drop=self.task.cancel)
        session = f"{self._session};timeout={round(self._camera.session_timeout)}"
        return Response({"Transport": transport, "Session": session})

    def _choose_transport(self, offers: str) -> tuple[Outlet, str]:
        for offer in offers.split(","):
            profile, *rest = offer.strip().split(";")
            parameters = dict(part.partition("=")[::2] for part in rest)
            if "multicast" in parameters:
                continue
            if profile == "RTP/AVP/TCP":
                channel, _ = _pair(parameters.get("interleaved", "0-1"), most=254)
                outlet = TcpOutlet(self._writer.transport, channel)
                return outlet, f"{profile};unicast;interleaved={channel}-{channel + 1}"
            if profile in ("RTP/AVP", "RTP/AVP/UDP") and "client_port" in parameters:
                ports = _pair(parameters["client_port"], most=65535)
                host = self._writer.get_extra_info("peername")[0]
                udp = self._camera.udp
                answer = f"{profile};unicast;client_port={ports[0]}-{ports[1]};server_port={udp.numbers}"
                return UdpOutlet(udp.rtp, udp.rtcp, host, *ports), answer
        raise RtspError(461)

    def _play(self, request: Request, mount: Mount) -> Response:
        headers = self._check_session(request, mount)
        if self._client:
            self._client.in_step = False
            mount.join(self._client)
        return Response(headers)

    def _pause(self, request: Request, mount: Mount) -> Response:
        headers = self._check_session(request, mount)
        self._leave()
        return Response(headers)

    def _teardown(self, request: Request, mount: Mount) -> Response:
        headers = self._check_session(request, mount)
        self._end_session()
        return Response(headers)

    def _keep_alive(self, request: Request, mount: Mount) -> Response:
        return Response(self._check_session(request, mount) if "session" in request.headers else {})

    def _check_session(self, request: Request, mount: Mount) -> dict[str, str]:
        given = request.headers.get("session", "").partition(";")[0]
        if not self._session or given != self._session or mount is not self._mount:
            raise RtspError(454)
        return {"Session": self._session}

    def _leave(self) -> None:
        if self._mount and self._client:
            self._mount.leave(self._client)

    def _end_session(self) -> None:
        self._leave()
        self._session, self._mount, self._client = "", None, None


def _pair(text: str, most: int) -> tuple[int, int]:
    """The numbers of "4-5"; raises ValueError."""
    first, second = (int(number) for number in text.split("-"))
    if not (0 <= first <= most and 0 <= second <= most):
        raise ValueError(f"expected numbers of 0 to {most}, got {text}")
    return first, second


class RtcpListener(asyncio.DatagramProtocol):
    """Tells who reported; what they say is of no use to a simulator."""

    def __init__(self, heard: Callable[[tuple[str, int]], None]) -> None:
        self._heard = heard
        self.closed = asyncio.Event()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._heard(addr)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


@dataclass(frozen=True, slots=True)
class UdpPorts:
    """The sockets from which all clients are served: RTP from an even port, RTCP from the next (RFC 3550, 11)."""

    rtp: asyncio.DatagramTransport
    rtcp: asyncio.DatagramTransport

    @classmethod
    async def open(cls, host: str, heard: Callable[[tuple[str, int]], None]) -> "UdpPorts":
        loop = asyncio.get_running_loop()
        for _ in range(100):
            rtp, _ = await loop.create_datagram_endpoint(lambda: RtcpListener(heard), (host, 0))
            port = _port(rtp)
            if port % 2 == 0:
                with contextlib.suppress(OSError):
                    rtcp, _ = await loop.create_datagram_endpoint(lambda: RtcpListener(heard), (host, port + 1))
                    return cls(rtp, rtcp)
            await _close(rtp)
        raise OSError("expected two adjacent free UDP ports, found none")

    @property
    def numbers(self) -> str:
        return f"{_port(self.rtp)}-{_port(self.rtcp)}"

    async def close(self) -> None:
        await _close(self.rtp)
        await _close(self.rtcp)


def _port(transport: asyncio.BaseTransport) -> int:
    port: int = transport.get_extra_info("sockname")[1]
    return port


async def _close(transport: asyncio.DatagramTransport) -> None:
    transport.close()
    listener = transport.get_protocol()
    if isinstance(listener, RtcpListener):
        await listener.closed.wait()


class Camera:
    """The server, an async context manager. start() raises OSError if the port is taken.

    stop() and start() are a power cycle: the same port, everybody gone, a new timeline.
    """

    udp: UdpPorts

    def __init__(
        self,
        clips: Mapping[str, Clip],
        *,
        host: str = HOST,
        port: int = 0,
        credentials: Credentials | None = None,
        session_timeout: float = 60.0,
        speed: float = 1.0,
    ) -> None:
        """`speed`: seconds of the clips in a second; above 1 for tests, which need not wait for what time brings."""
        self.mounts = {name: Mount(clip, speed) for name, clip in clips.items()}
        self.host = host
        self.port = port
        self.credentials = credentials
        self.session_timeout = session_timeout
        self._connections: set[Connection] = set()
        self._broadcasts: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @property
    def connections(self) -> int:
        """How many RTSP connections are open, playing or not."""
        return len(self._connections)

    def url(self, name: str) -> str:
        """Where a mount is; without the credentials."""
        return f"rtsp://{self.host}:{self.port}/{name}"

    def find(self, url: str) -> Mount | None:
        """The mount of a request's URL, which may name the track."""
        return self.mounts.get(urlsplit(url).path.removesuffix(TRACK).removesuffix(SOUND).strip("/"))

    async def start(self) -> None:
        """Listens and broadcasts."""
        self.udp = await UdpPorts.open(self.host, self._heard)
        try:
            self._server = await asyncio.start_server(self._accept, self.host, self.port)
        except OSError:
            await self.udp.close()
            raise
        self.port = self._server.sockets[0].getsockname()[1]
        self._broadcasts = [
            asyncio.create_task(mount.broadcast(), name=f"broadcast {name}") for name, mount in self.mounts.items()
        ]

    async def stop(self) -> None:
        """Closes all that is open; nothing if it was stopped."""
        if self._server is None:
            return
        self._server.close()
        tasks = [*self._broadcasts, *(connection.task for connection in self._connections)]
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        await self.udp.close()
        self._server = None
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None or not self._server.is_serving():
            writer.transport.abort()
            return
        connection = Connection(self, reader, writer)
        self._connections.add(connection)
        connection.task.add_done_callback(lambda _: self._connections.discard(connection))

    def _heard(self, address: tuple[str, int]) -> None:
        for connection in self._connections:
            if connection.sends_rtcp_from(address):
                connection.touch()


async def serve(clips: Mapping[str, Clip], host: str, port: int, credentials: Credentials | None) -> None:
    """Serves until SIGINT or SIGTERM; says where on stdout, a URL a line."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Camera(clips, host=host, port=port, credentials=credentials) as camera:
        for name in clips:
            sys.stdout.write(f"{camera.url(name)}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m daemon.simulator.camera", description="Loops video files over RTSP."
    )
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="H.264 or H.265; served as /NAME (default: the demo's clip, as /faces)",
    )
    parser.add_argument(
        "--host", default=HOST, help="0.0.0.0: whoever reaches this machine may watch (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=8554, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--scheme", choices=("basic", "digest"), default="digest")
    args = parser.parse_args()
    try:
        clips = {path.stem: Clip.read(path) for path in args.files} or {"faces": drawn_clip()}
    except (OSError, ValueError) as err:
        parser.error(str(err))
    credentials = Credentials(args.user, args.password, args.scheme) if args.user else None
    asyncio.run(serve(clips, args.host, args.port, credentials))


if __name__ == "__main__":
    main()
