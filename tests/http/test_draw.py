"""Drawings of documents, and the lists of services and processors."""

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from daemon.http.services.catalogue import services
from daemon.http.services.listing import Listing
from daemon.http.streams.processors import add_processors
from daemon.pictures.draw import BOXES
from processors.registry import PROCESSORS
from tests.http.conftest import Served
from tests.http.test_connections import gate

PORTRAIT = Path(__file__).parents[1] / "data" / "pictures" / "obama.jpg"
BOX = [0.25, 0.25, 0.75, 0.75]


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_what_a_document_says_is_drawn_on_its_picture(serve: Served, version: str) -> None:
    blob = base64.b64encode(PORTRAIT.read_bytes()).decode()
    image = {"$image": blob} if version == "v1" else {"_image": {"blob": blob}}
    async with serve(chain_of=lambda _: gate()) as (_, client):
        pictures = []
        for objects in ([], [{"class": "face", "bbox": BOX, "age": "50"}]):
            async with client.post(f"/draw/{version}", json={**image, "objects": objects}) as response:
                assert (response.status, response.content_type) == (200, "image/jpeg")
                pictures.append(cv2.imdecode(np.frombuffer(await response.read(), np.uint8), cv2.IMREAD_COLOR))
        async with client.post(f"/draw/{version}", json={"objects": []}) as refused:
            assert refused.status == 422
    plain, drawn = (picture.astype(int) for picture in pictures if picture is not None)
    changed = np.argwhere(np.abs(drawn - plain).max(axis=2) > 60)
    height, width = plain.shape[:2]
    top, left = changed.min(axis=0)
    assert (top / height, left / width) == pytest.approx((0.25, 0.25), abs=0.01)
    assert changed[:, 1].max() / width == pytest.approx(0.75, abs=0.01)


async def test_what_is_drawn_is_as_large_as_is_legible_on_the_display(serve: Served) -> None:
    document = {"_image": {"blob": base64.b64encode(PORTRAIT.read_bytes()).decode()}, "objects": [{"bbox": BOX}]}
    async with serve(chain_of=lambda _: gate()) as (_, client):

        async def green(query: str) -> int:
            """Pixels of the box."""
            async with client.post(f"/draw/v2{query}", json=document) as response:
                assert response.status == 200
                picture = cv2.imdecode(np.frombuffer(await response.read(), np.uint8), cv2.IMREAD_COLOR)
                assert picture is not None
                return int((np.abs(picture.astype(int) - BOXES["face"]).max(axis=2) < 40).sum())

        assert await green("?display_width=100") > 2 * await green("")
        async with client.post("/draw/v2?display_width=wide", json=document) as refused:
            assert (refused.status, (await refused.json())["detail"][0]["loc"]) == (422, ["query", "display_width"])


async def test_processors_are_listed_with_what_they_need(serve: Served) -> None:
    async with (
        serve(chain_of=lambda _: gate(), also=lambda server: add_processors(server.routes)) as (_, client),
        client.get("/processors") as response,
    ):
        needs = {row["name"]: row["needs"] for row in (await response.json())["processors"]}
    assert list(needs) == list(PROCESSORS)
    assert needs["face-detector"] == []
    assert needs["age-estimator"] == ["face-detector", "face-fitter"]


async def test_services_are_listed_with_what_they_take(serve: Served) -> None:
    all_of_them, thresholds = services("face-detector-liveness-estimator"), {"sharpness": 0.5}
    listing = Listing(all_of_them, thresholds)
    async with (
        serve(chain_of=lambda _: gate(), also=lambda server: listing.add_to(server.routes)) as (_, client),
        client.get("/services") as response,
    ):
        answer = await response.json()
    assert [row["name"] for row in answer["services"]] == list(all_of_them)
    takes = {row["name"]: row["takes"] for row in answer["services"]}
    assert (takes["body-detector"], takes["age-estimator"], takes["verify-matcher"]) == (
        "picture",
        "faces",
        "templates",
    )
    assert answer["quality"] == thresholds
