import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageOps

from daemon.errors import BadImage, DamagedImage, ImageTooLarge, UnsupportedImage
from daemon.pictures import check_size, decode
from tests.photos import ORIENTATION, encoded, file_of, opened, oriented

LIMIT = 1_000_000
SMALL = opened("astronaut").resize((60, 40))
SIXTEEN_BITS = Image.fromarray(np.asarray(SMALL.convert("L"), np.uint16) * 257)
APNG = {"save_all": True, "append_images": [SMALL.rotate(180)]}

# name: file, the mean difference per channel that its coding may make
FORMATS = {
    "jpeg": (encoded(SMALL, "JPEG", quality=95), 4),
    "progressive jpeg": (encoded(SMALL, "JPEG", quality=95, progressive=True), 4),
    "png": (encoded(SMALL, "PNG"), 0),
    "bmp": (encoded(SMALL, "BMP"), 0),
    "webp": (encoded(SMALL, "WEBP", lossless=True), 0),
    "alpha png": (encoded(SMALL.convert("RGBA"), "PNG"), 0),
    "alpha webp": (encoded(SMALL.convert("RGBA"), "WEBP", lossless=True), 0),
    "animated png": (encoded(SMALL, "PNG", **APNG), 0),
    "animated webp": (encoded(SMALL, "WEBP", lossless=True, **APNG), 0),
    "palette png": (encoded(SMALL.convert("P"), "PNG"), 20),
    "palette png with alpha": (encoded(SMALL.convert("P"), "PNG", transparency=b"\xff\x80"), 20),
    "palette bmp": (encoded(SMALL.convert("P"), "BMP"), 20),
    "cmyk jpeg": (encoded(SMALL.convert("CMYK"), "JPEG", quality=95), 4),
}
GREYS = {
    "grey jpeg": (encoded(SMALL.convert("L"), "JPEG", quality=95), 4),
    "grey png": (encoded(SMALL.convert("L"), "PNG"), 0),
    "grey png with alpha": (encoded(SMALL.convert("LA"), "PNG"), 0),
    "16-bit png": (encoded(SIXTEEN_BITS, "PNG"), 0),
}


def png_header(width: int, height: int) -> bytes:
    """A valid start of a PNG, of these dimensions."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


def webp_canvas(width: int, height: int) -> bytes:
    """A valid WebP whose header claims these dimensions."""
    data = bytearray(encoded(SMALL, "WEBP", **APNG))
    data[24:27] = struct.pack("<I", width - 1)[:3]
    data[27:30] = struct.pack("<I", height - 1)[:3]
    return bytes(data)


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_gives_the_picture_in_bgr(name: str) -> None:
    data, tolerance = FORMATS[name]
    picture = decode(data, LIMIT)
    assert picture.shape == (40, 60, 3)
    assert picture.dtype == np.uint8
    assert np.abs(picture[..., ::-1].astype(int) - np.asarray(SMALL)).mean() <= tolerance


@pytest.mark.parametrize("name", GREYS)
def test_grey_is_three_equal_channels(name: str) -> None:
    data, tolerance = GREYS[name]
    picture = decode(data, LIMIT)
    grey = np.repeat(np.asarray(SMALL.convert("L"))[..., None], 3, axis=2)
    assert np.abs(picture.astype(int) - grey).mean() <= tolerance
    assert (picture == picture[..., :1]).all()


def test_one_bit_is_black_and_white() -> None:
    picture = decode(encoded(SMALL.convert("1"), "PNG"), LIMIT)
    assert set(np.unique(picture)) == {0, 255}


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_is_what_opencv_and_pillow_make_of_it(subsampling: str, progressive: bool, mode: str) -> None:
    data = encoded(opened("obama").convert(mode), "JPEG", subsampling=subsampling, progressive=progressive)
    picture = decode(data, LIMIT)
    assert (picture == cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)).all()
    assert (picture[..., ::-1] == np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).all()


def test_a_jpeg_with_stray_bytes_is_what_pillow_makes_of_it() -> None:
    data = file_of("obama")
    scan = data.index(b"\xff\xda")
    stray = data[:scan] + b"\x00\x00" + data[scan:]
    with pytest.raises(ValueError, match="extraneous bytes"):
        simplejpeg.decode_jpeg(stray)
    assert (decode(stray, LIMIT) == decode(data, LIMIT)).all()


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(file_format: str, orientation: int) -> None:
    data = encoded(SMALL, file_format, exif=oriented(orientation))
    stored = Image.fromarray(decode(encoded(SMALL, file_format), LIMIT))
    stored.getexif()[ORIENTATION] = orientation
    displayed = ImageOps.exif_transpose(stored)
    assert (decode(data, LIMIT) == np.asarray(displayed)).all()


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_none(orientation: int) -> None:
    data = encoded(SMALL, "PNG", exif=oriented(orientation))
    assert (decode(data, LIMIT)[..., ::-1] == np.asarray(SMALL)).all()


@pytest.mark.parametrize(
    "data",
    [b"", b"text", b"%PDF-1.7", b"RIFF....WAVE", encoded(SMALL, "TIFF"), encoded(SMALL, "GIF", **APNG), b"\xff\xd8"],
)
def test_other_formats_are_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedImage, match=r"^This image format is not supported$"):
        decode(data, LIMIT)


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "png", "bmp", "webp", "animated webp", "cmyk jpeg"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_picture_is_damaged(name: str, share: float) -> None:
    data = FORMATS[name][0]
    with pytest.raises(DamagedImage, match=r"^The image is damaged: \S+"):
        decode(data[: int(len(data) * share)], LIMIT)


def test_bytes_changed_anywhere_give_a_picture_or_a_typed_error() -> None:
    random = np.random.default_rng(7)
    refused = 0
    for data, _ in (*FORMATS.values(), *GREYS.values()):
        for end in (64, 300, len(data)):
            for _ in range(10):
                damaged = np.frombuffer(data, np.uint8).copy()
                damaged[random.integers(0, min(end, len(data)), 4)] = random.integers(0, 256, 4)
                try:
                    decode(damaged.tobytes(), LIMIT)
                except BadImage:
                    refused += 1
    assert refused > 100


@pytest.mark.parametrize("data", [png_header(20_000, 20_000), webp_canvas(20_000, 20_000)])
def test_a_bomb_is_refused_by_its_header(data: bytes) -> None:
    message = r"^Image resolution is too large: 400 megapixels, the limit is 100$"
    with pytest.raises(ImageTooLarge, match=message):
        decode(data, 100_000_000)


@pytest.mark.parametrize(
    ("size", "limit", "message"),
    [
        ((4032, 3024), 10_000_000, "Image resolution is too large: 12.2 megapixels, the limit is 10"),
        ((1, 10_000_001), 10_000_000, "Image resolution is too large: 10.1 megapixels, the limit is 10"),
        ((1000, 1000), 500_000, "Image resolution is too large: 1 megapixels, the limit is 0.5"),
    ],
)
def test_the_message_says_how_large(size: tuple[int, int], limit: int, message: str) -> None:
    with pytest.raises(ImageTooLarge) as caught:
        check_size(*size, limit)
    assert str(caught.value) == message
    check_size(*size, size[0] * size[1])


def test_broken_metadata_is_no_concern_and_no_warning() -> None:
    broken_exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x20\x01\x12\x00\x03\xff\xff\xff\xff\x7f\xff\xff\xff"
    animated = bytearray(encoded(SMALL, "PNG", **APNG))
    at = animated.index(b"acTL")
    animated[at + 4 : at + 8] = bytes(4)  # no frames, which is invalid
    animated[at + 12 : at + 16] = struct.pack(">I", zlib.crc32(animated[at : at + 12]))
    for data in (encoded(SMALL, "JPEG", exif=broken_exif), bytes(animated)):
        assert decode(data, LIMIT).shape == (40, 60, 3)
        with pytest.warns(UserWarning):  # Pillow alone does warn of it
            Image.open(io.BytesIO(data)).getexif()


def test_threads_decode_side_by_side() -> None:
    files = [data for data, _ in FORMATS.values()] * 8
    expected = [decode(data, LIMIT) for data in files]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda data: decode(data, LIMIT), files))
    assert all((a == b).all() for a, b in zip(found, expected, strict=True))
