"""What keeps a camera from being opened, in an installer's words."""

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from pydantic import ValidationError

from daemon.errors import CredentialsRefused, SourceError
from daemon.sources.base import InThread
from daemon.sources.settings import SourceSettings
from daemon.sources.video import VideoReader
from tests.fakes import CollectingFeed

Answer = Callable[[str, str], Awaitable[str | None]]
"""Of a request's method and its head; None closes the connection."""


@contextlib.asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[int]:
    """A server of RTSP that answers each request so. Yields its port."""

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                said = await answer(head.partition(" ")[0], head)
                if said is None:
                    break
                number = re.search(r"CSeq: *(\d+)", head)
                writer.write(said.replace("CSEQ", f"CSeq: {number.group(1) if number else 0}").encode())
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def error(url: str, **settings: object) -> SourceError:
    reader = VideoReader(SourceSettings.model_validate({"source": url, "open_timeout": 2, **settings}))
    with pytest.raises(SourceError) as raised:
        await asyncio.wait_for(InThread(reader, "camera").run(CollectingFeed()), 20)
    return raised.value


def status(code: str, headers: str = "") -> Answer:
    async def answer(method: str, head: str) -> str:
        return f"RTSP/1.0 {'200 OK' if method == 'OPTIONS' else code}\r\nCSEQ\r\n{headers}\r\n"

    return answer


def digest(*algorithms: str) -> str:
    return "".join(f'WWW-Authenticate: Digest realm="cam", nonce="abc", algorithm={each}\r\n' for each in algorithms)


async def silent(method: str, head: str) -> str:
    await asyncio.sleep(60)
    return ""


async def hangs_up(method: str, head: str) -> None:
    return None


async def page(method: str, head: str) -> str:
    return "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=cam\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:v\r\n"
)


async def other_transport(method: str, head: str) -> str:
    if method == "DESCRIBE":
        return f"RTSP/1.0 200 OK\r\nCSEQ\r\nContent-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}"
    return f"RTSP/1.0 {'461 Unsupported Transport' if method == 'SETUP' else '200 OK'}\r\nCSEQ\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (silent, "no answer from 127.0.0.1:PORT in [234] s: check its address"),
        (hangs_up, "127.0.0.1:PORT closes the connection without an answer: check the port"),
        (page, "what answers at 127.0.0.1:PORT is no RTSP, maybe a web page: check the port"),
        (status("404 Not Found"), "no such path on the camera: look for it in the camera's manual"),
        (status("403 Forbidden"), "this user may not see it: give it the right to view live video"),
        (status("453 Not Enough Bandwidth"), "the camera offers no video at this path, or refuses it"),
        (other_transport, "the camera does not send by tcp: set `transport: udp`"),
    ],
)
async def test_a_camera_s_refusals(answer: Answer, words: str) -> None:
    async with server(answer) as port:
        said = str(await error(f"rtsp://me:hunter2@127.0.0.1:{port}/live"))
    assert re.search(words.replace("PORT", str(port)), said)
    assert ("FFmpeg: " in said) is (answer not in (silent, hangs_up, page)), "what we found out ourselves"
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("credentials", "headers", "words"),
    [
        ("me:hunter2@", digest("MD5"), "wrong user or password: mend them before the camera locks the account"),
        ("", digest("MD5"), "the camera wants a user and a password: put them into the URL"),
        ("me:hunter2@", digest("SHA-256"), "by Digest with SHA-256 alone, which FFmpeg lacks: allow Digest with MD5"),
        ("me:hunter2@", digest("SHA-256", "MD5"), "wrong user or password"),
    ],
)
async def test_a_login_that_is_refused(credentials: str, headers: str, words: str) -> None:
    async with server(status("401 Unauthorized", headers)) as port:
        refused = await error(f"rtsp://{credentials}127.0.0.1:{port}/live")
    assert isinstance(refused, CredentialsRefused)
    assert words in str(refused)
    assert "401" in str(refused)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
async def test_nobody_there(scheme: str) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        said = str(await error(f"{scheme}://127.0.0.1:{port}/live"))
    assert f"nobody listens at 127.0.0.1:{port}: check that the camera is on, and its port" in said
    said = str(await error(f"{scheme}://camera.invalid/live"))  # RFC 2606: never to be resolved
    assert "no such host as camera.invalid: check its name" in said


async def test_a_camera_that_answers_late_is_waited_for_as_long_as_open_timeout_says() -> None:
    """Longer than read_timeout, for example while it starts."""

    async def late(method: str, head: str) -> str:
        await asyncio.sleep(1)
        return "RTSP/1.0 404 Not Found\r\nCSEQ\r\n\r\n"

    async with server(late) as port:
        began = time.monotonic()
        said = str(await error(f"rtsp://127.0.0.1:{port}/live", open_timeout=5, read_timeout=0.5))
    assert "404" in said
    assert time.monotonic() - began > 0.9


@pytest.mark.parametrize(
    ("key", "meant"), [("rtsp_transprot", "rtsp_transport"), ("analyse_duration", "analyzeduration")]
)
def test_a_mistyped_option_is_refused(key: str, meant: str) -> None:
    with pytest.raises(ValidationError, match=f"expected an option of FFmpeg, got {key}; did you mean {meant}?"):
        SourceSettings(source="rtsp://door", ffmpeg_options={key: "1"})


def test_an_option_that_is_seldom_needed_is_passed_on() -> None:
    assert SourceSettings(source="rtsp://door", ffmpeg_options={"m3u8_hold_counters": "3"}).ffmpeg_options
