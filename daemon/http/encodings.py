"""Bodies' encodings, a piece at a time; other than with aiohttp's own, one that is cut short is told.

Members of gzip and frames of zstd may follow each other, as their specifications say.
"""

import sys
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import brotli

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

PIECE_BYTES: Final = 1 << 18
GZIP, ZLIB, RAW = 31, 15, -15  # zlib's `wbits`
ERRORS: Final = (zlib.error, brotli.error, ZstdError)


class UnreadableBody(Exception):
    """It is not of the encoding that it is said to be, or cut short."""


class Decoder(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]:
        """What that is decoded to, in pieces of PIECE_BYTES at most. Raises one of ERRORS."""

    @property
    def is_whole(self) -> bool:
        """Whether the body may end here."""


class _Members:
    """Of gzip, zlib and raw deflate."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._member: Any = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member is None:
                self._member = zlib.decompressobj(self._wbits)
            yield from self._fill(data)
            data = self._member.unused_data
            if self._member.eof:
                self._member = None

    def _fill(self, data: bytes) -> Iterator[bytes]:
        while piece := self._member.decompress(data, PIECE_BYTES):
            yield piece
            data = self._member.unconsumed_tail

    @property
    def is_whole(self) -> bool:
        return self._member is None


class _Deflate:
    """zlib's form, or without its header, as some clients send it."""

    def __init__(self) -> None:
        self._members: _Members | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._members is None:
            self._members = _Members(ZLIB if data[0] & 15 == zlib.DEFLATED else RAW)
        yield from self._members.feed(data)

    @property
    def is_whole(self) -> bool:
        return self._members is None or self._members.is_whole


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._stream.process(data, output_buffer_limit=PIECE_BYTES)
        while not self._stream.can_accept_more_data():
            yield self._stream.process(b"", output_buffer_limit=PIECE_BYTES)

    @property
    def is_whole(self) -> bool:
        finished: bool = self._stream.is_finished()
        return finished


class _Zstd:
    def __init__(self) -> None:
        self._frame: Any = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._frame is None:
                self._frame = ZstdDecompressor()
            yield self._frame.decompress(data, PIECE_BYTES)
            while not (self._frame.eof or self._frame.needs_input):
                yield self._frame.decompress(b"", PIECE_BYTES)
            data = self._frame.unused_data
            if self._frame.eof:
                self._frame = None

    @property
    def is_whole(self) -> bool:
        return self._frame is None


class _Identity:
    is_whole = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data


IDENTITY: Final = "identity"
DECODERS: Final[Mapping[str, Callable[[], Decoder]]] = {
    "gzip": lambda: _Members(GZIP),
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
    IDENTITY: _Identity,
}
TAKEN: Final = tuple(name for name in DECODERS if name != IDENTITY)


async def decoded(chunks: AsyncIterable[bytes], encoding: str) -> AsyncIterator[bytes]:
    """`encoding`: one of DECODERS. Raises UnreadableBody."""
    decoder, has_begun = DECODERS[encoding](), False
    try:
        async for chunk in chunks:
            has_begun = True
            for piece in decoder.feed(chunk):
                yield piece
    except ERRORS as err:
        raise UnreadableBody from err
    if has_begun and not decoder.is_whole:
        raise UnreadableBody
