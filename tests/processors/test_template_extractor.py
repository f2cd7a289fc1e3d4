from itertools import combinations, product
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.store import ModelStore
from processors.chain import Chain, Missing
from processors.face_fitter import FaceFitter
from processors.matcher import Matcher
from processors.registry import build_chain
from processors.template_extractor import CROP, FIVE_PLACES, Template, TemplateExtractor, aligned
from processors.templates import NOBODY, model_id, similarity, unpack
from processors.types import (
    FIVE_LANDMARKS,
    LANDMARK_NAMES,
    FaceMesh,
    Floats,
    Frame,
    Image,
    Landmarks,
    MissingResult,
    Object,
    Pyramid,
    Sample,
)
from tests.processors.pictures import PORTRAITS, covered, far_away, mirrored, moved, portrait, rolled, scaled, turned

PHOTOS = Path(__file__).parents[1] / "data" / "pictures"


def photo(name: str) -> Image:
    picture = cv2.imread(str(PHOTOS / f"{name}.jpg"))
    assert picture is not None, name
    return picture  # type: ignore[return-value]


@pytest.fixture(scope="module")
def chain(store: ModelStore) -> Chain:
    return build_chain(["face-detector", "face-fitter", "template-extractor"], {}, store)


@pytest.fixture(scope="module")
def extractor(store: ModelStore) -> TemplateExtractor:
    return TemplateExtractor(TemplateExtractor.Settings(), store)


def the_face(chain: Chain, picture: Image) -> Object:
    sample = Sample(Frame.of(picture))
    chain([sample])
    (face,) = sample.objects
    return face


def cosine(extractor: TemplateExtractor, a: Object, b: Object) -> float:
    return similarity(*(unpack(face[Template].blob, extractor.model) for face in (a, b)))


PICTURES: dict[str, Image] = {name: portrait(name) for name in PORTRAITS} | {
    f"{name} (photo)": photo(name) for name in ("obama", "obama2", "biden")
}
every_picture = pytest.mark.parametrize("name", PICTURES)


@pytest.fixture(scope="module")
def faces(chain: Chain) -> dict[str, Object]:
    return {name: the_face(chain, picture) for name, picture in PICTURES.items()}


def person(name: str) -> str:
    return name.removesuffix(" (photo)").rstrip("2")


def test_one_person_scores_above_point_nine_and_two_below_a_half(store: ModelStore, faces: dict[str, Object]) -> None:
    matcher = Matcher(store)
    for a, b in combinations(faces, 2):
        verification = matcher.compare(faces[a][Template].blob, faces[b][Template].blob)
        if person(a) == person(b):
            assert verification.score >= 0.9, (a, b)
            assert verification.fa_r <= 1e-4
        else:
            assert verification.score < 0.5, (a, b)
            assert verification.fa_r > 1e-3


class TestBothRoutes:
    """face-detector-template-extractor against fitter -> template-extractor by a client."""

    @every_picture
    def test_with_the_landmarks_that_the_fitter_answered(
        self, extractor: TemplateExtractor, faces: dict[str, Object], name: str
    ) -> None:
        sent = Object("face", faces[name].box_xyxy)
        sent.put(Landmarks(faces[name][Landmarks].points_xy.copy()))
        extractor([Sample(Frame.of(PICTURES[name]), [sent])])
        assert sent[Template] == faces[name][Template]

    @every_picture
    @pytest.mark.parametrize("with_landmarks", [False, True])
    def test_with_landmarks_fitted_anew_to_a_clipped_box(
        self, store: ModelStore, extractor: TemplateExtractor, faces: dict[str, Object], name: str, with_landmarks: bool
    ) -> None:
        height, width = PICTURES[name].shape[:2]
        sent = Object("face", np.clip(faces[name].box_xyxy, 0, (width, height, width, height)))
        if with_landmarks:
            sent.put(faces[name][Landmarks])
        Chain([FaceFitter(FaceFitter.Settings(), store), extractor])([Sample(Frame.of(PICTURES[name]), [sent])])
        assert cosine(extractor, sent, faces[name]) >= 0.98

    def test_landmarks_that_came_are_not_fitted_again(self, store: ModelStore, extractor: TemplateExtractor) -> None:
        points = np.random.default_rng(0).uniform(100, 300, (len(LANDMARK_NAMES), 2))
        sent = Object("face", np.array([100.0, 100.0, 300.0, 300.0]))
        sent.put(Landmarks(points))
        fitter = Missing(Landmarks, FaceFitter(FaceFitter.Settings(), store))
        Chain([fitter, extractor])([Sample(Frame.of(portrait("obama")), [sent])])
        np.testing.assert_array_equal(sent[Landmarks].points_xy, points)
        assert Template in sent


@every_picture
def test_the_same_picture_has_the_same_template(chain: Chain, faces: dict[str, Object], name: str) -> None:
    assert the_face(chain, PICTURES[name].copy())[Template] == faces[name][Template]


@pytest.mark.parametrize("name", PORTRAITS)
@pytest.mark.parametrize(
    ("change", "at_least"),
    [
        (lambda picture: scaled(picture, 0.5), 0.9),
        (lambda picture: scaled(picture, 3.0), 0.9),
        (lambda picture: moved(picture, 91, 37), 0.97),
        (lambda picture: rolled(picture, 25)[0], 0.9),
        (mirrored, 0.85),
    ],
    ids=["halved", "trebled", "moved", "rolled", "mirrored"],
)
def test_a_changed_picture_is_still_the_person(
    chain: Chain, extractor: TemplateExtractor, faces: dict[str, Object], name: str, change: object, at_least: float
) -> None:
    assert callable(change)
    assert cosine(extractor, the_face(chain, change(portrait(name))), faces[name]) >= at_least


class TestNobody:
    """Where there is no face to be seen."""

    @staticmethod
    def seen(store: ModelStore, extractor: TemplateExtractor, picture: Image, box: Floats) -> Object:
        face = Object("face", box)
        Chain([FaceFitter(FaceFitter.Settings(), store), extractor])([Sample(Frame.of(picture), [face])])
        return face

    def test_two_walls_are_no_person(self, store: ModelStore, extractor: TemplateExtractor) -> None:
        generator = np.random.default_rng(8)
        walls = [
            self.seen(
                store,
                extractor,
                np.clip(generator.normal(grey, 4, (300, 300, 3)), 0, 255).astype(np.uint8),
                np.array([50.0, 40, 220, 260]),
            )
            for grey in (90, 150)
        ]
        assert [unpack(wall[Template].blob, extractor.model).any() for wall in walls] == [False, False]
        assert Matcher(store).compare(*(wall[Template].blob for wall in walls)).score < 0.1

    @pytest.mark.parametrize("name", PORTRAITS)
    def test_a_face_that_can_be_seen_is_somebody(
        self, store: ModelStore, extractor: TemplateExtractor, faces: dict[str, Object], name: str
    ) -> None:
        face, clear = faces[name], portrait(name)
        box, scale = face.box_xyxy, float(20 / (face.box_xyxy[3] - face.box_xyxy[1]))
        pictures = {
            "clear": (clear, box),
            "masked": (covered(clear, box, 0.55, 1.1), box),
            "profile": (turned(clear, face[FaceMesh].points_xyz, 60, 0), box),
            "20 pixels": (far_away(clear, scale), box * scale),
        }
        for what, (picture, place) in pictures.items():
            template = self.seen(store, extractor, picture, place)[Template]
            assert unpack(template.blob, extractor.model).any(), what


class TestAligned:
    @staticmethod
    def face(points_xy: Floats, box: tuple[float, ...] = (0.0, 0.0, 400.0, 400.0)) -> Object:
        landmarks = np.zeros((len(LANDMARK_NAMES), 2))
        landmarks[FIVE_LANDMARKS] = points_xy
        face = Object("face", np.array(box))
        face.put(Landmarks(landmarks))
        return face

    @pytest.mark.parametrize(("scale", "angle"), [(0.5, 0.0), (1.0, 0.0), (2.0, 0.5), (3.0, -2.0)])
    def test_points_come_to_lie_in_their_places(self, scale: float, angle: float) -> None:
        """Dots of a colour each at the five points, of a face of any size and turn."""
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        points = (FIVE_PLACES - CROP / 2) @ turn.T * scale + 250
        picture = np.zeros((500, 500, 3), np.uint8)
        for (x, y), value in zip(points, (50, 100, 150, 200, 250), strict=True):
            cv2.circle(picture, (round(x), round(y)), max(round(2 * scale), 1), (value,) * 3, -1)
        crop = aligned(Pyramid(picture), self.face(points))
        for (x, y), value in zip(FIVE_PLACES, (50, 100, 150, 200, 250), strict=True):
            assert crop[round(y), round(x), 0] == pytest.approx(value, abs=12)

    def test_outside_the_picture_it_is_black(self) -> None:
        picture = np.full((60, 60, 3), 255, np.uint8)
        crop = aligned(Pyramid(picture), self.face(FIVE_PLACES - 60))
        assert (crop[30, 30] == 0).all()
        assert (crop[90, 90] == 255).all()

    def test_points_all_at_one_place_leave_it_to_the_box(self) -> None:
        picture = np.zeros((400, 400, 3), np.uint8)
        picture[100:300, 100:300] = 200
        crop = aligned(Pyramid(picture), self.face(np.full((5, 2), 50.0), (100, 100, 300, 300)))
        assert (crop == 200).all()


@pytest.mark.parametrize(
    ("box", "points"),
    [
        ((-500, -500, -400, -400), (-1e6, 1e6)),
        ((0, 0, 64, 64), (0, 1e-3)),
        ((30, 30, 31, 31), (30, 31)),
        ((0, 0, 1e6, 1e6), (-1e9, 1e9)),
    ],
)
def test_any_box_and_points_have_a_template(
    extractor: TemplateExtractor, box: tuple[float, ...], points: tuple[float, float]
) -> None:
    face = Object("face", np.array(box, float))
    face.put(Landmarks(np.random.default_rng(7).uniform(*points, (len(LANDMARK_NAMES), 2))))
    noise = np.random.default_rng(4).integers(0, 256, (64, 64, 3), np.uint8)
    extractor([Sample(Frame.of(noise), [face])])
    assert unpack(face[Template].blob, extractor.model).tolist() == NOBODY.tolist()


def test_several_faces_are_as_one_by_one(extractor: TemplateExtractor, faces: dict[str, Object]) -> None:
    samples = []
    for (name, picture), _ in product(PICTURES.items(), range(2)):
        face = Object("face", faces[name].box_xyxy)
        face.put(faces[name][Landmarks])
        samples.append(Sample(Frame.of(picture), [face]))
    extractor(samples)
    for sample, (name, _) in zip(samples, product(PICTURES, range(2)), strict=True):
        assert sample.objects[0][Template] == faces[name][Template]


def test_a_body_is_left_alone(extractor: TemplateExtractor) -> None:
    body = Object("body", np.array([0.0, 0.0, 50.0, 50.0]))
    extractor([Sample(Frame.of(portrait("obama")), [body])])
    with pytest.raises(MissingResult):
        body[Template]


def test_templates_made_before_the_networks_were_made_faster_are_compared(extractor: TemplateExtractor) -> None:
    """By the hashes of the files as they were then."""
    sface = "025a7733856a9937c950cbd1c5bfe597c2d29ac73e9ecfd5b1d426a6614384e1"
    mobilefacenet = "6e524bb134157e6f9b3f2afd911fb66519a1a305b0e1022db02683a098e1ca93"
    assert extractor.model == model_id(sface, mobilefacenet, ModelStore().manifest("identity_fusion").sha256)
