"""What every service says of faces that can hardly be seen: the table in docs/http.md."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest

from models.store import ModelStore
from processors.boxes import clipped
from processors.registry import build_chain
from processors.types import FaceMesh, Floats, Frame, Image, Sample
from tests.http.calls import document, post
from tests.http.test_contract import form
from tests.http.test_estimators import ESTIMATING
from tests.processors.pictures import covered, far_away, portrait, turned

PERSON = "biden"
TINY = 16  # pixels high
DETECTING = (
    "face-detector-face-fitter",
    "face-detector-template-extractor",
    "face-detector-liveness-estimator",
)


@dataclass(frozen=True)
class Seen:
    """A picture of a face, and its box there."""

    picture: Image
    box_xyxy: Floats

    @cached_property
    def file(self) -> bytes:
        return cv2.imencode(".png", self.picture)[1].tobytes()

    @property
    def bbox(self) -> list[float]:
        height, width = self.picture.shape[:2]
        inside: list[float] = (clipped(self.box_xyxy, width, height) / (width, height, width, height)).tolist()
        return inside


def clear(picture: Image, box: Floats, mesh_xyz: Floats) -> Seen:
    return Seen(picture, box)


def profile(picture: Image, box: Floats, mesh_xyz: Floats) -> Seen:
    return Seen(turned(picture, mesh_xyz, -75, 0), box)


def tiny(picture: Image, box: Floats, mesh_xyz: Floats) -> Seen:
    scale = TINY / float(box[3] - box[1])
    return Seen(far_away(picture, scale), box * scale)


def masked(picture: Image, box: Floats, mesh_xyz: Floats) -> Seen:
    return Seen(covered(picture, box, 0.55, 1.1), box)


def hidden(picture: Image, box: Floats, mesh_xyz: Floats) -> Seen:
    return Seen(covered(picture, box, 0.3, 1.1), box)


def no_face(picture: Image, box: Floats, mesh_xyz: Floats) -> Seen:
    noise = np.random.default_rng(1).normal(150, 4, picture.shape)
    return Seen(np.clip(noise, 0, 255).astype(np.uint8), box)


FOUND = (profile, tiny, masked)
NOT_FOUND = (hidden, no_face)
Case = Callable[[Image, Floats, Floats], Seen]
every_case = pytest.mark.parametrize("case", [*FOUND, *NOT_FOUND])
every_version = pytest.mark.parametrize("version", ["v1", "v2"])


@pytest.fixture(scope="module")
def views(store: ModelStore) -> dict[Case, Seen]:
    """One portrait in every case: drawn once, as turning a face costs more than a request."""
    sample = Sample(Frame.of(portrait(PERSON)))
    build_chain(["face-detector", "face-fitter"], {}, store)([sample])
    (face,) = sample.objects
    plain = portrait(PERSON), face.box_xyxy, face[FaceMesh].points_xyz
    return {case: case(*plain) for case in (clear, *FOUND, *NOT_FOUND)}


async def estimated(client: aiohttp.ClientSession, service: str, version: str, seen: Seen) -> Any:
    sent = document(version, seen.file) | {"objects": [{"id": 0, "class": "face", "bbox": seen.bbox}]}
    (face,) = (await post(client, f"/{service}/{version}/process/sample", sent))["objects"]
    return face


@every_version
@pytest.mark.parametrize("service", ESTIMATING)
async def test_every_member_is_answered_as_for_a_clear_face(
    client: aiohttp.ClientSession, views: dict[Case, Seen], service: str, version: str
) -> None:
    wanted = form(await estimated(client, service, version, views[clear]))
    for case in (*FOUND, *NOT_FOUND):
        assert form(await estimated(client, service, version, views[case])) == wanted, case.__name__


@every_version
@pytest.mark.parametrize("service", DETECTING)
async def test_what_is_found_is_answered_as_a_clear_face_is(
    client: aiohttp.ClientSession, views: dict[Case, Seen], service: str, version: str
) -> None:
    path = f"/{service}/{version}/process/sample"
    (wanted,) = (await post(client, path, document(version, views[clear].file)))["objects"]
    for case in FOUND:
        (face,) = (await post(client, path, document(version, views[case].file)))["objects"]
        assert form(face) == form(wanted), case.__name__
    for case in NOT_FOUND:
        assert (await post(client, path, document(version, views[case].file)))["objects"] == [], case.__name__


async def quality(client: aiohttp.ClientSession, seen: Seen) -> Any:
    return (await estimated(client, "quality-assessment-estimator", "v2", seen))["quality"]


SIGNS: dict[Case, Callable[[Any], bool]] = {
    profile: lambda quality: not quality["is_rotation_acceptable"],
    tiny: lambda quality: not quality["is_eyes_distance_acceptable"],
    masked: lambda quality: not quality["not_masked"],
    hidden: lambda quality: quality["total_score"] < 0.3,
    no_face: lambda quality: quality["total_score"] < 0.3,
}


@every_case
async def test_quality_shows_what_is_wrong(client: aiohttp.ClientSession, views: dict[Case, Seen], case: Case) -> None:
    good, bad = await quality(client, views[clear]), await quality(client, views[case])
    assert (SIGNS[case](good), SIGNS[case](bad)) == (False, True)
    if case is not masked:  # a mask is no part of the total
        assert bad["total_score"] < good["total_score"]


@pytest.mark.parametrize("case", [tiny, hidden, no_face])
async def test_a_template_of_what_cannot_be_seen_is_taken_for_nobody_in_sight(
    client: aiohttp.ClientSession, views: dict[Case, Seen], case: Case
) -> None:
    other = portrait("obama")
    height, width = other.shape[:2]
    seen = [views[case], Seen(other, np.array([0.25 * width, 0.1 * height, 0.75 * width, 0.7 * height]))]
    objects = [await estimated(client, "template-extractor", "v1", each) for each in seen]
    answer = await post(client, "/verify-matcher/v1/process/sample", {"objects": objects})
    assert answer["verification"]["score"] < 0.5


async def test_a_profile_s_pose_is_better_with_the_fitter_s_landmarks_than_by_a_box(
    client: aiohttp.ClientSession, views: dict[Case, Seen]
) -> None:
    """So that a client that chains services gets the better answer: quality by landmarks sees more of the turn."""
    seen = views[profile]
    sent = await post(client, "/face-detector-face-fitter/v2/process/sample", document("v2", seen.file))
    (face,) = (await post(client, "/quality-assessment-estimator/v2/process/sample", sent))["objects"]
    by_box = await quality(client, seen)
    assert face["pose"]["yaw"] < -30
    assert abs(face["quality"]["max_rotation_deviation"]) > abs(by_box["max_rotation_deviation"])
