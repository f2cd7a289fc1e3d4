"""Every service, module and version against the API specification's own examples."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.http.calls import document, post, send, upload
from tests.http.conftest import Served
from tests.photos import encoded, file_of, photo_of, side_by_side
from tests.worked import ROOT

EXAMPLES = ROOT / "daemon" / "http" / "openapi" / "contract"
LIVENESS = "face-detector-liveness-estimator"
ROWS = sorted(path.parent.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("v1.request.json"))
DETECTING = [row for row in ROWS if row.startswith("face-detector-") or row == "body-detector"]
VERSIONS = ["v1", "v2"]

IMAGE_MEMBERS = ("$image", "_image")
NUMBERS = {"fa_r", "fr_r", "score"}
"""Whole or not."""
WORDS = {"class", "fitter_type", "format", "dtype", "emotion"}
"""Whose values are compared; of others the case alone."""


def example(row: str, name: str) -> Any:
    return json.loads((EXAMPLES / row / f"{name}.json").read_text())


def with_(template: Any, image: bytes, blob: str = "") -> Any:
    """The specification's request with a picture and a template in it."""
    text = json.dumps(template, ensure_ascii=False)
    text = text.replace("image in base64", base64.b64encode(image).decode())
    return json.loads(text.replace("template in base64", blob))


def form(value: Any, name: str = "") -> Any:
    """Names, nesting and types; the case of words, and the values of some."""
    if isinstance(value, dict):
        return {key: form(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [form(item, name) for item in value]
    if isinstance(value, str):
        kinds = {str.isdigit: "digits", str.isupper: "upper case", str.islower: "lower case"}
        case = next((kind for holds, kind in kinds.items() if holds(value)), "text")
        return value if name in WORDS else "base64" if name in ("blob", "$template") else case
    return "number" if name in NUMBERS or name.endswith("_score") else type(value)


def objects_of(answer: Any) -> list[Any]:
    return [form(members) for members in answer["objects"]]


def module_of(row: str) -> dict[str, Any]:
    """The setting for a row's module, if it is one's."""
    service, _, module = row.partition("/")
    return {"liveness_module": module} if service == LIVENESS else {}


@pytest.fixture
async def client_of(serve: Served, row: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with serve(**module_of(row)) as (_, client):
        yield client


def path_of(row: str, version: str, kind: str = "sample") -> str:
    return f"/{row.split('/')[0]}/{version}/process/{kind}"


async def template_of(client: aiohttp.ClientSession) -> str:
    answer = await post(client, "/face-detector-template-extractor/v1/process/sample", document("v1", file_of("obama")))
    template: str = answer["objects"][0]["$template"]
    return template


def test_there_are_fourteen_rows() -> None:
    assert len(ROWS) == 14


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("row", ROWS)
async def test_the_answer_has_the_form_of_the_example(client_of: aiohttp.ClientSession, row: str, version: str) -> None:
    blob = await template_of(client_of) if row == "verify-matcher" else ""
    request = with_(example(row, f"{version}.request"), photo_of("obama"), blob)
    answer = await post(client_of, path_of(row, version), request)
    expected = example(row, f"{version}.response")
    if row in DETECTING:
        assert answer["objects"]
        assert objects_of(answer) == objects_of(expected)[:1] * len(answer["objects"])
        assert [members["id"] for members in answer["objects"]] == list(range(len(answer["objects"])))
    else:
        assert objects_of(answer) == objects_of(expected)
        for sent, got in zip(request["objects"], answer["objects"], strict=True):
            assert sent.items() <= got.items()  # as it was sent, to the last digit
    image = {name: request[name] for name in IMAGE_MEMBERS if name in request}
    assert {name: answer[name] for name in answer if name in IMAGE_MEMBERS} == image
    others = {name: value for name, value in expected.items() if name not in ("objects", *IMAGE_MEMBERS)}
    assert form({name: answer[name] for name in answer if name not in ("objects", *image)}) == form(others)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("row", ROWS)
async def test_the_examples_as_printed_hold_no_base64(client_of: aiohttp.ClientSession, row: str, version: str) -> None:
    body = (EXAMPLES / row / f"{version}.request.json").read_bytes()
    body = body.replace(b"template in base64", b"image in base64")  # which is 12 bytes, without its spaces
    expected = example("gender-estimator", "error-0")
    assert await send(client_of, path_of(row, version), body) == (400, expected)


def test_every_service_prints_the_same_error_for_it() -> None:
    printed = [json.loads(path.read_text()) for path in EXAMPLES.rglob("error-0.json")]
    assert printed == [{"detail": "Failed to decode base64 string"}] * 6


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("row", DETECTING)
async def test_an_upload_is_answered_like_the_sample_that_holds_it(
    client_of: aiohttp.ClientSession, row: str, version: str
) -> None:
    data = file_of("biden")
    uploaded = await upload(client_of, path_of(row, version, "image"), data)
    assert uploaded == await post(client_of, path_of(row, version), document(version, data))


@pytest.mark.parametrize("row", [row for row in ROWS if row not in DETECTING])
async def test_what_needs_objects_takes_no_file(client_of: aiohttp.ClientSession, row: str) -> None:
    path, content_type = path_of(row, "v1", "image"), "multipart/form-data; boundary=x"
    assert await send(client_of, path, b"--x--\r\n", content_type) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize("row", [f"{LIVENESS}/quality-liveness-anti-spoofing"])
async def test_more_than_one_face_is_refused_before_its_quality(client_of: aiohttp.ClientSession, row: str) -> None:
    crowd = side_by_side("obama", "biden")
    for data in (encoded(crowd, "PNG"), encoded(crowd.resize((160, 120)), "JPEG", quality=20)):
        body = json.dumps(document("v1", data)).encode()
        assert await send(client_of, path_of(row, "v1"), body) == (400, example(row, "error-2"))
