"""Reads requests' bodies, within the bytes that one may have and that all together may take in memory."""

import contextlib
from collections.abc import AsyncIterator, Iterator

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from daemon.errors import InvalidDocument, Overloaded, Problem, TooManyBytes
from daemon.http.encodings import DECODERS, IDENTITY, TAKEN, decoded
from daemon.http.errors import NO_CAPACITY, UnsupportedMedia
from daemon.http.settings import HttpSettings

CHUNK_BYTES = 1 << 18


class Bodies:
    """All bodies that are in memory; belongs to the event loop's thread."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._taken = 0

    @contextlib.contextmanager
    def one(self) -> Iterator["Body"]:
        """Its bytes count while this is held."""
        body = Body(self)
        try:
            yield body
        finally:
            self._taken -= body.size

    def take(self, size: int) -> None:
        """Raises Overloaded. A body takes what has come of it, not what it says: who sends nothing keeps nobody out."""
        if self._taken + size > self._settings.max_bodies_bytes:
            raise Overloaded(NO_CAPACITY)
        self._taken += size

    async def read(self, request: web.Request, body: "Body", most: int | None = None) -> bytes:
        """JSON, of `most` bytes or what the settings allow.

        Raises UnsupportedMedia, UnreadableBody, TooManyBytes or Overloaded.
        """
        most = self._settings.max_body_bytes if most is None else most
        encoding = self._expect(request, "application/json", most)
        return await self._read(request, encoding, body, most)

    async def read_file(self, request: web.Request, body: "Body") -> bytes:
        """The one file of a form's field `image`; other fields are ignored.

        Raises UnsupportedMedia, UnreadableBody, TooManyBytes, Overloaded or InvalidDocument.
        """
        encoding = self._expect(request, "multipart/form-data", self._settings.max_body_bytes)
        found = False
        try:
            async for part in await self._form(request, encoding, body):
                if not isinstance(part, BodyPartReader) or part.name != "image":
                    continue
                if found:
                    raise InvalidDocument([Problem(("image",), "Expected one file, got more", "too_long")])
                found = True
                await self._read_part(part, body)
        except (ValueError, RuntimeError, HttpProcessingError) as err:  # what aiohttp's reader raises
            raise InvalidDocument([Problem((), "Form decode error", "form_invalid")]) from err
        if not found:
            raise InvalidDocument([Problem(("image",), "Field required", "missing")])
        return body.whole()

    async def _read(self, request: web.Request, encoding: str, body: "Body", most: int) -> bytes:
        async for piece in decoded(request.content.iter_any(), encoding):
            body.add(piece)
            if body.size > most:
                raise TooManyBytes("body", None, most)
        return body.whole()

    async def _form(self, request: web.Request, encoding: str, body: "Body") -> MultipartReader:
        """One that is encoded is decoded as a whole first: few are."""
        if encoding == IDENTITY:
            return await request.multipart()
        most = self._settings.max_body_bytes
        content = StreamReader(request.protocol, most)
        content.feed_data(await self._read(request, encoding, body, most))
        content.feed_eof()
        return MultipartReader(request.headers, content)

    async def _read_part(self, part: BodyPartReader, body: "Body") -> None:
        """One that is too large is read to its end all the same, to say how large it is, and not kept."""
        size, limit = 0, self._settings.max_image_bytes
        async for chunk in _chunks(part):
            size += len(chunk)
            if size > self._settings.max_body_bytes:
                raise TooManyBytes("image", None, limit)
            if size <= limit:
                body.add(chunk)
        if size > limit:
            raise TooManyBytes("image", size, limit)

    def _expect(self, request: web.Request, content_type: str, most: int) -> str:
        """Its encoding."""
        if request.content_type != content_type:
            raise UnsupportedMedia("Content-Type", request.headers.get("Content-Type", ""), "Accept", content_type)
        encoding = request.headers.get("Content-Encoding", IDENTITY)
        if encoding.lower() not in DECODERS:
            raise UnsupportedMedia("Content-Encoding", encoding, "Accept-Encoding", ", ".join(TAKEN))
        if (request.content_length or 0) > most:
            raise TooManyBytes("body", request.content_length, most)
        return encoding.lower()


class Body:
    """One request's, as far as it has come."""

    def __init__(self, bodies: Bodies) -> None:
        self.size = 0
        self._bodies = bodies
        self._chunks: list[bytes] = []

    def add(self, chunk: bytes) -> None:
        """Raises Overloaded."""
        self._bodies.take(len(chunk))
        self.size += len(chunk)
        self._chunks.append(chunk)

    def whole(self) -> bytes:
        """Once."""
        chunks, self._chunks = self._chunks, []
        return b"".join(chunks)


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(CHUNK_BYTES):
        yield bytes(chunk)
