from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from models.store import ModelStore
from processors import face_detector
from processors.face_detector import CLOSE_UP_SIDE, FOUND_HEIGHT, INPUT_SIDE, LONGEST_SIDE, FaceDetector, input_side
from processors.types import Confidence, FivePoints, Floats, Frame, Image, Object, Pyramid, Sample
from tests.processors.pictures import PORTRAITS, mirrored, moved, portrait, scaled
from tests.zoo import YUNET

every_portrait = pytest.mark.parametrize("name", PORTRAITS)


def detector(store: ModelStore, **settings: object) -> FaceDetector:
    return FaceDetector(FaceDetector.Settings.model_validate(settings), store)


@pytest.fixture(scope="module")
def default(store: ModelStore) -> FaceDetector:
    return detector(store)


def iou(a: Floats, b: Floats) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    both = float(np.prod(np.maximum(high - low, 0)))
    return both / float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both)


def side_by_side() -> Image:
    """Biden and Obama, 640 x 320: the detector looks at it as it is."""
    pair = np.hstack([portrait("biden")[:570, :540], portrait("obama")[:570]])
    return cv2.resize(pair, (INPUT_SIDE, INPUT_SIDE // 2), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


class TestPortraits:
    @every_portrait
    def test_one_face_with_points_in_the_places_that_their_names_say(self, default: FaceDetector, name: str) -> None:
        (face,) = default.detect(Pyramid(portrait(name)))
        left_eye, right_eye, nose, mouth_left, mouth_right = face[FivePoints].points_xy
        assert left_eye[0] < nose[0] < right_eye[0]
        assert mouth_left[0] < mouth_right[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(mouth_left[1], mouth_right[1])
        inside = (face[FivePoints].points_xy > face.box_xyxy[:2]) & (face[FivePoints].points_xy < face.box_xyxy[2:])
        assert inside.all()
        assert 0.9 < face[Confidence].value <= 1
        assert face.label == "face"

    @every_portrait
    @pytest.mark.parametrize("scale", [0.4, 0.77, 3.0])
    def test_boxes_and_points_are_in_the_pixels_of_the_frame(
        self, default: FaceDetector, name: str, scale: float
    ) -> None:
        picture = portrait(name)
        (before,), (after,) = default.detect(Pyramid(picture)), default.detect(Pyramid(scaled(picture, scale)))
        # The sizes of the picture and of the look are whole pixels.
        tolerance = 0.05 * (before.box_xyxy[3] - before.box_xyxy[1])
        assert iou(after.box_xyxy / scale, before.box_xyxy) > 0.85
        np.testing.assert_allclose(
            after[FivePoints].points_xy / scale, before[FivePoints].points_xy, rtol=0, atol=tolerance
        )

    @every_portrait
    def test_a_face_that_moves_takes_its_box_along(self, default: FaceDetector, name: str) -> None:
        (before,) = default.detect(Pyramid(portrait(name)))
        (after,) = default.detect(Pyramid(moved(portrait(name), 150, 40)))
        assert iou(after.box_xyxy - (150, 40, 150, 40), before.box_xyxy) > 0.85

    @every_portrait
    def test_left_is_the_image_s_left(self, default: FaceDetector, name: str) -> None:
        picture = portrait(name)
        (before,), (after,) = default.detect(Pyramid(picture)), default.detect(Pyramid(mirrored(picture)))
        swapped = after[FivePoints].points_xy[[1, 0, 2, 4, 3]] * (-1, 1) + (picture.shape[1] - 1, 0)
        tolerance = 0.05 * (before.box_xyxy[3] - before.box_xyxy[1])
        np.testing.assert_allclose(swapped, before[FivePoints].points_xy, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 10000), (10000, 1), (3, 5000), (5000, 3), (10000, 40)])
@pytest.mark.parametrize("smallest_face", [None, 16])
def test_any_size_and_shape(store: ModelStore, width: int, height: int, smallest_face: int | None) -> None:
    picture = np.full((height, width, 3), 90, np.uint8)
    assert detector(store, smallest_face=smallest_face).detect(Pyramid(picture)) == []


def test_a_face_in_a_picture_10000_pixels_wide(default: FaceDetector) -> None:
    face = scaled(portrait("biden"), 1.8)
    wide = np.full((face.shape[0], 10_000, 3), 200, np.uint8)
    wide[:, 7000 : 7000 + face.shape[1]] = face
    (found,) = default.detect(Pyramid(wide))
    assert iou(found.box_xyxy - (7000, 0, 7000, 0), default.detect(Pyramid(portrait("biden")))[0].box_xyxy * 1.8) > 0.7


@pytest.mark.parametrize(("name", "height"), [("astronaut", 16), ("astronaut", 24), ("biden", 16), ("biden", 24)])
def test_a_far_face_in_1080p_is_found_where_the_smallest_face_says_so(
    store: ModelStore, default: FaceDetector, name: str, height: int
) -> None:
    (near,) = default.detect(Pyramid(portrait(name)))
    scale = height / (near.box_xyxy[3] - near.box_xyxy[1])
    far = scaled(portrait(name), scale)
    picture = np.full((1080, 1920, 3), (205, 212, 210), np.uint8)
    picture[300 : 300 + far.shape[0], 1300 : 1300 + far.shape[1]] = far
    assert default.detect(Pyramid(picture)) == []
    (found,) = detector(store, smallest_face=height).detect(Pyramid(picture))
    assert iou(found.box_xyxy, near.box_xyxy * scale + (1300, 300, 1300, 300)) > 0.5


@every_portrait
def test_a_face_that_fills_the_picture_is_found_by_the_close_up(store: ModelStore, name: str) -> None:
    whole = detector(store).detect(Pyramid(portrait(name)))[0].box_xyxy
    inset = 0.22 * np.tile(whole[2:] - whole[:2], 2) * (1, 1, -1, -1)
    x1, y1, x2, y2 = (whole + inset).astype(int)
    picture = np.ascontiguousarray(portrait(name)[y1:y2, x1:x2])
    assert detector(store, close_ups=False).detect(Pyramid(picture)) == []
    (found,) = detector(store, close_ups=True).detect(Pyramid(picture))
    visible = np.clip(found.box_xyxy, 0, (x2 - x1, y2 - y1) * 2)
    assert np.prod(visible[2:] - visible[:2]) > 0.9 * (x2 - x1) * (y2 - y1)


@every_portrait
@pytest.mark.parametrize("side", [480, 640, 1024, 1280, 2048])
def test_a_face_as_large_as_the_picture_is_one_face_at_every_input(store: ModelStore, name: str, side: int) -> None:
    """The look for small faces alone takes parts of it for faces."""
    x1, y1, x2, y2 = detector(store).detect(Pyramid(portrait(name)))[0].box_xyxy.astype(int)
    picture = np.ascontiguousarray(portrait(name)[y1:y2, x1:x2])
    smallest = FOUND_HEIGHT * max(picture.shape) / side
    assert len(detector(store, smallest_face=smallest).detect(Pyramid(picture))) == 1


def test_what_is_found_comes_by_descending_confidence(store: ModelStore) -> None:
    found = detector(store, score_threshold=0.1).detect(Pyramid(side_by_side()))
    confidences = [face[Confidence].value for face in found]
    assert len(confidences) > 2
    assert confidences == sorted(confidences, reverse=True)
    assert all(0.1 < confidence <= 1 for confidence in confidences)


def test_score_threshold(store: ModelStore) -> None:
    (face,) = detector(store).detect(Pyramid(portrait("obama")))
    confidence = face[Confidence].value
    assert detector(store, score_threshold=confidence - 1e-6).detect(Pyramid(portrait("obama")))
    assert detector(store, score_threshold=confidence + 1e-6).detect(Pyramid(portrait("obama"))) == []


@pytest.mark.parametrize("height", [320, 301], ids=["whole cells", "padded"])
def test_the_same_faces_as_opencv_s_own_decoder(store: ModelStore, height: int) -> None:
    picture = np.ascontiguousarray(side_by_side()[:height])
    opencv = cv2.FaceDetectorYN.create(
        str(YUNET), "", (picture.shape[1], height), score_threshold=0.3, nms_threshold=0.3
    )
    expected = opencv.detect(picture)[1]  # x, y, w, h, five points, score
    faces = detector(store, score_threshold=0.3, close_ups=False).detect(Pyramid(picture))
    assert len(faces) == len(expected) >= 2
    for face, row in zip(faces, expected[np.argsort(-expected[:, 14])], strict=True):
        np.testing.assert_allclose(face.box_xyxy, [*row[:2], *(row[:2] + row[2:4])], rtol=0, atol=0.05)
        np.testing.assert_allclose(face[FivePoints].points_xy, row[4:14].reshape(5, 2), rtol=0, atol=0.05)
        assert face[Confidence].value == pytest.approx(row[14], abs=1e-4)


def test_few_cells_are_worked_on(default: FaceDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    counts, decoded = [], face_detector._decoded

    def counting(cells: npt.NDArray[np.float32], *places: Any) -> face_detector.Candidates:
        counts.append(len(cells))
        return decoded(cells, *places)

    monkeypatch.setattr(face_detector, "_decoded", counting)
    default.detect(Pyramid(portrait("obama")))
    assert counts
    assert 0 < max(counts) < 100  # of 5,000 to 8,400


def test_only_faces_are_replaced_and_each_sample_has_its_own(default: FaceDetector) -> None:
    body, old_face = Object("body", np.zeros(4)), Object("face", np.zeros(4))
    seen = Sample(Frame.of(portrait("obama")), [old_face, body])
    empty = Sample(Frame.of(np.zeros((64, 64, 3), np.uint8)), [old_face, body])
    default([seen, empty])
    assert [obj.label for obj in seen.objects] == ["face", "body"]
    assert seen.objects[1] is body
    assert old_face not in seen.objects
    assert empty.objects == [body]


def test_a_second_call_finds_the_same(default: FaceDetector) -> None:
    sample = Sample(Frame.of(portrait("obama")))
    default([sample])
    (before,) = sample.objects
    default([sample])
    (after,) = sample.objects
    np.testing.assert_array_equal(after.box_xyxy, before.box_xyxy)


def test_the_picture_is_not_written_to(default: FaceDetector) -> None:
    picture = portrait("obama").copy()
    default.detect(Pyramid(picture))
    np.testing.assert_array_equal(picture, portrait("obama"))


@pytest.mark.parametrize(
    ("long_side", "smallest_face", "side"),
    [
        (1920, None, INPUT_SIDE),
        (100, None, INPUT_SIDE),
        (1920, 16, 1920),
        (1920, 48, INPUT_SIDE),
        (1920, 24, 1280),
        (1920, 1, LONGEST_SIDE),
        (1920, 1000, CLOSE_UP_SIDE),
        (10_000, 100, 1600),
        (1, 16, CLOSE_UP_SIDE),
    ],
)
def test_input_side(long_side: int, smallest_face: float | None, side: int) -> None:
    assert input_side(long_side, smallest_face) == side
