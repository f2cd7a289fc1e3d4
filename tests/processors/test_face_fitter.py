from itertools import product

import cv2
import numpy as np
import pytest

from models.store import ModelStore
from processors.chain import Chain
from processors.face_fitter import MESH_POINTS, POINTS_SCALE, FaceFitter, about_points, landmarks, pose, weighted
from processors.registry import build_chain
from processors.types import (
    LANDMARK_NAMES,
    FaceMesh,
    FivePoints,
    Floats,
    Frame,
    Image,
    Landmarks,
    MissingResult,
    Object,
    Pose,
    Sample,
)
from tests.processors.pictures import (
    PORTRAITS,
    mirrored,
    moved,
    portrait,
    rolled,
    scaled,
    the_face,
    turned,
    turned_points,
)

every_portrait = pytest.mark.parametrize("name", PORTRAITS)


@pytest.fixture(scope="module")
def chain(store: ModelStore) -> Chain:
    return build_chain(["face-detector", "face-fitter"], {}, store)


@pytest.fixture(scope="module")
def fitter(store: ModelStore) -> FaceFitter:
    return FaceFitter(FaceFitter.Settings.model_validate({}), store)


@pytest.fixture(scope="module")
def faces(chain: Chain) -> dict[str, Object]:
    """What is found in each portrait as it is."""
    return {name: the_face(chain, portrait(name)) for name in PORTRAITS}


def height_of(face: Object) -> float:
    return float(face.box_xyxy[3] - face.box_xyxy[1])


def place(face: Object, name: str) -> Floats:
    point: Floats = face[Landmarks].points_xy[LANDMARK_NAMES.index(name)]
    return point


@pytest.fixture(scope="module")
def canonical(store: ModelStore) -> tuple[Floats, Floats]:
    """The canonical face's points for the pose, y up and z toward the viewer, and their weights."""
    with np.load(store.path("facemesh_canonical")) as file:
        return file["vertices"][file["basis_ids"]].astype(np.float64), file["basis_w"].astype(np.float64)


def seen(points_xyz: Floats, yaw: float, pitch: float, roll: float) -> Floats:
    """The points in the image's axes (x right, y down, z away), nodded, then turned, then tilted.

    About these axes the contract's angles are all negative: the nose, at -z, goes up about -x and to the right about
    -y, and about -z the face turns counter-clockwise as seen.
    """
    points = points_xyz * (1, -1, -1)
    for turn in ((-pitch, 0.0, 0.0), (0.0, -yaw, 0.0), (0.0, 0.0, -roll)):
        points = points @ cv2.Rodrigues(np.radians(turn))[0].T
    return points


class TestPose:
    """pose() on the canonical face, turned by angles that are known."""

    ANGLES = (
        (0, 0, 0),
        (30, 0, 0),
        (-30, 0, 0),
        (0, 25, 0),
        (0, -25, 0),
        (0, 0, 40),
        (0, 0, -40),
        (20, -15, 10),
        (-35, 20, -25),
        (60, 30, -80),
        (-75, -40, 120),
        (10, 80, 175),
        (-89, 0, 0),
    )

    @pytest.mark.parametrize(("yaw", "pitch", "roll"), ANGLES)
    def test_known_angles(self, canonical: tuple[Floats, Floats], yaw: float, pitch: float, roll: float) -> None:
        points, weights = canonical
        found = pose(seen(points, yaw, pitch, roll), weighted(points, weights))
        np.testing.assert_allclose([found.yaw, found.pitch, found.roll], [yaw, pitch, roll], rtol=0, atol=1e-6)

    def test_place_and_size_do_not_matter(self, canonical: tuple[Floats, Floats]) -> None:
        points, weights = canonical
        found = pose(seen(points, 20, -15, 10) * 31 + (400, -90, 7), weighted(points, weights))
        np.testing.assert_allclose([found.yaw, found.pitch, found.roll], [20, -15, 10], rtol=0, atol=1e-6)

    def test_noise_moves_it_little(self, canonical: tuple[Floats, Floats]) -> None:
        points, weights = canonical
        noise = np.random.default_rng(2).normal(0, 0.1, points.shape)  # the face is about 15 wide
        found = pose(seen(points, 20, -15, 10) + noise, weighted(points, weights))
        np.testing.assert_allclose([found.yaw, found.pitch, found.roll], [20, -15, 10], rtol=0, atol=2)

    def test_the_signs_are_the_contract_s(self, store: ModelStore) -> None:
        """That seen() turns the way the contract's words say: by where the nose, the brow and the eyes go."""
        with np.load(store.path("facemesh_canonical")) as file:
            points = file["vertices"].astype(np.float64)
        nose, left_eye, right_eye = 1, 33, 263  # the image's left and right

        def nose_from_eyes(yaw: float, pitch: float) -> Floats:
            face = seen(points, yaw, pitch, 0)
            offset: Floats = face[nose] - (face[left_eye] + face[right_eye]) / 2
            return offset

        assert nose_from_eyes(20, 0)[0] > 1  # to the image's right
        assert nose_from_eyes(-20, 0)[0] < -1
        assert nose_from_eyes(0, -20)[1] > nose_from_eyes(0, 0)[1] + 0.5  # down
        assert nose_from_eyes(0, 20)[1] < nose_from_eyes(0, 0)[1] - 0.5
        rolled_left = seen(points, 0, 0, 20)  # counter-clockwise: the right eye rises
        assert rolled_left[right_eye, 1] < rolled_left[left_eye, 1] - 1


class TestPoseOfPortraits:
    @every_portrait
    @pytest.mark.parametrize("degrees", [-45, -30, -15, 15, 30, 45])
    def test_a_picture_turned_counter_clockwise_has_more_roll(
        self, chain: Chain, faces: dict[str, Object], name: str, degrees: float
    ) -> None:
        before, after = faces[name][Pose], the_face(chain, rolled(portrait(name), degrees)[0])[Pose]
        assert after.roll - before.roll == pytest.approx(degrees, abs=4)
        assert after.yaw == pytest.approx(before.yaw, abs=4)
        assert after.pitch == pytest.approx(before.pitch, abs=4)

    @every_portrait
    def test_a_mirrored_face_looks_the_other_way(self, chain: Chain, faces: dict[str, Object], name: str) -> None:
        face, mirror = faces[name][Pose], the_face(chain, mirrored(portrait(name)))[Pose]
        assert mirror.yaw == pytest.approx(-face.yaw, abs=4)
        assert mirror.roll == pytest.approx(-face.roll, abs=4)
        assert mirror.pitch == pytest.approx(face.pitch, abs=4)

    def test_a_mirrored_face_that_looks_aside_changes_its_sign(self, chain: Chain, faces: dict[str, Object]) -> None:
        """Biden's portrait is turned to the image's right and tilted clockwise."""
        face, mirror = faces["biden"][Pose], the_face(chain, mirrored(portrait("biden")))[Pose]
        assert (face.yaw > 5, face.roll < -5) == (True, True)
        assert (mirror.yaw < -5, mirror.roll > 5) == (True, True)

    @every_portrait
    @pytest.mark.parametrize(
        ("yaw", "pitch"), [(-25, 0), (25, 0), (0, -20), (0, 20), (-20, -15), (-20, 15), (20, -15), (20, 15)]
    )
    def test_a_face_that_turns_and_nods(
        self, chain: Chain, faces: dict[str, Object], name: str, yaw: float, pitch: float
    ) -> None:
        """A relief with the mesh's own depth. The network sees less turn than there is: the head is flat behind it."""
        face = faces[name]
        turned_face = the_face(chain, turned(portrait(name), face[FaceMesh].points_xyz, yaw, pitch))
        for given, got in (
            (yaw, turned_face[Pose].yaw - face[Pose].yaw),
            (pitch, turned_face[Pose].pitch - face[Pose].pitch),
        ):
            if given:
                assert 0.3 < got / given < 1.2
            else:
                assert abs(got) < 8


def tilted(points_xy: Floats, degrees: float) -> Floats:
    """Turned clockwise as seen about (50, 60)."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    after: Floats = (points_xy - (50, 60)) @ turn.T + (50, 60)
    return after


class TestAboutPoints:
    FRONTAL = np.array([(30.0, 40), (70, 40), (50, 60), (35, 80), (65, 80)])
    PROFILE = np.array([(40.0, 40), (44, 40), (60, 60), (41, 80), (43, 80)])

    @pytest.mark.parametrize("points", [FRONTAL, PROFILE])
    @pytest.mark.parametrize("degrees", [0, -50, 90, 170])
    def test_the_mouth_comes_to_lie_below_the_eyes(self, points: Floats, degrees: float) -> None:
        centre, side, angle = about_points(tilted(points, degrees))
        middle = (points[[0, 1]].mean(axis=0) + points[[3, 4]].mean(axis=0)) / 2
        np.testing.assert_allclose(centre, tilted(middle, degrees))
        assert side == pytest.approx(40 * POINTS_SCALE)
        assert np.degrees(angle) == pytest.approx(degrees) or np.degrees(angle) == pytest.approx(degrees - 360)

    def test_points_at_one_place_have_a_crop_too(self) -> None:
        centre, side, angle = about_points(np.full((5, 2), 7.0))
        assert (centre.tolist(), side, np.isfinite(angle)) == ([7, 7], POINTS_SCALE, True)


class TestTurnedHeads:
    """Reliefs of the portraits, whose points are known."""

    @staticmethod
    def errors(fitter: FaceFitter, face: Object, picture: Image, truth_xyz: Floats) -> tuple[float, float]:
        """Mean distance of the landmarks from the truth over its height: with the detector's points and without."""
        bare = Object("face", face.box_xyxy)
        fitter([Sample(Frame.of(picture), [bare])])
        truth = landmarks(truth_xyz).points_xy
        with_points, without = (
            float(np.linalg.norm(obj[Landmarks].points_xy - truth, axis=1).mean() / np.ptp(truth[:, 1]))
            for obj in (face, bare)
        )
        return with_points, without

    def test_a_second_look_about_eyes_and_mouth_finds_profiles(
        self, chain: Chain, fitter: FaceFitter, faces: dict[str, Object]
    ) -> None:
        errors = []
        for name, yaw in product(PORTRAITS, (-75, 75)):
            relief = faces[name][FaceMesh].points_xyz
            picture = turned(portrait(name), relief, yaw, 0)
            profile = the_face(chain, picture)
            assert np.sign(profile[Pose].yaw) == np.sign(yaw)
            assert abs(profile[Pose].yaw) > 20
            errors.append(self.errors(fitter, profile, picture, turned_points(relief, yaw, 0)))
        with_points, without = np.array(errors).T
        assert with_points.max() < 0.17
        assert with_points.mean() < without.mean()

    @every_portrait
    def test_a_sure_mesh_of_a_face_that_looks_this_way_stays(
        self, fitter: FaceFitter, faces: dict[str, Object], name: str
    ) -> None:
        """Whatever points it came with, as long as its eyes are level."""
        face = faces[name]
        odd = Object("face", face.box_xyxy)
        eyes = face[FivePoints].points_xy[:2]
        odd.put(FivePoints(np.concatenate([eyes, np.full((3, 2), 5.0)])))
        fitter([Sample(Frame.of(portrait(name)), [odd])])
        np.testing.assert_array_equal(odd[FaceMesh].points_xyz, face[FaceMesh].points_xyz)


class TestLandmarks:
    def test_every_name_has_its_mesh_points(self) -> None:
        assert len(LANDMARK_NAMES) == len(MESH_POINTS) == len(set(LANDMARK_NAMES)) == 21

    def test_a_landmark_is_the_mean_of_its_mesh_points(self) -> None:
        mesh = np.random.default_rng(5).uniform(0, 100, (468, 3))
        points = landmarks(mesh).points_xy
        assert points.shape == (21, 2)
        np.testing.assert_allclose(points[LANDMARK_NAMES.index("chin")], mesh[152, :2])
        np.testing.assert_allclose(points[LANDMARK_NAMES.index("nose")], (mesh[1, :2] + mesh[4, :2]) / 2)

    @every_portrait
    @pytest.mark.parametrize("mirror", [False, True])
    def test_each_is_where_its_name_says(self, chain: Chain, name: str, mirror: bool) -> None:
        picture = portrait(name)
        face = the_face(chain, mirrored(picture) if mirror else picture)
        # Along the face's own axes, as Biden's is tilted.
        across = place(face, "right_eye") - place(face, "left_eye")
        down = across[::-1] * (-1, 1)

        def order(*names: str, along: Floats) -> None:
            positions = [float(place(face, each) @ along) for each in names]
            assert positions == sorted(positions), names

        order(
            "left_eye_brow_left",
            "left_eye_brow_up",
            "left_eye_brow_right",
            "right_eye_brow_left",
            "right_eye_brow_up",
            "right_eye_brow_right",
            along=across,
        )
        order(
            "left_eye_left",
            "left_eye",
            "left_eye_right",
            "right_eye_left",
            "right_eye",
            "right_eye_right",
            along=across,
        )
        order("left_ear_bottom", "nose_left", "nose", "nose_right", "right_ear_bottom", along=across)
        order("mouth_left", "mouth", "mouth_right", along=across)
        for side in ("left", "right"):
            order(f"{side}_eye_brow_up", f"{side}_eye", "nose", "mouth", "chin", along=down)
        assert face[Landmarks].points_xy[:, 1].argmax() == LANDMARK_NAMES.index("chin")

    @every_portrait
    def test_eyes_and_mouth_are_where_the_detector_sees_them(self, faces: dict[str, Object], name: str) -> None:
        """A second network's opinion."""
        face = faces[name]
        ours = [place(face, each) for each in ("left_eye", "right_eye", "mouth_left", "mouth_right")]
        distance = np.linalg.norm(face[FivePoints].points_xy[[0, 1, 3, 4]] - ours, axis=1)
        assert distance.max() < 0.08 * height_of(face)

    @every_portrait
    @pytest.mark.parametrize("scale", [0.5, 0.7, 3.0])
    def test_they_scale_with_the_picture(self, chain: Chain, faces: dict[str, Object], name: str, scale: float) -> None:
        before, after = faces[name], the_face(chain, scaled(portrait(name), scale))
        distance = np.linalg.norm(after[Landmarks].points_xy / scale - before[Landmarks].points_xy, axis=1)
        assert distance.max() < 0.04 * height_of(before)
        depth = [np.ptp(face[FaceMesh].points_xyz[:, 2]) for face in (before, after)]
        assert depth[1] / depth[0] == pytest.approx(scale, rel=0.1)

    @every_portrait
    def test_they_move_with_the_picture(self, chain: Chain, faces: dict[str, Object], name: str) -> None:
        before, after = faces[name], the_face(chain, moved(portrait(name), 91, 37))
        distance = np.linalg.norm(after[Landmarks].points_xy - (91, 37) - before[Landmarks].points_xy, axis=1)
        assert distance.max() < 0.03 * height_of(before)

    @every_portrait
    @pytest.mark.parametrize("degrees", [-30, 45])
    def test_they_turn_with_the_picture(
        self, chain: Chain, faces: dict[str, Object], name: str, degrees: float
    ) -> None:
        picture, matrix = rolled(portrait(name), degrees)
        before, after = faces[name], the_face(chain, picture)
        expected = before[Landmarks].points_xy @ matrix[:, :2].T + matrix[:, 2]
        assert np.linalg.norm(after[Landmarks].points_xy - expected, axis=1).max() < 0.06 * height_of(before)


@every_portrait
def test_without_five_points_the_mesh_is_the_same(fitter: FaceFitter, faces: dict[str, Object], name: str) -> None:
    face = faces[name]
    bare = Object("face", face.box_xyxy)
    fitter([Sample(Frame.of(portrait(name)), [bare])])
    distance = np.linalg.norm(bare[FaceMesh].points_xyz - face[FaceMesh].points_xyz, axis=1)
    assert distance.max() < 0.03 * height_of(face)


@every_portrait
def test_landmarks_level_the_first_crop_of_a_tilted_face(
    fitter: FaceFitter, faces: dict[str, Object], name: str
) -> None:
    """As a request brings them: the box and the 21 points of a picture that hangs upside down."""
    face = faces[name]
    picture = np.ascontiguousarray(portrait(name)[::-1, ::-1])
    corner = np.array([picture.shape[1], picture.shape[0]]) - 1
    box = np.concatenate([corner - face.box_xyxy[2:], corner - face.box_xyxy[:2]])
    upside_down = Object("face", box)
    upside_down.put(Landmarks(corner - face[Landmarks].points_xy))
    fitter([Sample(Frame.of(picture), [upside_down])])
    distance = np.linalg.norm(
        corner - upside_down[FaceMesh].points_xyz[:, :2] - face[FaceMesh].points_xyz[:, :2], axis=1
    )
    assert distance.max() < 0.03 * height_of(face)


@every_portrait
def test_a_face_partly_outside_the_picture(fitter: FaceFitter, faces: dict[str, Object], name: str) -> None:
    whole = faces[name]
    cut = int(whole.box_xyxy[0] + 0.2 * (whole.box_xyxy[2] - whole.box_xyxy[0]))
    face = Object("face", whole.box_xyxy - (cut, 0, cut, 0))
    fitter([Sample(Frame.of(np.ascontiguousarray(portrait(name)[:, cut:])), [face])])
    assert face[FaceMesh].points_xyz[:, 0].min() < 0
    assert face[FaceMesh].presence > 0.99
    right = [LANDMARK_NAMES.index(each) for each in ("right_eye", "mouth_right", "nose", "chin")]
    moved_points = face[Landmarks].points_xy[right] + (cut, 0)
    assert np.linalg.norm(moved_points - whole[Landmarks].points_xy[right], axis=1).max() < 0.08 * height_of(whole)
    assert face[Pose].yaw == pytest.approx(whole[Pose].yaw, abs=5)


@pytest.mark.parametrize("box", [(10, 10, 60, 60), (-500, -500, -400, -400), (0, 0, 64, 64), (30, 30, 31, 31)])
def test_where_there_is_no_face_presence_says_so(fitter: FaceFitter, box: tuple[float, ...]) -> None:
    noise = np.random.default_rng(4).integers(0, 256, (64, 64, 3), np.uint8)
    obj = Object("face", np.array(box, float))
    fitter([Sample(Frame.of(noise), [obj])])
    assert np.isfinite(obj[FaceMesh].points_xyz).all()
    assert obj[FaceMesh].presence < 0.5


def test_presence_of_a_face(faces: dict[str, Object]) -> None:
    assert faces["obama"][FaceMesh].presence > 0.99


def test_several_samples_are_as_one_by_one(chain: Chain, faces: dict[str, Object]) -> None:
    samples = [Sample(Frame.of(portrait(name))) for name in PORTRAITS]
    chain(samples)
    for sample, name in zip(samples, PORTRAITS, strict=True):
        np.testing.assert_array_equal(sample.objects[0][FaceMesh].points_xyz, faces[name][FaceMesh].points_xyz)


def test_a_body_is_left_alone(fitter: FaceFitter) -> None:
    body = Object("body", np.array([0.0, 0.0, 50.0, 50.0]))
    fitter([Sample(Frame.of(portrait("obama")), [body])])
    with pytest.raises(MissingResult):
        body[Pose]
