"""JPEG (ITU-T T.81): segments behind markers, and scans of entropy-coded data."""

import io
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

import numpy as np
import simplejpeg
from PIL.JpegImagePlugin import JpegImageFile

from daemon.errors import TooMuchWork, UnsupportedImage
from daemon.pictures.base import damaged
from daemon.pictures.bgr import to_bgr
from processors.types import Image

MOST_BLOCKS: Final = 32_000_000
"""Blocks that all scans may go over together, about 2 seconds: 100 megapixels in the usual ten scans are 22 million."""
SCAN_BLOCKS = 1000  # that setting up a scan counts as
MOST_SEGMENTS = 20_000  # a colour profile has 255 at most, and photos have some dozens

EOI, SOS, DRI = 0xD9, 0xDA, 0xDD
RESTARTS = range(0xD0, 0xD8)
APP0, APP1, APP14, APP15, COM = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}  # F7: JPEG-LS
LOSSY = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})  # with Huffman's or arithmetic codes
PROGRESSIVE = frozenset({0xC2, 0xCA})
EXIF = b"Exif\x00\x00"
BLOCK = 8
COEFFICIENTS = BLOCK * BLOCK
NEVER_SENT = 14  # bits that are missing of a coefficient: more than the 13 that a scan may leave out

MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd8])")  # of a segment, or the end
RESTART = re.compile(rb"\xff([\xd0-\xd7])")
FILL = re.compile(rb"\xff{2,}")

FILLER = bytes(random.Random(1).choices(range(255), k=256))  # noqa: S311  # anything but a marker


@dataclass(frozen=True, slots=True)
class _Frame:
    width: int
    height: int
    sampling: dict[int, tuple[int, int]]
    """Horizontal and vertical factors by component."""
    is_progressive: bool

    def units(self, components: bytes) -> int:
        """MCUs of a scan of these components (A.2): blocks of the one, or interleaved groups of several."""
        h, v = (max(factors) for factors in zip(*self.sampling.values(), strict=True))
        across, down = (h, v) if len(components) > 1 else self._inverse(components, h, v)
        return math.ceil(self.width / (BLOCK * across)) * math.ceil(self.height / (BLOCK * down))

    def blocks(self, components: bytes) -> int:
        """That a scan of these components goes over."""
        each = [h * v for h, v in map(self._factors, components)] if len(components) > 1 else [1]
        return self.units(components) * sum(each)

    def _inverse(self, components: bytes, h: int, v: int) -> tuple[float, float]:
        own_h, own_v = self._factors(components[0]) if components else (h, v)
        return h / own_h, v / own_v

    def _factors(self, component: int) -> tuple[int, int]:
        return self.sampling.get(component, (1, 1))


@dataclass(frozen=True, slots=True)
class _Segment:
    marker: int
    start: int
    """Of its marker."""
    body: bytes
    data_end: int
    """Of the entropy-coded data that follows a SOS; of the segment elsewhere."""


class JpegFile:
    """The segments that make the picture; others, and what stands between segments, are left out."""

    def __init__(self, data: bytes) -> None:
        """Raises DamagedImage, UnsupportedImage or TooMuchWork."""
        self.exif = b""
        self._parts = [data[:2]]
        self._frame: _Frame | None = None
        self._scans = self._blocks = self._restart_interval = 0
        self._scanned: set[int] = set()
        self._missing_bits: dict[int, list[int]] = {}
        """Of a progressive picture, by component: of each coefficient, those that no scan has brought."""
        self._has_end = False
        self._restarts_as_expected = True
        for segment in _segments(data):
            self._take(segment, data)
        if self._frame is None or not self._scanned.issuperset(self._frame.sampling) or self._lacks_scans:
            raise damaged("it has only a beginning, some or all of the picture is missing")
        self.width, self.height = self._frame.width, self._frame.height
        self._parts.append(b"\xff\xd9")  # taken as said where it is missing

    def decode(self) -> Image:
        is_cmyk = self._frame is not None and len(self._frame.sampling) == 4
        space = "CMYK" if is_cmyk else "BGR"
        data = b"".join(self._parts)
        try:
            image: Image = simplejpeg.decode_jpeg(data, space)
        except ValueError as warning:
            image = self._with_all_data(data, space, warning)
        if not is_cmyk:
            return image
        del image  # which colours these are Pillow knows: Adobe writes them inverted
        return to_bgr(JpegImageFile(io.BytesIO(data)))

    @property
    def _lacks_scans(self) -> bool:
        """Of a progressive picture: a scan was to follow that refines what is there, or that brings what is not.

        T.81 lets an encoder leave coefficients out, but not without the end marker behind its last scan.
        """
        allowed = (0, NEVER_SENT) if self._has_end else (0,)
        return any(bits not in allowed for missing in self._missing_bits.values() for bits in missing)

    def _take(self, segment: _Segment, data: bytes) -> None:
        marker, body = segment.marker, segment.body
        if marker == EOI:
            self._has_end = True
            return
        if marker == APP1 and body.startswith(EXIF) and not self.exif:
            self.exif = body[len(EXIF) :]
        if marker in FRAMES:
            self._frame = _frame(marker, body)
        if marker == DRI and len(body) == 2:
            self._restart_interval = int.from_bytes(body)
        if marker == SOS:
            self._count(body[1 : 1 + 2 * body[0] : 2] if body else b"", data[segment.start : segment.data_end])
            self._note_progress(body)
        if not (APP0 < marker <= APP15 or marker == COM) or marker == APP14:
            self._parts.append(data[segment.start : segment.data_end])

    def _count(self, components: bytes, scan: bytes) -> None:
        if self._frame is None:
            raise damaged("a scan comes before the frame that it is of")
        self._scans += 1
        self._scanned.update(components)
        self._blocks += self._frame.blocks(components) + SCAN_BLOCKS
        if self._blocks > MOST_BLOCKS:
            raise TooMuchWork(
                f"The image takes too much work: its first {self._scans:,} scans go over {self._blocks:,} blocks, "
                f"the limit is {MOST_BLOCKS:,}"
            )
        if self._restart_interval:
            intervals = math.ceil(self._frame.units(components) / self._restart_interval)
            expected = bytes(islice(cycle(RESTARTS), min(intervals - 1, len(scan))))
            self._restarts_as_expected &= b"".join(RESTART.findall(scan)) == expected

    def _note_progress(self, scan_header: bytes) -> None:
        """Of a scan's components, its band of coefficients and its bits (G.1.1.1)."""
        if self._frame is None or not self._frame.is_progressive or len(scan_header) < 6:
            return
        *_, first, last, bits = scan_header
        for component in scan_header[1:-3:2]:
            missing = self._missing_bits.setdefault(component, [NEVER_SENT] * COEFFICIENTS)
            missing[first : last + 1] = [bits & 15] * len(missing[first : last + 1])

    def _with_all_data(self, data: bytes, space: str, warning: ValueError) -> Image:
        """The picture that libjpeg-turbo made with a warning: of data that is missing, or of a harmless oddity.

        In the place of what is missing it makes up a picture, which is another where other bytes stand at the ends.
        """
        image: Image = simplejpeg.decode_jpeg(data, space, strict=False)
        filled = b"".join([self._parts[0], *map(_filled, self._parts[1:-1]), self._parts[-1]])
        if not self._restarts_as_expected or (simplejpeg.decode_jpeg(filled, space, strict=False) != image).any():
            raise damaged(warning)
        return image


def read(data: bytes) -> JpegFile:
    return JpegFile(data)


def _segments(data: bytes) -> Iterator[_Segment]:
    """Up to the end marker or the data's end, as libjpeg finds them: it skips what does not belong there."""
    at = count = 0
    while (found := MARKER.search(data, at)) is not None:
        if found[1][0] == EOI:
            yield _Segment(EOI, found.start(), b"", found.end())
            return
        count += 1
        if count > MOST_SEGMENTS:
            raise TooMuchWork(f"The image takes too much work: it has more than {MOST_SEGMENTS:,} segments, the limit")
        marker, begin = found[1][0], found.end()
        length = int.from_bytes(data[begin : begin + 2])
        end = begin + length
        if length < 2 or end > len(data):
            raise damaged("a segment is cut short")
        at = end
        if marker == SOS:
            following = MARKER.search(data, end)
            at = len(data) if following is None else following.start()
        yield _Segment(marker, found.start(), data[begin + 2 : end], at)


def _frame(marker: int, body: bytes) -> _Frame:
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise damaged("the frame's header is cut short")
    bits, components = body[0], body[5]
    height, width = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
    if marker not in LOSSY or bits != 8 or components not in (1, 3, 4) or not height:
        kind = "lossy" if marker in LOSSY else "lossless or hierarchical"
        lines = height or "an unknown number of"
        raise UnsupportedImage(
            f"This image format is not supported: a {kind} JPEG of {components} components of {bits} bits and {lines} "
            "lines came, a lossy one of 1, 3 or 4 components of 8 bits was expected"
        )
    factors = np.frombuffer(body[6 : 6 + 3 * components], np.uint8).reshape(-1, 3)
    if not width or ((factors[:, 1] & 15) == 0).any() or (factors[:, 1] >> 4 == 0).any():
        raise damaged("the frame's header says that there is nothing in it")
    return _Frame(
        width, height, {int(number): (int(hv) >> 4, int(hv) & 15) for number, hv, _ in factors}, marker in PROGRESSIVE
    )


def _filled(part: bytes) -> bytes:
    """A scan with further bytes behind the data of each of its intervals, which none needs that is whole."""
    if part[1] != SOS:
        return part
    data = FILL.sub(b"\xff", part).rstrip(b"\xff")
    return RESTART.sub(lambda restart: FILLER + restart[0], data) + FILLER
