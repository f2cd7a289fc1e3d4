"""face-detector-face-fitter on real portraits."""

import base64
from typing import Any

import aiohttp
import numpy as np
import pytest
from PIL import Image

from tests.http.calls import SERVICE, document, post, upload
from tests.photos import encoded, file_of, opened, oriented, side_by_side


@pytest.mark.parametrize(("prefix", "version"), [("/v1", "v1"), ("/v2", "v2"), ("", "v1")])
async def test_an_upload_is_answered_like_the_sample_that_holds_it(
    client: aiohttp.ClientSession, prefix: str, version: str
) -> None:
    data = file_of("biden")
    uploaded = await upload(client, f"/{SERVICE}{prefix}/process/image", data)
    sent = await post(client, f"/{SERVICE}{prefix}/process/sample", document(version, data))
    assert uploaded == sent
    again = await post(client, f"/{SERVICE}{prefix}/process/sample", uploaded)
    assert again == uploaded  # its faces are replaced by the same


@pytest.mark.parametrize("name", ["obama", "biden", "astronaut"])
async def test_both_versions_describe_the_same_geometry(client: aiohttp.ClientSession, name: str) -> None:
    data = file_of(name)
    size = np.array(opened(name).size)
    (first,) = (await post(client, f"/{SERVICE}/v1/process/sample", document("v1", data)))["objects"]
    (second,) = (await post(client, f"/{SERVICE}/v2/process/sample", document("v2", data)))["objects"]
    points = np.array(first["fitter"]["keypoints"]).reshape(21, 3)[:, :2]
    keypoints = second["keypoints"]
    relative = np.array([keypoints[point]["proj"] for point in keypoints if point != "fitter_type"])
    assert points == pytest.approx(relative * size)
    assert first["fitter"]["left_eye"] == pytest.approx(keypoints["left_eye"]["proj"] * size)
    assert first["fitter"]["right_eye"] == pytest.approx(keypoints["right_eye"]["proj"] * size)
    assert first["angles"] == second["pose"]
    assert (first["bbox"], first["confidence"]) == (second["bbox"], second["confidence"])
    # They are a face's: within the box, eyes above the mouth, left ones on the left.
    low, high = np.array(first["bbox"][:2]), np.array(first["bbox"][2:])
    inside = (relative > low - 0.1) & (relative < high + 0.1)
    assert inside.all()
    assert keypoints["left_eye"]["proj"][0] < keypoints["right_eye"]["proj"][0]
    assert keypoints["left_eye"]["proj"][1] < keypoints["mouth"]["proj"][1] < keypoints["chin"]["proj"][1]


async def test_ids_count_faces_by_descending_confidence(client: aiohttp.ClientSession) -> None:
    crowd = encoded(side_by_side("obama", "biden", "astronaut"), "JPEG", quality=95)
    faces = (await post(client, f"/{SERVICE}/v2/process/sample", document("v2", crowd)))["objects"]
    assert [face["id"] for face in faces] == [0, 1, 2]
    scores = [face["confidence"] for face in faces]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3


async def test_objects_of_other_classes_and_unknown_members_survive(client: aiohttp.ClientSession) -> None:
    body = {"id": 4, "class": "body", "mine": {"deep": [1, 1.0, None, "é"]}}
    face = {"id": 9, "class": "face", "mine": 1}
    request = document("v2", file_of("obama")) | {"objects": [face, body], "mine": 1}
    request["_image"]["mine"] = [2]
    answer = await post(client, f"/{SERVICE}/v2/process/sample", request)
    assert answer["_image"] == request["_image"]
    assert answer.keys() == {"_image", "objects"}
    kept, found = answer["objects"]
    assert (kept, found["id"]) == (body, 5)
    assert "mine" not in found


@pytest.mark.parametrize(
    ("file_format", "options"), [("PNG", {}), ("JPEG", {"quality": 97}), ("WEBP", {"quality": 97}), ("BMP", {})]
)
async def test_boxes_are_in_the_displayed_orientation(
    client: aiohttp.ClientSession, file_format: str, options: dict[str, Any]
) -> None:
    upright = opened("obama")
    (expected,) = (await upload(client, f"/{SERVICE}/v2/process/image", encoded(upright, "PNG")))["objects"]
    if file_format == "BMP":  # has no EXIF
        stored = encoded(upright, "BMP")
    else:
        turned = upright.transpose(Image.Transpose.ROTATE_90)  # 6: shown turned back
        stored = encoded(turned, file_format, exif=oriented(6), **options)
    (found,) = (await upload(client, f"/{SERVICE}/v2/process/image", stored))["objects"]
    assert found["bbox"] == pytest.approx(expected["bbox"], abs=0.01)
    assert found["pose"] == pytest.approx(expected["pose"], abs=3)


async def test_an_array_is_answered_like_the_picture(client: aiohttp.ClientSession) -> None:
    picture = opened("obama")
    blob = base64.b64encode(picture.tobytes()).decode()
    array = {"blob": blob, "format": "NDARRAY", "dtype": "uint8", "shape": [picture.height, picture.width, 3]}
    answer = await post(client, f"/{SERVICE}/v2/process/sample", {"_image": array})
    sent = await post(client, f"/{SERVICE}/v2/process/sample", document("v2", file_of("obama")))
    assert answer == {"_image": array, "objects": sent["objects"]}


async def test_v2_takes_the_image_of_v1_and_answers_in_v2(client: aiohttp.ClientSession) -> None:
    request = document("v1", file_of("obama"))
    answer = await post(client, f"/{SERVICE}/v2/process/sample", request)
    assert answer["$image"] == request["$image"]
    assert answer["objects"][0].keys() == {"id", "class", "confidence", "bbox", "keypoints", "pose"}
