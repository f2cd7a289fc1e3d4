"""Which member reacts to which defect: each must to its own, and to no other but those that the table allows."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import pytest

from models.store import ModelStore
from processors.quality import Quality
from processors.quality.picture import People
from processors.registry import build_chain
from processors.types import Frame, Image, Object, Sample
from tests.processors.pictures import portrait, rolled
from tests.processors.quality import pictures as worse

NAMES = ("biden", "obama")
CHAIN = ["face-detector", "face-fitter", "mask-estimator", "emotion-estimator", "quality-assessment-estimator"]

MEMBERS: dict[str, tuple[str, float]] = {
    "is_sharp": ("sharpness_score", 0.35),
    "is_evenly_illuminated": ("illumination_score", 0.25),
    "no_flare": ("", 0),
    "is_left_eye_opened": ("left_eye_openness_score", 0.3),
    "is_right_eye_opened": ("right_eye_openness_score", 0.3),
    "is_rotation_acceptable": ("max_rotation_deviation", 5),
    "not_masked": ("not_masked_score", 0.2),
    "is_neutral_emotion": ("neutral_emotion_score", 0.3),
    "is_eyes_distance_acceptable": ("eyes_distance", 8),
    "is_margins_acceptable": ("margin_outer_deviation", 3),
    "is_not_noisy": ("noise_score", 0.15),
    "has_watermark": ("", 0),
    "is_dynamic_range_acceptable": ("", 0),
    "is_background_uniform": ("background_uniformity_score", 0.15),
    "total_score": ("total_score", 0.1),
}
"""Each with its score or measure, and by how much this may move without being called a reaction."""

Spoil = Callable[[Image, Sample], Image]


def of_face(spoil: worse.Worse, amount: float) -> Spoil:
    return lambda picture, sample: spoil(picture, sample.objects[0], amount)


def far(picture: Image, sample: Sample) -> Image:
    """On a grey picture of the same size, at three tenths of it."""
    canvas = np.full_like(picture, 127)
    small = cv2.resize(picture, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    canvas[: small.shape[0], : small.shape[1]] = small
    return canvas


def tight(picture: Image, sample: Sample) -> Image:
    """Cropped to the face's box."""
    x1, y1, x2, y2 = sample.objects[0].box_xyxy.round().astype(int)
    return np.ascontiguousarray(picture[y1:y2, x1:x2])


TOTAL, BACKGROUND = "total_score", "is_background_uniform"
EYES = {"is_left_eye_opened", "is_right_eye_opened"}
# What each defect is, which members must react to it, and which others may.
DEFECTS: dict[str, tuple[Spoil, set[str], set[str]]] = {
    "blur": (of_face(worse.blurred, 4), {"is_sharp", TOTAL}, EYES | {BACKGROUND}),
    "noise": (of_face(worse.noisy, 15), {"is_not_noisy"}, {TOTAL, BACKGROUND, "is_sharp"}),
    "dark": (of_face(worse.dimmed, 0.6), {"is_dynamic_range_acceptable", TOTAL}, {BACKGROUND}),
    "bright": (of_face(worse.brightened, 0.6), set(), {"no_flare", TOTAL, BACKGROUND}),
    "flare": (of_face(worse.burnt, 0.2), {"no_flare"}, {TOTAL}),
    "veil": (of_face(worse.veiled, 0.5), {"no_flare", "is_dynamic_range_acceptable"}, {TOTAL, BACKGROUND}),
    "low contrast": (of_face(worse.flattened, 0.6), {"is_dynamic_range_acceptable"}, {TOTAL, BACKGROUND}),
    "side light": (of_face(worse.shaded, 0.9), {"is_evenly_illuminated"}, {TOTAL, BACKGROUND}),
    "JPEG of quality 10": (of_face(worse.compressed, 10), set(), {"is_sharp"}),
    "rotation": (lambda picture, _: rolled(picture, -22)[0], {"is_rotation_acceptable"}, {TOTAL, BACKGROUND}),
    "white mask": (of_face(worse.masked, 235), {"not_masked"}, {"is_neutral_emotion", "is_evenly_illuminated", TOTAL}),
    "watermark": (lambda picture, _: worse.watermarked(picture), {"has_watermark"}, {BACKGROUND}),
    "busy background": (lambda picture, sample: worse.checkered(picture, sample[People], 60), {BACKGROUND}, set()),
    "small": (far, {"is_eyes_distance_acceptable"}, {TOTAL, BACKGROUND, "is_sharp"}),
    "tight": (tight, {"is_margins_acceptable"}, {BACKGROUND}),
}


@pytest.fixture(scope="module")
def look(store: ModelStore) -> Callable[[Image], Sample]:
    chain = build_chain(CHAIN, {}, store)

    def looked(picture: Image) -> Sample:
        sample = Sample(Frame.of(picture))
        chain([sample])
        sample.objects.sort(key=_area, reverse=True)
        return sample

    return looked


def _area(face: Object) -> float:
    return float(np.prod(face.box_xyxy[2:] - face.box_xyxy[:2]))


@pytest.fixture(scope="module")
def clean(look: Callable[[Image], Sample]) -> Callable[[str], Sample]:
    return cache(lambda name: look(portrait(name)))


def reactions(before: Quality, after: Quality) -> set[str]:
    return {member for member in MEMBERS if _reacts(member, before, after)}


def _reacts(member: str, before: Quality, after: Quality) -> bool:
    measure, tolerance = MEMBERS[member]
    flips = member != measure and getattr(before, member) is not getattr(after, member)
    return flips or (measure != "" and abs(getattr(before, measure) - getattr(after, measure)) > tolerance)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("defect", DEFECTS)
def test_members_react_to_their_own_defects(
    look: Callable[[Image], Sample], clean: Callable[[str], Sample], name: str, defect: str
) -> None:
    spoil, must, may = DEFECTS[defect]
    before = clean(name)
    after = look(spoil(portrait(name), before))
    seen = reactions(before.objects[0][Quality], after.objects[0][Quality])
    assert must <= seen, f"no reaction of {must - seen}"
    assert seen <= must | may, f"{seen - must - may} should not react: {after.objects[0][Quality]}"
