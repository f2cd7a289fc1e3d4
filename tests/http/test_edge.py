"""Methods, origins, encodings: what HTTP itself asks of a server."""

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import cramjam
import pytest
from pydantic import ValidationError

from daemon.errors import WorkerHung
from daemon.http.errors import UNREADABLE_BODY, refusal
from daemon.http.settings import HttpSettings
from tests.http.calls import SERVICE, document, send
from tests.http.conftest import Served
from tests.http.raw import connected
from tests.http.test_connections import gate
from tests.photos import encoded, opened
from tests.test_pictures import scans

SAMPLE = f"/{SERVICE}/v2/process/sample"
UPLOAD = f"/{SERVICE}/v2/process/image"
SENT = document("v2", encoded(opened("astronaut").resize((20, 20)), "PNG"))
BODY = json.dumps(SENT).encode()
ORIGIN = "https://app.example"
OTHERS_ORIGIN = "https://other.example"
JSON = {"Content-Type": "application/json"}

PACKED: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "GZip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: bytes(cramjam.brotli.compress(data)),
    "zstd": lambda data: bytes(cramjam.zstd.compress(data)),
    "identity": bytes,
}


@pytest.mark.parametrize("encoding", PACKED)
async def test_a_body_may_be_compressed(serve: Served, encoding: str) -> None:
    headers = JSON | {"Content-Encoding": encoding}
    async with (
        serve(chain_of=lambda _: gate()) as (_, client),
        client.post(SAMPLE, data=PACKED[encoding](BODY), headers=headers) as response,
    ):
        assert (response.status, await response.json()) == (200, SENT | {"objects": []})


async def test_a_body_of_several_gzip_members_is_one(serve: Served) -> None:
    data = gzip.compress(BODY[:100]) + gzip.compress(b"") + gzip.compress(BODY[100:])
    async with serve(chain_of=lambda _: gate()) as (_, client):
        status, answer = await send(client, SAMPLE, data, encoding="gzip")
    assert (status, answer) == (200, SENT | {"objects": []})


@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_a_form_may_be_compressed(serve: Served, encoding: str) -> None:
    photo = encoded(opened("astronaut").resize((20, 20)), "PNG")
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    form = PACKED[encoding](head + photo + b"\r\n--x--\r\n")
    async with serve(chain_of=lambda _: gate()) as (_, client):
        whole = await send(client, UPLOAD, form, "multipart/form-data; boundary=x", encoding)
        cut = await send(client, UPLOAD, form[:-1], "multipart/form-data; boundary=x", encoding)
    assert whole == (200, SENT | {"objects": []})
    assert cut == (400, {"detail": UNREADABLE_BODY})


@pytest.mark.parametrize("lost", [1, 8, 100])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_an_encoded_body_that_is_cut_short(serve: Served, encoding: str, lost: int) -> None:
    headers = JSON | {"Content-Encoding": encoding}
    async with (
        serve(chain_of=lambda _: gate()) as (_, client),
        client.post(SAMPLE, data=PACKED[encoding](BODY)[:-lost], headers=headers) as response,
    ):
        assert (response.status, await response.json()) == (400, {"detail": UNREADABLE_BODY})


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_what_a_body_is_decompressed_to_has_the_limit_too(serve: Served, encoding: str) -> None:
    bomb = PACKED[encoding](b" " * 50_000_000)
    assert len(bomb) < 100_000
    detail = "Request body size is too large: the body has more bytes than allowed, the limit is 1,000,000"
    async with (
        serve(chain_of=lambda _: gate(), max_body_bytes=1_000_000) as (_, client),
        client.post(SAMPLE, data=bomb, headers=JSON | {"Content-Encoding": encoding}) as response,
    ):
        assert (response.status, await response.json()) == (413, {"detail": detail})


@pytest.mark.parametrize(
    ("path", "headers", "detail", "accept"),
    [
        (
            SAMPLE,
            JSON | {"Content-Encoding": "lzma"},
            "Content-Encoding: lzma came, gzip, deflate, br, zstd was expected",
            {"Accept-Encoding": "gzip, deflate, br, zstd"},
        ),
        (
            SAMPLE,
            JSON | {"Content-Encoding": "gzip, br"},
            "Content-Encoding: gzip, br came, gzip, deflate, br, zstd was expected",
            {"Accept-Encoding": "gzip, deflate, br, zstd"},
        ),
        (
            SAMPLE,
            {"Content-Type": "image/" + "x" * 500},
            f"Content-Type: image/{'x' * 94} came, application/json was expected",
            {"Accept": "application/json"},
        ),
        (
            UPLOAD,
            {"Content-Type": "image/jpeg"},
            "Content-Type: image/jpeg came, multipart/form-data was expected",
            {"Accept": "multipart/form-data"},
        ),
    ],
)
async def test_a_type_or_an_encoding_that_is_not_taken(
    serve: Served, path: str, headers: dict[str, str], detail: str, accept: dict[str, str]
) -> None:
    async with (
        serve(chain_of=lambda _: gate()) as (_, client),
        client.post(path, data=BODY, headers=headers) as response,
    ):
        assert (response.status, await response.json()) == (415, {"detail": detail})
        assert {name: response.headers[name] for name in accept} == accept
        assert len([name for name in response.headers if name.startswith("Accept")]) == 1


async def test_a_body_without_a_type_is_told_so(serve: Served) -> None:
    async with serve(chain_of=lambda _: gate()) as (server, _), connected(server) as wire:
        await wire.send(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n" % SAMPLE.encode())
        status, _, body = await wire.answer()
        assert (status, body) == (415, {"detail": "Content-Type: nothing came, application/json was expected"})


async def test_a_type_that_is_no_text_is_quoted_so(serve: Served) -> None:
    async with serve(chain_of=lambda _: gate()) as (server, _), connected(server) as wire:
        await wire.send(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: \xff\r\n\r\n" % SAMPLE.encode())
        status, _, body = await wire.answer()
        assert (status, body) == (415, {"detail": "Content-Type: ? came, application/json was expected"})


async def test_an_expectation(serve: Served) -> None:
    head = (
        b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: "
        % (
            SAMPLE.encode(),
            len(BODY),
        )
    )
    async with serve(chain_of=lambda _: gate()) as (server, _):
        async with connected(server) as wire:
            await wire.send(head + b"100-Continue\r\n\r\n")
            assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            await wire.send(BODY)
            assert (await wire.answer())[0] == 200
        async with connected(server) as wire:
            await wire.send(head + b"a miracle\r\n\r\n" + BODY)
            status, headers, body = await wire.answer()
            assert (status, headers["content-type"]) == (417, "application/json")
            assert body == {"detail": "Expect: 100-continue was expected, something else came"}


async def test_a_byte_order_mark_and_other_spellings_of_base64(serve: Served) -> None:
    text: Any = SENT["_image"]["blob"]
    async with serve(chain_of=lambda _: gate()) as (_, client):
        assert (await send(client, SAMPLE, codecs.BOM_UTF8 + BODY))[0] == 200
        for blob in (f"DATA:image/png;base64,{text}", text.rstrip("=").replace("+", "-").replace("/", "_")):
            sent = {"_image": {"blob": blob}}
            assert await send(client, SAMPLE, json.dumps(sent).encode()) == (200, sent | {"objects": []})


async def test_head_is_answered_where_get_is(serve: Served) -> None:
    async with serve(chain_of=lambda _: gate()) as (_, client):
        for path in ("/healthz", "/readyz", "/status"):
            async with client.get(path) as response:
                length = response.headers["Content-Length"]
            async with client.head(path) as response:
                assert (response.status, response.headers["Content-Length"]) == (200, length)
                assert await response.read() == b""


@pytest.mark.parametrize(("path", "methods"), [("/healthz", "GET, HEAD, OPTIONS"), (SAMPLE, "OPTIONS, POST")])
async def test_options_says_what_is_allowed_and_all_else_is_405(serve: Served, path: str, methods: str) -> None:
    async with serve(chain_of=lambda _: gate()) as (_, client):
        async with client.options(path) as response:
            assert (response.status, response.headers["Allow"], await response.read()) == (204, methods, b"")
            assert "X-Request-ID" in response.headers
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - {*methods.split(", ")}:
            async with client.request(method, path) as response:
                assert (response.status, response.headers["Allow"]) == (405, methods), method
        async with client.options("/nowhere") as response:
            assert response.status == 404


async def test_no_origin_is_allowed_unless_configured(serve: Served) -> None:
    async with (
        serve(chain_of=lambda _: gate()) as (_, client),
        client.post(SAMPLE, json=SENT, headers={"Origin": ORIGIN}) as response,
    ):
        assert response.status == 403
        assert not [name for name in response.headers if name.startswith("Access-Control")]
        assert "Vary" not in response.headers


async def test_pages_of_configured_origins_may_call(serve: Served) -> None:
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    async with serve(chain_of=lambda _: gate(), cors_origins=(ORIGIN,)) as (_, client):
        async with client.options(SAMPLE, headers=preflight | {"Origin": ORIGIN}) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (204, ORIGIN)
            assert response.headers["Access-Control-Allow-Methods"] == "OPTIONS, POST"
            assert "Content-Type" in response.headers["Access-Control-Allow-Headers"]
            assert response.headers["Vary"] == "Origin"
        for body, status in ((SENT, 200), ({}, 422)):  # a page is to read errors too
            async with client.post(SAMPLE, json=body, headers={"Origin": ORIGIN}) as response:
                assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (status, ORIGIN)
                assert "X-Request-ID" in response.headers["Access-Control-Expose-Headers"]
        for headers in (preflight | {"Origin": OTHERS_ORIGIN}, {}):
            async with client.options(SAMPLE, headers=headers) as response:
                assert "Access-Control-Allow-Origin" not in response.headers
                assert response.headers["Vary"] == "Origin"


async def test_all_origins_may_be_allowed(serve: Served) -> None:
    async with (
        serve(chain_of=lambda _: gate(), cors_origins=("*",)) as (_, client),
        client.get("/healthz", headers={"Origin": OTHERS_ORIGIN}) as response,
    ):
        assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("origin", ["", "app.example", "https://app.example/", "https://a/path", "https:// x"])
def test_an_origin_has_a_scheme_and_no_path(origin: str) -> None:
    with pytest.raises(ValidationError):
        HttpSettings(cors_origins=(origin,))


async def test_a_bomb_of_scans_is_the_clients_error(serve: Served) -> None:
    form = aiohttp.FormData()
    form.add_field("image", io.BytesIO(scans(10_000, 9_990, 900)), filename="photo")
    async with serve() as (_, client), client.post(UPLOAD, data=form) as response:
        detail = (await response.json())["detail"]
        assert (response.status, detail) == (
            400,
            "The image takes too much work: its first 21 scans go over 32,807,250 blocks, the limit is 32,000,000",
        )


def test_work_that_takes_too_long_is_not_the_clients_error() -> None:
    assert refusal(WorkerHung("work that is no model's has not ended in 60 s")).status == 504
