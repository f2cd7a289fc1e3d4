"""Every bad or odd input of the contract's table: its status, its words, and the server goes on."""

import base64
import io
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import numpy as np
import pytest
from PIL import Image

from daemon.http.errors import UNREADABLE_BODY
from daemon.http.services.catalogue import Detection, services
from tests.http.calls import SERVICE, document, post, send
from tests.http.conftest import Served
from tests.photos import encoded, file_of, opened
from tests.test_pictures import png_header

SAMPLE = f"/{SERVICE}/v1/process/sample"
SAMPLE_V2 = f"/{SERVICE}/v2/process/sample"
UPLOAD = f"/{SERVICE}/v1/process/image"

PORTRAIT = opened("astronaut")
TINY = encoded(Image.new("RGB", (1, 1)), "PNG")
NOISE = Image.frombytes("RGB", (1400, 1200), np.random.default_rng(1).bytes(1400 * 1200 * 3))
FIVE_MB = encoded(NOISE, "PNG", compress_level=0)

NOT_BASE64 = "Failed to decode base64 string"
UNSUPPORTED = "This image format is not supported: {} came, JPEG, PNG, BMP or WebP was expected"
TOO_MANY_BYTES = f"Request body size is too large: the image has {len(FIVE_MB):,} bytes, the limit is 4,700,000"
MISSING = "Field required"


def problem(*loc: str | int, msg: str, kind: str) -> list[dict[str, Any]]:
    return [{"loc": ["body", *loc], "msg": msg, "type": kind}]


@pytest.fixture
async def client(client: aiohttp.ClientSession) -> AsyncIterator[aiohttp.ClientSession]:
    yield client
    answer = await post(client, SAMPLE, document("v1", file_of("astronaut")))
    assert len(answer["objects"]) == 1  # nothing else is broken


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    ("data", "status", "detail"),
    [
        (b"", 400, NOT_BASE64),
        (b"no picture", 400, UNSUPPORTED.format("text")),
        (b"%PDF-1.7", 400, UNSUPPORTED.format("PDF")),
        (encoded(PORTRAIT, "GIF", save_all=True, append_images=[PORTRAIT.rotate(9)]), 400, UNSUPPORTED.format("GIF")),
        (encoded(PORTRAIT, "TIFF"), 400, UNSUPPORTED.format("TIFF")),
        (file_of("astronaut")[:-1000], 400, "The image is damaged: Corrupt JPEG data: premature end of data segment"),
        (file_of("astronaut")[:200], 400, "The image is damaged: "),
        (encoded(PORTRAIT, "PNG")[:-1000], 400, "The image is damaged: "),
        (png_header(20_000, 20_000), 400, "Image resolution is too large: 400 megapixels, the limit is 100"),
        (FIVE_MB, 413, TOO_MANY_BYTES),
    ],
    ids=["empty", "text", "pdf", "gif", "tiff", "cut jpeg", "jpeg head", "cut png", "bomb", "5 MB"],
)
async def test_a_bad_image(client: aiohttp.ClientSession, version: str, data: bytes, status: int, detail: str) -> None:
    body = json.dumps(document(version, data)).encode()
    answered, answer = await send(client, f"/{SERVICE}/{version}/process/sample", body)
    assert (answered, answer.keys()) == (status, {"detail"})
    assert answer["detail"].startswith(detail)


@pytest.mark.parametrize(
    ("picture", "faces"),
    [
        (encoded(Image.fromarray(np.asarray(PORTRAIT.convert("L"), np.uint16) * 257), "PNG"), 1),
        (encoded(PORTRAIT.convert("CMYK"), "JPEG"), 1),
        (encoded(PORTRAIT.convert("L"), "JPEG"), 1),
        (encoded(PORTRAIT.convert("LA"), "PNG"), 1),
        (encoded(PORTRAIT.convert("RGBA"), "PNG"), 1),
        (encoded(PORTRAIT.convert("P"), "PNG"), 1),
        (encoded(PORTRAIT, "WEBP"), 1),
        (encoded(PORTRAIT, "BMP"), 1),
        (TINY, 0),
        (encoded(Image.new("RGB", (1, 3000)), "PNG"), 0),
    ],
    ids=["16 bits", "cmyk", "grey", "grey alpha", "alpha", "palette", "webp", "bmp", "1x1", "1x3000"],
)
async def test_an_odd_image_is_answered(client: aiohttp.ClientSession, picture: bytes, faces: int) -> None:
    answer = await post(client, SAMPLE_V2, document("v2", picture))
    assert len(answer["objects"]) == faces


IMAGE = base64.b64encode(TINY).decode()
ARRAY = {"blob": IMAGE, "format": "NDARRAY", "dtype": "uint8", "shape": [9, 9, 3]}
LITERAL = "literal_error"


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        (SAMPLE, {}, problem("$image", msg=MISSING, kind="missing")),
        (SAMPLE, {"_image": {"blob": IMAGE}}, problem("$image", msg=MISSING, kind="missing")),
        (SAMPLE, {"$image": None}, problem("$image", msg="Input should be a valid string", kind="string_type")),
        (SAMPLE, {"$image": 3}, problem("$image", msg="Input should be a valid string", kind="string_type")),
        (SAMPLE, [], problem(msg="Input should be an object", kind="dict_type")),
        (
            SAMPLE,
            {"$image": IMAGE, "objects": {}},
            problem("objects", msg="Input should be a valid list", kind="list_type"),
        ),
        (
            SAMPLE,
            {"$image": IMAGE, "objects": [{}, "face"]},
            problem("objects", 1, msg="Input should be a valid dictionary", kind="dict_type"),
        ),
        (
            SAMPLE,
            {"$image": IMAGE, "objects": [{}] * 10_000},
            problem("objects", msg="List should have at most 1000 items, not 10000", kind="too_long"),
        ),
        (SAMPLE_V2, {}, problem("_image", msg=MISSING, kind="missing")),
        (SAMPLE_V2, {"_image": {}}, problem("_image", "blob", msg=MISSING, kind="missing")),
        (
            SAMPLE_V2,
            {"_image": {"blob": IMAGE, "format": "PNG"}},
            problem("_image", "format", msg="Input should be 'IMAGE' or 'NDARRAY'", kind=LITERAL),
        ),
        (
            SAMPLE_V2,
            {"_image": ARRAY | {"dtype": "float32"}},
            problem("_image", "dtype", msg="Input should be 'uint8' or 'uint8_t'", kind=LITERAL),
        ),
        (
            SAMPLE_V2,
            {"_image": ARRAY | {"shape": [9, 9, 1]}},
            problem("_image", "shape", 2, msg="Input should be 3", kind=LITERAL),
        ),
        (
            SAMPLE_V2,
            {"_image": ARRAY},
            problem(
                "_image", "shape", msg=f"Shape should hold the blob's {len(TINY)} bytes, not 243", kind="value_error"
            ),
        ),
    ],
)
async def test_a_malformed_document(
    client: aiohttp.ClientSession, path: str, body: object, detail: list[dict[str, Any]]
) -> None:
    assert await send(client, path, json.dumps(body).encode()) == (422, {"detail": detail})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON decode error: EOF while parsing a value at line 1 column 0"),
        (b"{", "JSON decode error: EOF while parsing an object at line 1 column 1"),
        (b'{"$image": NaN}', "JSON decode error: expected value at line 1 column 12"),
        (b'{"$image": "\xff"}', "JSON decode error: invalid unicode code point at line 1 column 1"),
        (b"[" * 1_000_000, "JSON decode error: recursion limit exceeded at line 1 column 202"),
    ],
    ids=["empty", "cut", "NaN", "not UTF-8", "deep"],
)
async def test_broken_json(client: aiohttp.ClientSession, body: bytes, message: str) -> None:
    """The parser's versions differ by one in the column of what is not UTF-8."""
    status, answer = await send(client, SAMPLE, body)
    (found,) = answer["detail"]
    assert (status, found["loc"], found["type"]) == (422, ["body"], "json_invalid")
    assert found["msg"].startswith(message)


@pytest.mark.parametrize("number", [b"1e999", b"-1e999"])
async def test_infinity_anywhere(client: aiohttp.ClientSession, number: bytes) -> None:
    body = b'{"$image": "%s", "objects": [{"mine": {"deep": [%s]}}]}' % (IMAGE.encode(), number)
    detail = problem("objects", 0, "mine", "deep", 0, msg="Input should be a finite number", kind="finite_number")
    assert await send(client, SAMPLE, body) == (422, {"detail": detail})


async def test_of_both_image_members_the_versions_own_counts(client: aiohttp.ClientSession) -> None:
    both = document("v1", file_of("astronaut")) | {"_image": {"blob": IMAGE}}
    assert len((await post(client, SAMPLE, both))["objects"]) == 1
    assert await post(client, SAMPLE_V2, both) == {"_image": {"blob": IMAGE}, "objects": []}


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("POST", "/nowhere/v1/process/sample", 404, "Not Found"),
        ("POST", f"/{SERVICE}/v3/process/sample", 404, "Not Found"),
        ("POST", f"/{SERVICE}/v1/process/picture", 404, "Not Found"),
        ("POST", f"{SAMPLE}/", 404, "Not Found"),
        ("GET", "/nowhere", 404, "Not Found"),
        ("GET", SAMPLE, 405, "Method Not Allowed"),
        ("PUT", f"/{SERVICE}/process/image", 405, "Method Not Allowed"),
        ("POST", "/healthz", 405, "Method Not Allowed"),
        ("POST", SAMPLE, 415, "Content-Type: text/plain came, application/json was expected"),
        ("POST", UPLOAD, 415, "Content-Type: text/plain came, multipart/form-data was expected"),
    ],
)
async def test_a_wrong_address_method_or_type(
    client: aiohttp.ClientSession, method: str, path: str, status: int, detail: str
) -> None:
    async with client.request(method, path, data=b"{}", headers={"Content-Type": "text/plain"}) as response:
        assert (response.status, await response.json()) == (status, {"detail": detail})
        assert ("Allow" in response.headers) == (status == 405)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_a_body_that_is_not_of_its_encoding(
    client: aiohttp.ClientSession, encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    async with client.post(SAMPLE, data=b"\xff" * 9, headers=headers) as response:
        assert (response.status, await response.json()) == (400, {"detail": UNREADABLE_BODY})
    (record,) = (record for record in caplog.records if record.levelno >= logging.WARNING)
    assert (record.exc_info, record.message) == (
        None,
        f"a request of 127.0.0.1 cannot be read: {UNREADABLE_BODY}",
    )


def form(*fields: tuple[str, bytes]) -> aiohttp.FormData:
    data = aiohttp.FormData()
    for name, value in fields:
        data.add_field(name, io.BytesIO(value), filename="photo")
    return data


@pytest.mark.parametrize(
    ("fields", "status", "detail"),
    [
        ([("picture", TINY)], 422, problem("image", msg=MISSING, kind="missing")),
        ([("image", TINY)] * 2, 422, problem("image", msg="Expected one file, got more", kind="too_long")),
        ([("image", b"")], 400, UNSUPPORTED.format("nothing")),
        ([("image", b"text")], 400, UNSUPPORTED.format("text")),
        ([("image", file_of("astronaut")[:-1000])], 400, "The image is damaged: "),
        ([("image", FIVE_MB)], 413, TOO_MANY_BYTES),
        ([("image", TINY), ("more", b"1"), ("picture", FIVE_MB)], 200, None),
    ],
    ids=["no image", "two", "empty", "text", "cut", "5 MB", "others are ignored"],
)
async def test_a_form(
    client: aiohttp.ClientSession, fields: list[tuple[str, bytes]], status: int, detail: object
) -> None:
    async with client.post(UPLOAD, data=form(*fields)) as response:
        answer = await response.json()
    assert response.status == status
    if isinstance(detail, str):
        assert answer["detail"].startswith(detail)
    elif detail is not None:
        assert answer == {"detail": detail}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"--y\r\n"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nabc'),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 1000),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A" * 100_000),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\n\xff\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: multipart/mixed; \xffoundary=y\r\n\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-\xff; name="image"\r\n\r\na\r\n--x--\r\n',
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; \xff="image"\r\n\r\na\r\n--x--\r\n',
        ),
        ("multipart/form-data; boundary=" + "x" * 100, b"--x\r\n"),
    ],
    ids=[
        "no boundary",
        "empty",
        "another boundary",
        "cut in a part",
        "1,000 headers",
        "a header of 100 KB",
        "a part without headers",
        "a header that is no UTF-8",
        "a media type that is no UTF-8",
        "a disposition that is no UTF-8",
        "a parameter that is no UTF-8",
        "a long boundary",
    ],
)
async def test_a_broken_form(client: aiohttp.ClientSession, content_type: str, body: bytes) -> None:
    status, answer = await send(client, UPLOAD, body, content_type)
    assert status == 422
    (found,) = answer["detail"]
    assert found.keys() == {"loc", "msg", "type"}


async def in_chunks(data: bytes) -> AsyncIterator[bytes]:
    """Without a Content-Length."""
    yield data


async def test_a_body_over_the_limit(serve: Served) -> None:
    json_type, form_type = "application/json", "multipart/form-data; boundary=x"
    blank = b" " * 1001
    async with serve(max_body_bytes=1000) as (_, client):
        for path, content_type, data, size in (
            (SAMPLE, json_type, blank, "1,001 bytes"),
            (SAMPLE, json_type, in_chunks(blank), "more bytes than allowed"),
            (UPLOAD, form_type, blank, "1,001 bytes"),
        ):
            detail = f"Request body size is too large: the body has {size}, the limit is 1,000"
            async with client.post(path, data=data, headers={"Content-Type": content_type}) as response:
                assert (response.status, await response.json()) == (413, {"detail": detail})


async def test_a_service_may_allow_fewer_pixels(serve: Served) -> None:
    service = services("face-detector-liveness-estimator")[SERVICE]
    assert isinstance(service, Detection)
    detail = "Image resolution is too large: 0.2 megapixels, the limit is 0.1"
    async with serve(replaced={SERVICE: replace(service, max_pixels=100_000)}) as (_, client):
        body = json.dumps(document("v1", file_of("astronaut"))).encode()
        assert await send(client, SAMPLE, body) == (400, {"detail": detail})
