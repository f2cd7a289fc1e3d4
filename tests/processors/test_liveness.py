import cv2
import numpy as np
import pytest

from models.store import ModelStore
from processors.liveness import BARE, CROP, REPORT_S, BareFaces, Liveness, LivenessEstimator, grows, surroundings
from processors.registry import build_chain
from processors.types import Frame, Image, Object, Pyramid, Sample
from tests.processors.pictures import PORTRAITS, portrait


def estimated(store: ModelStore, picture: Image, threshold: float = 0.5) -> Liveness:
    settings = {"liveness-estimator": LivenessEstimator.Settings(threshold=threshold)}
    sample = Sample(Frame.of(picture))
    build_chain(["face-detector", "liveness-estimator"], settings, store)([sample])
    return sample.objects[0][Liveness]


def on_a_phone(picture: Image) -> Image:
    """The picture on a screen with a black bezel, held askew before a wall: its grid beats with the camera's."""
    height, width = 180, round(180 * picture.shape[1] / picture.shape[0])
    y, x = np.mgrid[:height, :width]
    moire = 1 + 0.1 * np.sin(0.9 * x + 0.15 * y)[..., None]
    shown = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) * moire
    screen = np.clip((shown - 128) * 1.2 + 128, 0, 255).astype(np.uint8)
    phone = cv2.copyMakeBorder(screen, 15, 15, 15, 15, cv2.BORDER_CONSTANT, value=(10, 10, 10))
    turn = cv2.getRotationMatrix2D((phone.shape[1] / 2, phone.shape[0] / 2), 5, 1)
    turn[:, 2] += (320 - phone.shape[1] / 2, 240 - phone.shape[0] / 2)
    scene = np.full((480, 640, 3), (120, 130, 140), np.uint8)
    cv2.warpAffine(phone, turn, (640, 480), dst=scene, borderMode=cv2.BORDER_TRANSPARENT)
    return cv2.GaussianBlur(scene, (0, 0), 0.7)  # type: ignore[return-value]


@pytest.mark.parametrize("name", PORTRAITS)
def test_portraits_are_real(store: ModelStore, name: str) -> None:
    liveness = estimated(store, portrait(name))
    assert liveness.real
    assert liveness.probability > 0.9


@pytest.mark.parametrize("name", PORTRAITS)
def test_a_portrait_on_a_screen_is_less_so(store: ModelStore, name: str) -> None:
    """Not refused in each case: see the model's card for how many attacks pass."""
    assert estimated(store, on_a_phone(portrait(name))).probability < estimated(store, portrait(name)).probability - 0.2


def test_threshold_itself_is_real(store: ModelStore) -> None:
    probability = estimated(store, portrait("obama")).probability
    assert estimated(store, portrait("obama"), probability).real
    assert not estimated(store, portrait("obama"), np.nextafter(probability, 2)).real


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((300, 200, 400, 300), (215, 115, 485, 385)),  # 2.7 x about the centre
        ((10, 200, 110, 300), (0, 115, 270, 385)),  # moved inside
        ((550, 350, 640, 480), (396, 128, 639, 479)),  # moved inside, less the last pixel
        ((0, 0, 400, 400), (0, 0, 479, 479)),  # grows no further than the picture's shorter side allows
        ((-100, 200, 60, 300), (0, 115, 162, 385)),  # only what is inside counts
    ],
)
def test_surroundings(box: tuple[int, ...], expected: tuple[int, ...]) -> None:
    y, x = np.mgrid[:480, :640]
    picture = np.stack([x // 4, y // 2, (x % 4) * 2 + y % 2], axis=2).astype(np.uint8)  # every pixel is another
    left, top, right, bottom = expected
    part = cv2.resize(picture[top:bottom, left:right], (CROP, CROP), interpolation=cv2.INTER_AREA)
    seen = surroundings(Pyramid(picture), np.array(box, np.float64))
    assert np.abs(seen.astype(int) - part).mean() < 1


def test_probability_is_that_of_the_bare_network(store: ModelStore) -> None:
    sample = Sample(Frame.of(portrait("obama")))
    build_chain(["face-detector", "liveness-estimator"], {}, store)([sample])
    (face,) = sample.objects
    net = surroundings(sample.frame.pyramid, face.box_xyxy).astype(np.float32).transpose(2, 0, 1)[None]
    logits = store.session("liveness_minifasv2se_128").run({"input": net})["output"][0]
    expected = 1 / (1 + np.exp(logits[1] - logits[0]) + np.exp(logits[2] - logits[0]))
    assert face[Liveness].probability == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize(
    ("box", "expected"),
    [((300, 200, 400, 300), 2.7), ((0, 0, 400, 400), 479 / 400), ((-100, -100, 900, 900), 479 / 480)],
)
def test_a_box_grows_as_far_as_the_picture_allows(box: tuple[int, ...], expected: float) -> None:
    assert grows(np.array(box, np.float64), 640, 480) == pytest.approx(expected)


def test_a_crop_of_a_face_is_said_in_the_log(store: ModelStore, caplog: pytest.LogCaptureFixture) -> None:
    picture = portrait("obama")
    estimator = LivenessEstimator(LivenessEstimator.Settings(), store)
    x1, y1, x2, y2 = 212, 68, 397, 337
    estimator([Sample(Frame.of(picture), [Object("face", np.array([x1, y1, x2, y2], np.float64))])])
    assert not caplog.records
    crop = np.ascontiguousarray(picture[y1:y2, x1:x2])
    estimator([Sample(Frame.of(crop), [Object("face", np.array([0.0, 0.0, x2 - x1, y2 - y1]))])])
    (line,) = caplog.messages
    assert "1 faces without surroundings, the last in 1.0 times its box (expected 2.7)" in line
    assert "Send the whole picture" in line


def test_the_log_has_a_line_a_minute_at_most(caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    faces = BareFaces(lambda: now)
    for _ in range(5):
        faces.add(BARE / 2)
    assert len(caplog.messages) == 1
    now += REPORT_S
    faces.add(BARE / 2)
    assert [line.split()[1] for line in caplog.messages] == ["1", "5"]
