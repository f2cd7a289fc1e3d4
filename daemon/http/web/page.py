"""`/` and its files. They hold no data, so they need no key: whoever opens the page signs in on it."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from daemon.http.access.routes import NO_KEY, Routes
from daemon.http.openapi.operation import Content, Operation

FOLDER: Final = Path(__file__).parent
TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What is served, by the file's ending: licences and types are for those who read the source."""
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # kept, and asked for anew by ETag: an update is seen at once
}
TEXT: Final = """\
visaged: face and body analytics. This address is a page: open it in a browser.

GET  /status          what runs, and how fast
GET  /streams         the streams; GET /streams/ID/snapshot.jpg their last pictures
GET  /events          what they see, as server-sent events
POST /face-detector-face-fitter/v2/process/image    -F image=@photo.jpg

Where keys are configured, send one: -H "Authorization: Bearer $KEY"
"""


PAGE: Final = Operation(
    "The page; to who does not ask for HTML, a few lines of text",
    {200: Content(media_types=("text/html", "text/plain")), 304: None},
)
FILE: Final = Operation(
    "A file of the page",
    {200: Content(media_types=tuple(kind.partition(";")[0] for kind in TYPES.values())), 304: None},
    frozenset({404}),
)


@dataclass(frozen=True, slots=True)
class File:
    content_type: str
    body: bytes
    packed: bytes
    """The body in gzip."""
    etag: str

    @classmethod
    def read(cls, path: Path) -> "File":
        body = path.read_bytes()
        return cls(TYPES[path.suffix], body, gzip.compress(body, mtime=0), hashlib.sha256(body).hexdigest()[:32])


def files(folder: Path = FOLDER) -> Mapping[str, File]:
    """By their paths in the folder, with slashes."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in TYPES)
    return {path.relative_to(folder).as_posix(): File.read(path) for path in paths}


class Page:
    """The handlers. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._files: Mapping[str, File] = {}

    def load(self) -> None:
        """Reads the files, in a thread."""
        self._files = files()

    def add_to(self, routes: Routes) -> None:
        routes.add("GET", "/", self._show, NO_KEY, PAGE)
        routes.add("GET", "/web/{file:.+}", self._send, NO_KEY, FILE)

    async def _show(self, request: web.Request) -> web.StreamResponse:
        if "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
            return web.Response(text=TEXT, headers={"Vary": "Accept"})
        return answer(request, self._files["index.html"])

    async def _send(self, request: web.Request) -> web.StreamResponse:
        file = self._files.get(request.match_info["file"])
        if file is None:
            raise web.HTTPNotFound
        return answer(request, file)


def answer(request: web.Request, file: File, own: Mapping[str, str] = HEADERS) -> web.StreamResponse:
    """`own`: the headers that say what the page may do."""
    headers = {**own, "Vary": "Accept, Accept-Encoding", hdrs.ETAG: f'"{file.etag}"'}
    if any(etag.value == file.etag for etag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    headers[hdrs.CONTENT_TYPE] = file.content_type
    if "gzip" not in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        return web.Response(body=file.body, headers=headers)
    return web.Response(body=file.packed, headers={**headers, hdrs.CONTENT_ENCODING: "gzip"})
