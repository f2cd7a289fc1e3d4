"""What is at a camera's address, asked without FFmpeg and without credentials, to say why it cannot be read."""

import contextlib
import re
import socket
import ssl
from urllib.parse import urlsplit

from daemon.sources.url import PORTS, redacted

MOST_READ = 16 * 1024  # bytes of an answer
LONGEST_S = 3.0  # of what is asked after a failure
METHODS = {"rtsp": ("OPTIONS", "DESCRIBE"), "http": ("GET",)}
"""That FFmpeg calls first; the last one asks for the video."""
REDIRECT = re.compile(rb"(?:RTSP|HTTP)/\d\.\d (30[0-35-8])\b")
FFMPEG_S_DIGESTS = ("MD5", "MD5-SESS")
UNSUPPORTED_DIGEST = "Digest with SHA-256"


def has_credentials(url: str) -> bool:
    return "@" in urlsplit(url).netloc


class Site:
    """The server of a URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._scheme = parts.scheme.lower()
        self._host = parts.hostname or ""
        with contextlib.suppress(ValueError):
            self._port = parts.port or PORTS[self._scheme]
        self._path = parts.path or "/"

    def trouble(self, timeout: float, waited_s: float) -> str | None:
        """What keeps it from answering, with the remedy; None: it answers.

        `timeout`, `waited_s`: what FFmpeg was given, and took.
        """
        place = f"{self._host}:{self._port}"
        try:
            answer = self._ask(min(timeout, LONGEST_S))
        except socket.gaierror:
            return f"no such host as {self._host}: check its name, and that this machine can resolve it"
        except ConnectionResetError:
            answer = b""
        except ConnectionRefusedError:
            return f"nobody listens at {place}: check that the camera is on, and its port"
        except TimeoutError:
            return f"no answer from {place} in {waited_s:.0f} s: check its address, its network and firewalls between"
        except ssl.SSLError:
            return f"{place} does not speak TLS: check the port, or take {self._scheme.removesuffix('s')}://"
        except OSError as err:
            return f"{place} cannot be reached ({err.strerror or err}): check its address and its network"
        if not answer:
            return f"{place} closes the connection without an answer: check the port; maybe the camera is starting"
        if self._scheme.startswith("rtsp") and not answer.startswith(b"RTSP/"):
            return f"what answers at {place} is no RTSP, maybe a web page: check the port, which most often is 554"
        if waited_s >= timeout:
            return f"no video from {place} in {timeout:g} s (open_timeout)"
        return None

    def redirect(self, timeout: float) -> str | None:
        """Where it sends us instead, in words; None: it does not, or does not answer."""
        for method in METHODS[self._scheme.removesuffix("s")]:
            try:
                answer = self._ask(min(timeout, LONGEST_S), method)
            except (OSError, ValueError):
                return None
            if (status := REDIRECT.match(answer)) is not None:
                break
        else:
            return None
        to = re.search(rb"^location:\s*(\S+)", answer, re.IGNORECASE | re.MULTILINE)
        shown = f" to {redacted(to[1].decode('latin-1'))[:200]}" if to else ""
        return (
            f"it sends us elsewhere (status {status[1].decode()}{shown}), where streams that were added at run time do "
            "not follow: take that address as the source"
        )

    def wants_unsupported_digest(self) -> bool:
        """Whether it offers no login but by digests that FFmpeg lacks."""
        try:
            head = self._ask(LONGEST_S).decode("latin-1")
        except (OSError, ValueError):
            return False
        fields = (line.partition(":") for line in head.split("\r\n"))
        offers = [value.strip() for name, _, value in fields if name.lower() == "www-authenticate"]
        return bool(offers) and not any(_is_supported(offer) for offer in offers)

    def _ask(self, timeout: float, method: str = "") -> bytes:
        """The head of its answer to a request, by default for the video; empty if it closes instead."""
        with socket.create_connection((self._host, self._port), timeout) as plain, self._secured(plain) as connection:
            connection.settimeout(timeout)
            connection.sendall(self._request(method).encode())
            answer = b""
            while b"\r\n\r\n" not in answer and len(answer) < MOST_READ and (more := connection.recv(4096)):
                answer += more
            return answer

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._scheme not in ("rtsps", "https"):
            return connection
        # As FFmpeg by default; nothing secret is sent.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(connection, server_hostname=self._host)

    def _request(self, method: str) -> str:
        method = method or METHODS[self._scheme.removesuffix("s")][-1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        if self._scheme.startswith("rtsp"):
            url = f"{self._scheme}://{host}:{self._port}{self._path}"
            return f"{method} {url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"
        return f"{method} {self._path} HTTP/1.0\r\nHost: {host}\r\n\r\n"


def _is_supported(offer: str) -> bool:
    scheme, _, parameters = offer.partition(" ")
    if scheme.lower() != "digest":
        return scheme.lower() == "basic"
    fields = (field.strip().partition("=") for field in parameters.split(","))
    algorithm = next((value.strip('"') for name, _, value in fields if name.lower() == "algorithm"), "MD5")
    return algorithm.upper() in FFMPEG_S_DIGESTS
