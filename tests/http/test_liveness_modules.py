"""The modules of face-detector-liveness-estimator: which faces each answers for, and what it refuses."""

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from daemon.http.settings import LivenessModule
from processors.liveness import Liveness
from processors.quality import Quality, WorstDefect
from processors.types import Confidence, Label, Object, Processor, Sample
from tests.http.calls import document, post, send
from tests.http.conftest import Served
from tests.http.test_contract import example
from tests.photos import encoded, file_of, opened
from tests.test_pictures import png_header

SERVICE = "face-detector-liveness-estimator"
PATH = f"/{SERVICE}/v1/process/sample"
PATH_V2 = f"/{SERVICE}/v2/process/sample"
ANTI_SPOOFING: list[LivenessModule] = ["liveness-anti-spoofing", "quality-liveness-anti-spoofing"]
PHOTO = document("v1", file_of("obama"))
BODY = json.dumps(PHOTO).encode()


class Found:
    """A chain by which faces of these sides are found, all of these qualities and more or less real by their sides."""

    applies_to: Label = "face"
    needs: frozenset[type] = frozenset()
    makes: frozenset[type] = frozenset()

    def __init__(self, sides: Sequence[float], total_score: float = 1.0, worst_defect: float = 1.0) -> None:
        zeros: Any = {field.name: 0 for field in fields(Quality)}
        self._quality = replace(Quality(**zeros), total_score=total_score)
        self._worst_defect = WorstDefect(worst_defect)
        self._sides = sides

    def of(self, names: Sequence[str]) -> Processor:
        return self.detect if names == ["face-detector"] else self  # type: ignore[return-value]

    def detect(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            sample.objects = [Object("face", np.array([0.0, 0.0, side, side])) for side in self._sides]
            for obj in sample.objects:
                obj.put(Confidence(0.75))

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            for obj in sample.objects:
                obj.put(self._quality)
                obj.put(self._worst_defect)
                obj.put(Liveness(float(obj.box_xyxy[2]) / 100, True))


@pytest.mark.parametrize("module", ANTI_SPOOFING)
async def test_a_picture_over_ten_megapixels_is_refused_unread(serve: Served, module: LivenessModule) -> None:
    detail = {"detail": "Image resolution is too large: 12.2 megapixels, the limit is 10"}
    async with serve(liveness_module=module) as (_, client):
        large = json.dumps(document("v1", png_header(4032, 3024))).encode()
        assert await send(client, PATH, large) == (400, detail)
        full = json.dumps(document("v1", encoded(Image.new("RGB", (4000, 2500)), "PNG"))).encode()
        assert await send(client, PATH, full) == (200, json.loads(full) | {"objects": []})


async def test_the_limit_is_of_those_modules_alone(serve: Served) -> None:
    async with serve() as (_, client):
        full = json.dumps(document("v1", encoded(Image.new("RGB", (4032, 3024)), "PNG"))).encode()
        assert await send(client, PATH, full) == (200, json.loads(full) | {"objects": []})


@pytest.mark.parametrize("sides", [(10, 30, 20), (30, 10, 20), (20, 10, 30)])
async def test_liveness_anti_spoofing_answers_for_the_largest_face(serve: Served, sides: tuple[int, ...]) -> None:
    async with serve(chain_of=Found(sides).of, liveness_module="liveness-anti-spoofing") as (_, client):
        (face,) = (await post(client, PATH, PHOTO))["objects"]
        assert face == {"id": 0, "class": "face", "liveness": {"confidence": 0.3, "value": "REAL"}}


async def test_the_module_of_the_services_name_answers_for_all(serve: Served) -> None:
    async with serve(chain_of=Found([10, 30]).of) as (_, client):
        faces = (await post(client, PATH, PHOTO))["objects"]
        assert [(face["id"], face["liveness"]["confidence"]) for face in faces] == [(0, 0.1), (1, 0.3)]
        assert all(face.keys() == {"id", "class", "confidence", "bbox", "liveness"} for face in faces)


@pytest.mark.parametrize(
    ("total_score", "threshold", "refused"),
    [(0.22, 30, True), (0.2949, 30, True), (0.296, 30, False), (0.30, 30, False), (0.9, 91, True), (0.0, 0, False)],
)
async def test_quality_is_compared_as_a_whole_number(
    serve: Served, total_score: float, threshold: int, refused: bool
) -> None:
    module: LivenessModule = "quality-liveness-anti-spoofing"
    settings: Any = {"liveness_module": module, "liveness_quality": threshold}
    async with serve(chain_of=Found([30], total_score).of, **settings) as (_, client):
        status, answer = await send(client, PATH, BODY)
        text = f"Low image quality. Calculated score value ({round(100 * total_score)}) is less than the threshold"
        assert status == (400 if refused else 200)
        if refused:
            assert answer == {"detail": f"{text} ({threshold})"}
        if total_score == 0.22:
            assert answer == example(f"{SERVICE}/{module}", "error-1")


@pytest.mark.parametrize(("floor", "refused"), [(0, False), (12, False), (13, True)])
async def test_a_grave_defect_is_refused_where_the_floor_is_above_it(serve: Served, floor: int, refused: bool) -> None:
    settings: Any = {"liveness_module": "quality-liveness-anti-spoofing", "liveness_worst_defect": floor}
    async with serve(chain_of=Found([30], 0.8, worst_defect=0.12).of, **settings) as (_, client):
        status, answer = await send(client, PATH, BODY)
        assert status == (400 if refused else 200)
        if refused:
            text = "Low image quality. Calculated score value of the worst defect (12) is less than the threshold (13)"
            assert answer == {"detail": text}


async def test_a_flat_photo_of_a_fair_total_is_refused_by_the_floor_alone(serve: Served) -> None:
    body = json.dumps(document("v1", encoded(ImageEnhance.Contrast(opened("obama")).enhance(0.15), "PNG"))).encode()
    module: LivenessModule = "quality-liveness-anti-spoofing"
    for floor, status in ((0, 200), (40, 400)):
        settings: Any = {"liveness_worst_defect": floor}
        async with serve(liveness_module=module, **settings) as (_, client):
            assert (await send(client, PATH, body))[0] == status
            assert (await send(client, PATH, BODY))[0] == 200


async def test_a_bad_photo_is_refused_for_its_quality(serve: Served) -> None:
    burnt_out = ImageEnhance.Brightness(opened("obama").filter(ImageFilter.GaussianBlur(4))).enhance(2.8)
    body = json.dumps(document("v1", encoded(burnt_out, "PNG"))).encode()
    async with serve(liveness_module="quality-liveness-anti-spoofing") as (_, client):
        status, answer = await send(client, PATH, body)
        assert status == 400
        assert answer["detail"].startswith("Low image quality. Calculated score value (")
        assert (await send(client, PATH, BODY))[0] == 200


@pytest.mark.parametrize("module", [*ANTI_SPOOFING, SERVICE])
async def test_no_face_is_an_empty_list(serve: Served, module: LivenessModule) -> None:
    blank = document("v1", encoded(Image.new("RGB", (300, 200)), "PNG"))
    async with serve(liveness_module=module) as (_, client):
        assert await post(client, PATH, blank) == blank | {"objects": []}


@pytest.mark.parametrize("module", [*ANTI_SPOOFING, SERVICE])
async def test_v2_prints_the_case_of_the_image_member(serve: Served, module: LivenessModule) -> None:
    async with serve(liveness_module=module, chain_of=Found([30]).of) as (_, client):
        for sent, value in ((PHOTO, "REAL"), (document("v2", file_of("obama")), "real")):
            (face,) = (await post(client, PATH_V2, sent))["objects"]
            assert face["liveness"]["value"] == value
