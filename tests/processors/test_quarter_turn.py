"""Faces upside down and on their side: their answers are those of the same faces upright."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from models.session import Session
from models.store import ModelStore
from processors.age import Age
from processors.chain import Chain
from processors.emotion import Emotions
from processors.face_fitter import FaceFitter
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.quality import Quality
from processors.quarter_turn import LOWEST, SURE, QuarterTurn, QuarterTurns, Turn, nearest
from processors.registry import build_chain
from processors.template_extractor import Template
from processors.templates import DIMENSIONS
from processors.types import Confidence, FivePoints, Floats, Frame, Image, Landmarks, Object, Pose, Pyramid, Sample
from tests.processors.pictures import PORTRAITS, portrait, scaled, the_face

MODEL = "yunet_2023mar_dyn"
EVERYTHING = (
    *("face-detector", "face-fitter", "gender-estimator", "age-estimator", "mask-estimator", "emotion-estimator"),
    *("liveness-estimator", "template-extractor", "quality-assessment-estimator"),
)

every_portrait = pytest.mark.parametrize("name", PORTRAITS)


def turned(picture: Image, quarters: int) -> Image:
    """Clockwise."""
    return np.ascontiguousarray(np.rot90(picture, -quarters))


def turned_box(box_xyxy: Floats, size: tuple[int, int], quarters: int) -> Floats:
    """In a picture of this size (width, height) that is turned clockwise."""
    (x1, y1, x2, y2), (width, height) = box_xyxy, size
    for _ in range(quarters):
        x1, y1, x2, y2 = height - y2, x1, height - y1, x2
        width, height = height, width
    return np.array([x1, y1, x2, y2])


def off(a: float, b: float) -> float:
    """Degrees between two angles, the shorter way round."""
    return abs((a - b + 180) % 360 - 180)


def alike(a: Object, b: Object) -> float:
    """The cosine of two templates."""
    first, second = (np.frombuffer(obj[Template].blob[-DIMENSIONS:], np.int8).astype(float) for obj in (a, b))
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


@pytest.fixture(scope="module")
def chain(store: ModelStore) -> Chain:
    return build_chain(EVERYTHING, {}, store)


Faces = dict[str, Object]


@pytest.fixture(scope="module")
def upright(chain: Chain) -> Faces:
    return {name: the_face(chain, portrait(name)) for name in PORTRAITS}


@pytest.fixture(scope="module")
def upside_down(chain: Chain) -> Faces:
    return {name: the_face(chain, turned(portrait(name), 2)) for name in PORTRAITS}


@dataclass
class Counted:
    """A network that counts its runs."""

    session: Session
    runs: int = 0

    def run(self, inputs: Any) -> Any:
        self.runs += 1
        return self.session.run(inputs)


@dataclass
class CountedStore:
    store: ModelStore
    opened: list[Counted] = field(default_factory=list)

    def session(self, name: str) -> Counted:
        self.opened.append(Counted(self.store.session(name)))
        return self.opened[-1]

    @property
    def runs(self) -> int:
        return sum(session.runs for session in self.opened)


@pytest.fixture
def counted(store: ModelStore) -> CountedStore:
    return CountedStore(store)


@pytest.fixture
def turns(counted: CountedStore) -> QuarterTurns:
    return QuarterTurns(MODEL, counted)  # type: ignore[arg-type]


@every_portrait
def test_upside_down_the_answers_are_those_of_the_face_upright(upright: Faces, upside_down: Faces, name: str) -> None:
    before, after = upright[name], upside_down[name]
    assert off(after[Pose].roll, before[Pose].roll + 180) < 4
    assert abs(after[Pose].yaw - before[Pose].yaw) < 5
    assert abs(after[Pose].pitch - before[Pose].pitch) < 8
    assert after[Gender].is_male == before[Gender].is_male
    assert abs(after[Age].years - before[Age].years) < 5
    assert after[Mask].worn == before[Mask].worn
    assert np.argmax(after[Emotions].probabilities) == np.argmax(before[Emotions].probabilities)
    assert after[Liveness].probability == pytest.approx(before[Liveness].probability, abs=0.2)
    assert alike(after, before) > 0.95
    landmarks = (np.array(portrait(name).shape[1::-1]) - 1) - after[Landmarks].points_xy
    assert np.abs(landmarks - before[Landmarks].points_xy).max() < 0.06 * (before.box_xyxy[3] - before.box_xyxy[1])


@every_portrait
def test_upside_down_the_quality_says_so(upright: Faces, upside_down: Faces, name: str) -> None:
    before, after = upright[name][Quality], upside_down[name][Quality]
    assert abs(after.max_rotation_deviation) > 165
    assert not after.is_rotation_acceptable
    assert after.total_score < before.total_score - 0.2
    assert after.is_left_eye_opened
    assert after.is_right_eye_opened


@every_portrait
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_box_alone_is_enough(store: ModelStore, upright: Faces, name: str, quarters: int) -> None:
    """As a client sends it. The detector itself misses half of the faces that lie on their side."""
    picture = portrait(name)
    known = upright[name]
    box = turned_box(known.box_xyxy, (picture.shape[1], picture.shape[0]), quarters)
    sample = Sample(Frame.of(turned(picture, quarters)), [Object("face", box)])
    build_chain(["face-fitter", "gender-estimator", "age-estimator"], {}, store)([sample])
    (face,) = sample.objects
    assert face[QuarterTurn].quarters == quarters
    assert off(face[Pose].roll, known[Pose].roll - 90 * quarters) < 4
    assert face[Gender].is_male == known[Gender].is_male
    assert abs(face[Age].years - known[Age].years) < 5


@every_portrait
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_mask_and_liveness_need_no_fitter(store: ModelStore, upright: Faces, name: str, quarters: int) -> None:
    picture = portrait(name)
    known = upright[name]
    box = turned_box(known.box_xyxy, (picture.shape[1], picture.shape[0]), quarters)
    sample = Sample(Frame.of(turned(picture, quarters)), [Object("face", box)])
    build_chain(["mask-estimator", "liveness-estimator"], {}, store)([sample])
    (face,) = sample.objects
    assert face[Mask].probability == pytest.approx(known[Mask].probability, abs=0.02)
    assert face[Liveness].probability == pytest.approx(known[Liveness].probability, abs=0.02)


def test_a_face_of_which_the_detector_is_sure_costs_no_look(counted: CountedStore, turns: QuarterTurns) -> None:
    face = Object("face", np.array([210.0, 70.0, 400.0, 340.0]))
    face.put(Confidence(SURE))
    assert turns(Pyramid(portrait("obama")), face) == 0
    assert counted.runs == 0
    assert FivePoints not in face


def test_a_clear_face_without_a_confidence_costs_one(counted: CountedStore, turns: QuarterTurns) -> None:
    face = Object("face", np.array([210.0, 70.0, 400.0, 340.0]))
    assert turns(Pyramid(portrait("obama")), face) == 0
    assert counted.runs == 1
    assert FivePoints not in face


def test_it_is_found_out_once_a_face(counted: CountedStore, turns: QuarterTurns) -> None:
    picture = turned(portrait("obama"), 2)
    height, width = picture.shape[:2]
    face = Object("face", turned_box(np.array([210.0, 70.0, 400.0, 340.0]), (width, height), 2))
    assert turns(Pyramid(picture), face) == 2
    runs = counted.runs
    assert 4 <= runs <= 8
    assert turns(Pyramid(picture), face) == 2
    assert counted.runs == runs
    eyes, mouth = face[FivePoints].points_xy[:2], face[FivePoints].points_xy[3:]
    assert (eyes[:, 1] > mouth[:, 1].max()).all()
    assert eyes[0, 0] > eyes[1, 0]


def test_the_landmarks_of_a_request_are_believed(
    upside_down: Faces, counted: CountedStore, turns: QuarterTurns
) -> None:
    sent = Object("face", upside_down["biden"].box_xyxy)
    sent.put(upside_down["biden"][Landmarks])
    assert turns(Pyramid(turned(portrait("biden"), 2)), sent) == 2
    assert counted.runs == 0


def test_what_is_too_small_to_tell_is_upright(counted: CountedStore, turns: QuarterTurns) -> None:
    picture = turned(scaled(portrait("obama"), 0.08), 2)
    height, width = picture.shape[:2]
    face = Object("face", turned_box(np.array([210.0, 70.0, 400.0, 340.0]) * 0.08, (width, height), 2))
    assert face.box_xyxy[3] - face.box_xyxy[1] < LOWEST
    assert turns(Pyramid(picture), face) == 0
    assert counted.runs == 0


def test_nothing_is_looked_at_without_a_model(store: ModelStore) -> None:
    picture = turned(portrait("obama"), 2)
    height, width = picture.shape[:2]
    face = Object("face", turned_box(np.array([210.0, 70.0, 400.0, 340.0]), (width, height), 2))
    assert QuarterTurns(None, store)(Pyramid(picture), face) == 0


def test_where_no_face_is_it_is_upright(turns: QuarterTurns) -> None:
    face = Object("face", np.array([0.0, 0.0, 60.0, 60.0]))
    assert turns(Pyramid(np.full((100, 100, 3), 128, np.uint8)), face) == 0
    assert FivePoints not in face


@pytest.mark.parametrize(
    ("degrees", "quarters"), [(0, 0), (44, 0), (-44, 0), (46, 1), (90, 1), (134, 1), (136, 2), (180, 2), (-90, 3)]
)
def test_points_tell_the_nearest_quarter(degrees: float, quarters: int) -> None:
    upright = np.array([(-1.0, -1.0), (1.0, -1.0), (0.0, 0.0), (-1.0, 1.0), (1.0, 1.0)]) * 20
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    assert nearest(upright @ np.array([(cos, sin), (-sin, cos)]) + 100) == quarters
    assert nearest(np.full((5, 2), 7.0)) == 0


@every_portrait
def test_the_mesh_has_the_last_word(
    store: ModelStore, upright: Faces, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = upright[name]
    seen = Object("face", face.box_xyxy)
    seen.put(points := face[FivePoints])
    wrong = Turn(2, points.points_xy[[4, 3, 2, 1, 0]])
    monkeypatch.setattr(QuarterTurns, "find", lambda *_: wrong)
    sample = Sample(Frame.of(portrait(name)), [seen])
    FaceFitter(FaceFitter.Settings(), store)([sample])
    assert seen[QuarterTurn].quarters == 0
    assert seen[FivePoints] is points
    assert off(seen[Pose].roll, face[Pose].roll) < 3
