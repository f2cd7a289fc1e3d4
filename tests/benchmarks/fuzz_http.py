"""Bodies that nobody meant, over all services: python -m tests.benchmarks.fuzz_http [--bodies 500] [--seed 1]

With `--minutes 20` a crowd of clients is there for so long as well: random bytes, requests that trickle in, silent and
half-open connections, answers that are not read.

A daemon of its own gets requests made from good ones by breaking the picture, the JSON, the form, the head or the
connection; between them good ones are asked for. At the end: how often each status came, the longest line of its log,
and its memory after each tenth of the bodies. Status 1 where a status was 5xx but 503 or 504, a good request
was not answered by 200, a line was over 1,000 characters, or the daemon ended.
"""

import argparse
import asyncio
import base64
import itertools
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from daemon.http.services.catalogue import services
from tests.photos import encoded, file_of, opened
from tests.test_pictures import BOMBS, FORMATS, GREYS, bmp

LONGEST_LINE = 1000
STARTING_S = 60.0
ANSWER_S = 60.0
ALLOWED_5XX = {503, 504}
CUT = 0
"""In the place of a status: the connection was closed without an answer, which half a request deserves."""

PICTURES = [
    *(data for data, _ in (*FORMATS.values(), *GREYS.values())),
    file_of("astronaut"),
    encoded(opened("biden"), "PNG"),
]
ODD = [*BOMBS.values(), bmp(40, 2, 0), bmp(64, 24, 4), encoded(opened("biden"), "GIF"), b"", b"\x00" * 9]
SERVICES = list(services("face-detector-liveness-estimator"))
JSON_VALUES: list[object] = [
    None,
    True,
    0,
    -1,
    1e308,
    "",
    "A" * 5000,
    [],
    [[[]]],
    {},
    {"blob": 3},
    "\ud83d\ude00",
    [0, 0, 1, 1],
]
MEMBERS = ["class", "bbox", "keypoints", "fitter", "pose", "angles", "template", "$template"]
HEADERS = [
    b"Content-Encoding: gzip", b"Content-Encoding: br", b"Content-Encoding: zstd", b"Content-Encoding: x",
    b"Expect: 100-continue", b"Expect: x", b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", b"Connection: close",
    b"Connection: Upgrade\r\nUpgrade: h2c", b"Connection: Upgrade\r\nUpgrade: websocket", b"Content-Length: 3",
    b"Origin: null", b"X-Request-ID: " + b"\xff" * 300, b"traceparent: 00-x", b"Cookie: " + b"a=b;" * 500,
    b"\x00: \x01", b"A" * 9000 + b": b", b"Content-Type: text/plain", b"Content-Type: multipart/form-data",
]  # fmt: skip
METHODS = [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE", b"CONNECT", b"PRI", b"post", b"\x16\x03\x01"]


class Fuzzer:
    """Makes requests; the same ones from the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._kinds: list[Callable[[], bytes]] = [
            self._picture, self._picture, self._json, self._json, self._form, self._head, self._bytes,
        ]  # fmt: skip

    def request(self) -> bytes:
        """A whole request, or what should have been one."""
        return self._random.choice(self._kinds)()

    def _picture(self) -> bytes:
        data = self._random.choice([self._damaged(self._random.choice(PICTURES)), self._random.choice(ODD)])
        return self._post("sample", self._document(data)) if self._random.random() < 0.6 else self._upload(data)

    def _json(self) -> bytes:
        body = self._document(self._random.choice(PICTURES))
        return self._post("sample", self._damaged(body) if self._random.random() < 0.5 else body)

    def _form(self) -> bytes:
        return self._post("image", self._damaged(form(self._random.choice(PICTURES))), FORM_TYPE)

    def _head(self) -> bytes:
        request = self._post("sample", self._document(self._random.choice(PICTURES)))
        extra = self._random.choice(HEADERS)
        changed = request.replace(b"\r\n", b"\r\n" + extra + b"\r\n", 1)
        if self._random.random() < 0.3:
            changed = self._random.choice(METHODS) + changed[4:]
        return changed

    def _bytes(self) -> bytes:
        request = self._post("sample", self._document(self._random.choice(PICTURES)))
        return self._random.choice(
            [self._damaged(request), self._random.randbytes(3000), request[:100], request[:-100]]
        )

    def _document(self, data: bytes) -> bytes:
        blob = base64.b64encode(data).decode()
        image = {"_image": {"blob": blob, "format": "IMAGE"}} if self._random.random() < 0.5 else {"$image": blob}
        face: dict[str, object] = {"class": "face", "bbox": [0.1, 0.1, 0.9, 0.9], "id": 0}
        if self._random.random() < 0.3:
            face[self._random.choice(MEMBERS)] = self._random.choice(JSON_VALUES)
        objects = self._random.choice([[face], [face] * 2, [], [face] * 1200, self._random.choice(JSON_VALUES)])
        return json.dumps(image | {"objects": objects}).encode()

    def _damaged(self, data: bytes) -> bytes:
        """With some bytes others, cut, doubled or left out."""
        damaged = bytearray(data)
        if not damaged:
            return data
        for _ in range(self._random.randrange(1, 6)):
            at = self._random.randrange(len(damaged) + 1)
            match self._random.randrange(5):
                case 0:
                    damaged[at : at + 1] = self._random.randbytes(1)
                case 1:
                    damaged[at : at + 4] = self._random.randbytes(4)
                case 2:
                    del damaged[at : at + self._random.randrange(1, 2000)]
                case 3:
                    damaged[at:at] = damaged[at : at + self._random.randrange(1, 2000)]
                case _:
                    del damaged[at + len(damaged) // 2 :]
        return bytes(damaged)

    def _upload(self, data: bytes) -> bytes:
        return self._post("image", form(data), FORM_TYPE)

    def _post(self, kind: str, body: bytes, content_type: bytes = b"application/json") -> bytes:
        path = f"/{self._random.choice(SERVICES)}{self._random.choice(['', '/v1', '/v2'])}/process/{kind}"
        return post(path, body, content_type)


FORM_TYPE = b"multipart/form-data; boundary=b"


def form(data: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + data + b"\r\n--b--\r\n"


def post(path: str, body: bytes, content_type: bytes) -> bytes:
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (path.encode(), content_type, len(body)) + body


def status_of(port: int, request: bytes) -> int:
    """Of its answer; the client closes its side only after that."""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S) as client:
        try:
            client.sendall(request)
            first = client.recv(64)
        except ConnectionError:
            return CUT
    return int(first.split(maxsplit=2)[1]) if first.startswith(b"HTTP/") else CUT


class Crowd:
    """Clients that never mean well, in a thread of their own until `stopped` is set."""

    def __init__(self, port: int, seed: int) -> None:
        self.came: Counter[str] = Counter()
        self.stopped = threading.Event()
        self._port = port
        self._random = random.Random(seed)  # noqa: S311
        self._fuzzer = Fuzzer(seed)
        self._kinds = [self._noise, self._trickle, self._silent, self._half, self._deaf]

    def run(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(CROWD)))

    async def _client(self) -> None:
        while not self.stopped.is_set():
            kind = self._random.choice(self._kinds)
            self.came[kind.__name__.strip("_")] += 1
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    async with asyncio.timeout(ONE_OF_A_CROWD_S):
                        await kind(reader, writer)
                finally:
                    writer.transport.abort()
            except (OSError, TimeoutError):
                await asyncio.sleep(0.05)

    async def _noise(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._random.randbytes(self._random.randrange(1, 100_000)))
        await reader.read()

    async def _trickle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in self._fuzzer.request():
            if reader.at_eof():
                return
            writer.write(bytes([byte]))
            await asyncio.sleep(0.1)

    async def _silent(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def _half(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = self._fuzzer.request()
        writer.write(request[: self._random.randrange(len(request) + 1)])
        writer.write_eof()
        await reader.read()

    async def _deaf(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(post("/healthz", b"", b"text/plain").replace(b"POST", b"GET", 1) * 1000)
        await asyncio.sleep(ONE_OF_A_CROWD_S)


CROWD = 50
ONE_OF_A_CROWD_S = 15.0


class Daemon:
    """A daemon with all services and nothing else."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.log = folder / "log"
        configuration = folder / "visaged.yaml"
        configuration.write_text(f"http: {{port: {self.port}, header_timeout: 2, deadline: 10}}\n")
        command = [sys.executable, "-m", "daemon", "run", str(configuration)]
        self.process = subprocess.Popen(command, stderr=self.log.open("wb"))

    def wait(self) -> None:
        deadline = time.monotonic() + STARTING_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise TimeoutError(self.log.read_text()[-2000:])

    @property
    def megabytes(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss / 1e6)


def main(bodies: int, seed: int, minutes: float) -> int:
    good = post("/body-detector/v2/process/image", form(file_of("astronaut")), FORM_TYPE)
    statuses: Counter[int] = Counter()
    failures: list[str] = []
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(Path(folder))
        fuzzer, crowd = Fuzzer(seed), Crowd(daemon.port, seed)
        crowding = threading.Thread(target=crowd.run)
        try:
            daemon.wait()
            ends_at = time.monotonic() + minutes * 60
            if minutes:
                crowding.start()
            numbers = itertools.takewhile(lambda n: n < bodies or time.monotonic() < ends_at, itertools.count())
            for number in numbers:
                request = fuzzer.request()
                status = status_of(daemon.port, request)
                statuses[status] += 1
                if status >= 500 and status not in ALLOWED_5XX:
                    failures.append(f"body {number}: {status} for {request[:60]!r}...")
                if number % 25 == 0 and (answered := status_of(daemon.port, good)) != 200:
                    failures.append(f"after body {number} a good request got {answered}")
                if number % max(bodies // 10, 1) == 0:
                    memory.append(daemon.megabytes)
            if daemon.process.poll() is not None:
                failures.append(f"the daemon ended with {daemon.process.returncode}")
        finally:
            crowd.stopped.set()
            if crowding.is_alive():
                crowding.join()
            daemon.process.send_signal(signal.SIGTERM)
            daemon.process.wait(30)
        lines = daemon.log.read_text(errors="replace").splitlines()
        longest = max(map(len, lines))
        if longest > LONGEST_LINE:
            failures.append(f"a line of the log has {longest} characters")
        tracebacks = sum(line.startswith("Traceback") for line in lines)
    print("statuses:", ", ".join(f"{status or 'closed'} {count}" for status, count in sorted(statuses.items())))
    print(f"log: {len(lines)} lines, the longest of {longest} characters, {tracebacks} tracebacks")
    print("the crowd:", ", ".join(f"{kind} {count}" for kind, count in sorted(crowd.came.items())) or "none")
    print("memory, MB:", ", ".join(f"{megabytes:.0f}" for megabytes in memory))
    print(*failures, sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bodies", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0)
    arguments = parser.parse_args()
    sys.exit(main(arguments.bodies, arguments.seed, arguments.minutes))
