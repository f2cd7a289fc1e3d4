"""What the services that work on the objects sent make of odd ones."""

import base64
import json
from typing import Any

import aiohttp
import pytest
from PIL import Image

from daemon.http.services.catalogue import Estimation, services
from tests.http.calls import document, post, send
from tests.http.test_refusals import problem
from tests.photos import encoded, file_of

ESTIMATING = [
    name for name, service in services("face-detector-liveness-estimator").items() if isinstance(service, Estimation)
]
TINY = encoded(Image.new("RGB", (1, 1)), "PNG")
FACE = {"id": 0, "class": "face", "bbox": [0.2, 0.2, 0.8, 0.8]}


async def refused(client: aiohttp.ClientSession, service: str, version: str, sent: Any) -> Any:
    status, answer = await send(client, f"/{service}/{version}/process/sample", json.dumps(sent).encode())
    assert status == 422, answer
    return answer["detail"]


@pytest.mark.parametrize("service", ESTIMATING)
async def test_objects_are_needed(client: aiohttp.ClientSession, service: str) -> None:
    for version in ("v1", "v2"):
        image = document(version, file_of("obama"))
        assert await refused(client, service, version, image) == problem(
            "objects", msg="Field required", kind="missing"
        )
        assert await refused(client, service, version, image | {"objects": None}) == problem(
            "objects", msg="Input should be a valid list", kind="list_type"
        )
        missing = problem("objects", 1, "bbox", msg="Field required", kind="missing")
        assert await refused(client, service, version, image | {"objects": [FACE, {"class": "face"}]}) == missing
        no_area = problem("objects", 0, "bbox", msg="Box should have an area within the picture", kind="value_error")
        flat = image | {"objects": [FACE | {"bbox": [0.2, 0.2, 0.2, 0.8]}]}
        assert await refused(client, service, version, flat) == no_area


@pytest.mark.parametrize("service", ESTIMATING)
async def test_what_is_no_face_comes_back_as_it_came(client: aiohttp.ClientSession, service: str) -> None:
    for version in ("v1", "v2"):
        for objects in ([], [{"class": "body", "bbox": 3}, {"id": None}, {"class": 4}]):
            sent = document(version, TINY) | {"objects": objects}
            assert await post(client, f"/{service}/{version}/process/sample", sent) == sent


@pytest.mark.parametrize("service", ESTIMATING)
async def test_the_image_is_checked_where_there_is_nothing_to_do(client: aiohttp.ClientSession, service: str) -> None:
    body = b'{"$image": "Y", "objects": []}'
    refusal = {"detail": "Failed to decode base64 string"}
    assert await send(client, f"/{service}/v1/process/sample", body) == (400, refusal)


@pytest.mark.parametrize(
    "bbox",
    [
        [-1, -1, 2, 2],
        [0.4, 0.4, 0.401, 0.401],
        [0.4, 0.4, 0.4 + 1e-12, 0.9],
        [1 - 1e-12, 1 - 1e-12, 1, 1],
        [0, 0, 1, 5e-324],
    ],
)
@pytest.mark.parametrize("service", ESTIMATING)
async def test_a_box_of_any_size_is_worked_on(client: aiohttp.ClientSession, service: str, bbox: list[float]) -> None:
    for picture in (TINY, file_of("astronaut")):
        sent = document("v2", picture) | {"objects": [FACE | {"bbox": bbox}]}
        (face,) = (await post(client, f"/{service}/v2/process/sample", sent))["objects"]
        assert face["bbox"] == bbox


@pytest.mark.parametrize("service", ESTIMATING)
async def test_landmarks_may_be_anywhere(client: aiohttp.ClientSession, service: str) -> None:
    image, path = document("v1", file_of("astronaut")), f"/{service}/v1/process/sample"
    at_one_place, on_a_line = [9, 9, 0] * 21, [number for n in range(21) for number in (n, n, 0)]
    far_away = [1e6 * (-1) ** n for n in range(63)]
    turned = [number for n in range(21) for number in (-n, n * n, 0)]
    faces = [FACE | {"fitter": {"keypoints": points}} for points in (at_one_place, on_a_line, far_away, turned)]
    answer = await post(client, path, image | {"objects": faces})
    assert [face["fitter"] for face in answer["objects"]] == [face["fitter"] for face in faces]


@pytest.mark.parametrize("service", ESTIMATING)
async def test_faces_of_one_picture_do_not_mix(client: aiohttp.ClientSession, service: str) -> None:
    """Each of several faces gets what it gets alone, and the answers stand in the order of the request."""
    faces = [FACE | {"id": n, "bbox": [0.1 * n, 0.1, 0.5 + 0.1 * n, 0.9 - 0.1 * n]} for n in range(3)]
    image, path = document("v2", file_of("biden")), f"/{service}/v2/process/sample"
    together = (await post(client, path, image | {"objects": faces}))["objects"]
    alone = [(await post(client, path, image | {"objects": [face]}))["objects"][0] for face in faces]
    assert together == alone
    assert (await post(client, path, image | {"objects": faces[::-1]}))["objects"] == alone[::-1]


@pytest.mark.parametrize("service", ESTIMATING)
async def test_members_of_the_other_version_are_unknown(client: aiohttp.ClientSession, service: str) -> None:
    """Echoed and never read, however malformed."""
    for version, strange in (("v1", {"keypoints": 3, "pose": "x"}), ("v2", {"fitter": 3, "angles": "x"})):
        image, path = document(version, file_of("obama")), f"/{service}/{version}/process/sample"
        (plain,) = (await post(client, path, image | {"objects": [FACE]}))["objects"]
        (face,) = (await post(client, path, image | {"objects": [FACE | strange]}))["objects"]
        assert face == plain | strange


MATCHER = "/verify-matcher/v1/process/sample"


def pair(first: bytes, second: bytes) -> bytes:
    objects = [{"$template": base64.b64encode(blob).decode()} for blob in (first, second)]
    return json.dumps({"objects": objects}).encode()


async def test_the_matcher_names_what_is_wrong_with_a_template(client: aiohttp.ClientSession) -> None:
    answer = await post(client, "/face-detector-template-extractor/v1/process/sample", document("v1", file_of("obama")))
    good = base64.b64decode(answer["objects"][0]["$template"])
    assert (await send(client, MATCHER, pair(good, good)))[0] == 200
    forged = good[:-1] + bytes([good[-1] ^ 1])
    texts = set()
    for bad in (good[:-1], good + b"a", b"a" * len(good), forged):
        for body in (pair(bad, good), pair(good, bad)):
            status, refusal = await send(client, MATCHER, body)
            assert (status, refusal.keys()) == (400, {"detail"})
            assert isinstance(refusal["detail"], str)
            texts.add(refusal["detail"])
    assert len(texts) == 4
