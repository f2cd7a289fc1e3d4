import io
import re
import struct
import threading
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageOps

from daemon.errors import BadImage, DamagedImage, ImageTooLarge, Overloaded, TooMuchWork, UnsupportedImage
from daemon.pictures import Room, check_size, decode
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
    return png_of(width, height, zlib.compress(b""))[:-12]


def png_of(width: int, height: int, pixels: bytes) -> bytes:
    """A PNG of these dimensions and compressed pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


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
    ("data", "came"),
    [
        (b"", "nothing came, "),
        (b"text", "text came, "),
        (b'{"_image": {}}', "text came, "),
        (b"%PDF-1.7", "PDF came, "),
        (b"RIFF....WAVE", "WAV came, "),
        (encoded(SMALL, "TIFF"), "TIFF came, "),
        (encoded(SMALL, "GIF", **APNG), "GIF came, "),
        (encoded(SMALL, "JPEG2000"), "JPEG 2000 came, "),
        (encoded(SMALL, "AVIF"), "AVIF came, "),
        (encoded(SMALL, "ICO"), "ICO came, "),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "HEIC came, "),
        (b"\x00\x00\x00\x20ftypisom", "MP4 came, "),
        (b"\xff\xd8", "half of a JPEG's first bytes came, "),
        (b"\x00\x01\x02\x03", ""),
    ],
)
def test_other_formats_are_unsupported_and_named(data: bytes, came: str) -> None:
    with pytest.raises(UnsupportedImage) as caught:
        decode(data, LIMIT)
    assert str(caught.value) == f"This image format is not supported: {came}JPEG, PNG, BMP or WebP was expected"


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


BROKEN_EXIF = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x20\x01\x12\x00\x03\xff\xff\xff\xff\x7f\xff\xff\xff"
JPEG, PNG, WEBP = (FORMATS[name][0] for name in ("jpeg", "png", "webp"))


def compressed_zeros(mebibytes: int) -> bytes:
    """In zlib's format (RFC 1950): one mebibyte is compressed, and repeated."""
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    one = compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    adler = (mebibytes << 20) % 65521 << 16 | 1
    return b"\x78\xda" + one * mebibytes + b"\x03\x00" + struct.pack(">I", adler)


def with_segment(marker: int, body: bytes) -> bytes:
    """A JPEG with a further segment in front."""
    return JPEG[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + JPEG[2:]


def with_chunk(kind: bytes, body: bytes, checksum: int | None = None) -> bytes:
    """A PNG with a further chunk behind its header."""
    checksum = zlib.crc32(kind + body) if checksum is None else checksum
    return PNG[:33] + struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum) + PNG[33:]


def with_riff(kind: bytes, body: bytes) -> bytes:
    """A WebP with a further chunk behind its picture."""
    data = WEBP + kind + struct.pack("<I", len(body)) + body
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


@pytest.mark.parametrize(
    ("data", "bare"),
    [
        (with_segment(0xE1, BROKEN_EXIF), JPEG),
        (with_segment(0xE1, b"Exif\x00\x00nothing of TIFF"), JPEG),
        (with_segment(0xE1, b"Exif\x00\x00II*\x00\xff\xff\xff\xff"), JPEG),
        (with_segment(0xE1, b'http://ns.adobe.com/xap/1.0/\x00<x tiff:Orientation="6"/>'), JPEG),
        (with_segment(0xE2, b"ICC_PROFILE\x00\x09\x01no profile"), JPEG),
        (with_segment(0xE2, b"MPF\x00MM\x00*\xff\xff\xff\xff"), JPEG),
        (with_segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\xff\xff"), JPEG),
        (with_segment(0xFE, b""), JPEG),
        (with_chunk(b"eXIf", b"nothing"), PNG),
        (with_chunk(b"iCCP", b"a\x00\x01nothing"), PNG),
        (with_chunk(b"zTXt", b"a\x00\x00" + compressed_zeros(64)), PNG),
        (with_chunk(b"zTXt", b"a\x00\x00nothing"), PNG),
        (with_chunk(b"tEXt", b"a\x00b", checksum=1), PNG),
        (with_chunk(b"pHYs", b""), PNG),
        (with_chunk(b"acTL", bytes(8)), PNG),
        (with_chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'), PNG),
        (with_riff(b"EXIF", b"nothing"), WEBP),
        (with_riff(b"ICCP", b"nothing"), WEBP),
        (with_riff(b"XMP ", b'<x tiff:Orientation="6"/>'), WEBP),
    ],
)
def test_metadata_cannot_spoil_a_picture(data: bytes, bare: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (decode(data, LIMIT) == decode(bare, LIMIT)).all()


JPEGS = {
    "baseline": encoded(opened("obama"), "JPEG"),
    "progressive": encoded(opened("obama"), "JPEG", progressive=True),
    "restarts": encoded(opened("obama"), "JPEG", restart_marker_blocks=7),
    "progressive with restarts": encoded(opened("obama"), "JPEG", progressive=True, restart_marker_rows=1),
    "grey": encoded(opened("obama").convert("L"), "JPEG"),
    "cmyk": encoded(opened("obama").convert("CMYK"), "JPEG"),
}
END = b"\xff\xd9"


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_that_lacks_its_end_marker_alone_is_taken(name: str) -> None:
    whole = JPEGS[name]
    assert whole.endswith(END)
    for data in (whole[:-2], whole[:-1], whole[:-2] + bytes(300) + END):
        assert (decode(data, LIMIT) == decode(whole, LIMIT)).all()


@pytest.mark.parametrize("end", [b"", END], ids=["no end marker", "end marker"])
@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_with_data_missing_is_damaged(name: str, end: bytes) -> None:
    whole = JPEGS[name]
    cut = [whole[: int(len(whole) * share)] for share in (0.1, 0.3, 0.5, 0.9, 0.99)]
    almost_whole = [whole[: -2 - lost] for lost in (1, 2, 5, 20)]
    middle_lost = whole[: len(whole) // 5] + whole[len(whole) * 9 // 10 : -2]
    for data in (*cut, *almost_whole, middle_lost):
        with pytest.raises(DamagedImage, match=r"^The image is damaged: \w+"):
            decode(data + end, LIMIT)


def test_a_jpeg_that_lost_whole_intervals_is_damaged() -> None:
    data = JPEGS["restarts"]
    restarts = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", data)]
    for first, next_one in ((5, 6), (10, 13), (10, 18)):
        with pytest.raises(DamagedImage):
            decode(data[: restarts[first]] + data[restarts[next_one] :], LIMIT)


def beginnings(progressive: bytes) -> list[bytes]:
    """What is there of the picture when each of its scans but the last has come."""
    ends = [found.start() for found in re.finditer(rb"\xff(\xc4|\xda)", progressive)]
    return [progressive[:end] for end in ends if b"\xff\xda" in progressive[:end]]


@pytest.mark.parametrize("end", [b"", END], ids=["no end marker", "end marker"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_progressive_jpeg_that_is_cut_between_two_scans_is_damaged(mode: str, end: bytes) -> None:
    cut = beginnings(encoded(opened("obama").convert(mode), "JPEG", progressive=True))
    assert len(cut) >= 5
    for data in cut:
        with pytest.raises(DamagedImage, match="some or all of the picture is missing"):
            decode(data + end, LIMIT)


def test_a_progressive_jpeg_may_leave_coefficients_out_but_not_its_end_too() -> None:
    whole = scans(64, 48, 1)
    average_only = beginnings(whole)[0]
    assert decode(average_only + END, LIMIT).shape == (48, 64, 3)
    with pytest.raises(DamagedImage, match="some or all of the picture is missing"):
        decode(average_only, LIMIT)


def scans(width: int, height: int, count: int) -> bytes:
    """A grey progressive JPEG with this many passes that change nothing."""

    def segment(marker: int, body: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body

    def table(kind: int, symbol: int) -> bytes:
        return segment(0xC4, bytes([kind, 1, *[0] * 15, symbol]))

    blocks = -(-width // 8) * -(-height // 8)
    bits = ("0" + "1" * 14) * -(-blocks // 32767)
    bits += "1" * (-len(bits) % 8)
    run = int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\x00")
    start = segment(0xDB, b"\x00" + b"\x01" * 64) + segment(
        0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    )
    tables = table(0, 0) + table(0x10, 0xE0)
    dc = segment(0xDA, b"\x01\x01\x00\x00\x00\x00") + bytes(-(-blocks // 8))
    ac = segment(0xDA, b"\x01\x01\x00\x01\x3f\x01") + run
    again = segment(0xDA, b"\x01\x01\x00\x01\x3f\x10") + run
    return b"\xff\xd8" + start + tables + dc + ac + again * count + END


BOMBS = {
    "scans of a large picture": scans(10_000, 9_990, 900),
    "scans of a small picture": scans(8, 8, 300_000),
    "comments": JPEG[:2] + b"\xff\xfe\x00\x02" * 1_000_000 + JPEG[2:],
    "restart intervals": JPEG[:2] + b"\xff\xdd\x00\x04\x00\x00" * 700_000 + JPEG[2:],
}


@pytest.mark.parametrize("name", BOMBS)
def test_passes_without_end_are_refused_before_anything_is_decoded(name: str) -> None:
    began = time.thread_time()
    with pytest.raises(TooMuchWork, match=r"^The image takes too much work: .* the limit"):
        decode(BOMBS[name], 100_000_000)
    assert time.thread_time() - began < 1


TAKEN = {
    "a few scans": (scans(800, 600, 9), (600, 800, 3)),
    "fill bytes": (JPEG[:2] + b"\xff" * 4_000_000 + JPEG[2:], (40, 60, 3)),
    "fill bytes that lead nowhere": (JPEG[:2] + b"\xff" * 4_000_000 + b"\x00" + JPEG[2:], (40, 60, 3)),
    "stuffed zeros": (JPEG[:2] + b"\xff\x00" * 2_000_000 + JPEG[2:], (40, 60, 3)),
    "markers without a segment": (JPEG[:2] + b"\xff\xd0" * 2_000_000 + JPEG[2:], (40, 60, 3)),
    "empty chunks": (with_chunk(b"IDAT", b"")[:33] + with_chunk(b"IDAT", b"")[33:45] * 300_000 + PNG[33:], (40, 60, 3)),
    "more pixels than the picture has": (png_of(1, 1, compressed_zeros(256)), (1, 1, 3)),
}


@pytest.mark.parametrize("name", TAKEN)
def test_odd_structure_costs_time_by_its_bytes_alone(name: str) -> None:
    data, shape = TAKEN[name]
    began = time.thread_time()
    assert decode(data, LIMIT).shape == shape
    assert time.thread_time() - began < 2


@pytest.mark.parametrize(
    ("marker", "bits", "components"),
    [(0xC1, 12, 3), (0xC0, 12, 1), (0xC3, 8, 3), (0xC5, 8, 3), (0xF7, 8, 3), (0xC2, 8, 2)],
    ids=["12 bits", "12 bits, grey", "lossless", "hierarchical", "JPEG-LS", "two components"],
)
def test_a_jpeg_of_a_kind_that_is_not_decoded_is_unsupported(marker: int, bits: int, components: int) -> None:
    frame = JPEG.index(b"\xff\xc0")
    header = struct.pack(">BBHBHHB", 0xFF, marker, 8 + 3 * components, bits, 40, 60, components)
    other = header + JPEG[frame + 10 : frame + 10 + 3 * components] + JPEG[frame + 19 :]
    with pytest.raises(
        UnsupportedImage, match=rf"^This image format is not supported: a .*{components} components of {bits} bits"
    ):
        decode(JPEG[:frame] + other, LIMIT)


def bmp(header_bytes: int, bits: int, compression: int, masks: bytes = b"") -> bytes:
    """A BMP of 16x8 pixels, with all of its bytes."""
    if header_bytes == 12:
        header = struct.pack("<IHHHH", 12, 16, 8, 1, bits)
    else:
        header = struct.pack("<IiiHHIIiiII", header_bytes, 16, 8, 1, bits, compression, 0, 0, 0, 0, 0)
        header = (header + bytes(100))[:header_bytes]
    palette = bytes((2**bits if bits <= 8 else 0) * (3 if header_bytes == 12 else 4))
    start = 14 + len(header) + len(masks) + len(palette)
    rows = bytes((16 * bits + 31) // 32 * 4 * 8)
    return struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start) + header + masks + palette + rows


def test_a_whole_bmp_is_taken_or_not_supported() -> None:
    taken = set()
    masks = struct.pack("<III", 0xF00, 0xF0, 0xF)
    for header_bytes in (12, 16, 40, 52, 56, 64, 108, 124, 128):
        for bits in (0, 1, 2, 3, 4, 8, 16, 24, 32, 64):
            for compression in (0, 3, 4, 5, 6, 11) if header_bytes > 16 else (0,):
                for more in (b"", masks):
                    try:
                        decode(bmp(header_bytes, bits, compression, more), LIMIT)
                        taken.add((header_bytes, bits, compression))
                    except UnsupportedImage as err:
                        assert str(err).startswith(f"This image format is not supported: a BMP of {bits} bits")
    assert taken >= {(size, bits, 0) for size in (12, 40, 124) for bits in (1, 4, 8, 24)} | {(40, 16, 0), (40, 32, 0)}


@pytest.mark.parametrize(
    ("bits", "runs"),
    [(8, b"\x10\x01\x00\x00" * 8 + b"\x00\x01"), (4, b"\x10\x11\x00\x00" * 8 + b"\x00\x01")],
)
def test_a_bmp_in_runs(bits: int, runs: bytes) -> None:
    compression = 1 if bits == 8 else 2
    data = bytearray(bmp(40, bits, compression)[: 54 + 4 * 2**bits])
    data[58:62] = b"\x03\x02\x01\x00"
    assert (decode(bytes(data) + runs, LIMIT) == (3, 2, 1)).all()
    with pytest.raises(DamagedImage):
        decode(bytes(data) + runs[:9], LIMIT)
    with pytest.raises(UnsupportedImage):
        decode(bmp(40, 24, compression), LIMIT)


def test_an_animations_first_frame_lies_where_it_says() -> None:
    still = encoded(SMALL, "WEBP", lossless=True)[12:]
    frame = struct.pack("<I", 10)[:3] + struct.pack("<I", 4)[:3] + bytes(10) + still
    canvas = bytes(4) + struct.pack("<I", 99)[:3] + struct.pack("<I", 79)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + canvas + b"ANMF" + struct.pack("<I", len(frame)) + frame
    picture = decode(b"RIFF" + struct.pack("<I", len(body)) + body, LIMIT)
    assert picture.shape == (80, 100, 3)
    assert (picture[8:48, 20:80, ::-1] == np.asarray(SMALL)).all()
    picture[8:48, 20:80] = 0
    assert not picture.any()


def is_full(room: Room, pixels: int) -> bool:
    try:
        with room.of(pixels, 0):
            return False
    except Overloaded as err:
        return str(err) == "No capacity for a picture of this size, try again later"


def test_what_is_decoded_at_once_has_a_limit() -> None:
    room = Room(100)
    with room.of(60, None), room.of(40, None):
        assert is_full(room, 1)
    with room.of(1000, 0):  # larger than all of it, alone
        assert is_full(room, 1)
    with room.of(50, 0):
        assert is_full(room, 1000)
        assert not is_full(room, 50)


def test_who_waits_for_room_is_let_in_when_others_are_done() -> None:
    room = Room(100)
    entered = threading.Event()

    def enter() -> None:
        with room.of(50, None):
            entered.set()

    with ThreadPoolExecutor(1) as thread:
        with room.of(100, 0):
            waiting = thread.submit(enter)
            assert not entered.wait(0.05)
        waiting.result(10)
    assert entered.is_set()


def test_threads_decode_side_by_side() -> None:
    files = [data for data, _ in FORMATS.values()] * 8
    expected = [decode(data, LIMIT) for data in files]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda data: decode(data, LIMIT), files))
    assert all((a == b).all() for a, b in zip(found, expected, strict=True))
