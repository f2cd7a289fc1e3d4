import cv2
import numpy as np
import pytest

from models.store import ModelStore
from processors.emotion import EMOTIONS, Emotions
from processors.registry import build_chain
from processors.types import FaceMesh, Frame, Object, Sample
from tests.processors.pictures import PORTRAITS, portrait, scaled


def face_of(store: ModelStore, name: str) -> Object:
    sample = Sample(Frame.of(portrait(name)))
    build_chain(["face-detector", "face-fitter", "emotion-estimator"], {}, store)([sample])
    return sample.objects[0]


@pytest.mark.parametrize(("name", "emotion"), [("astronaut", "happy"), ("obama", "happy"), ("biden", "neutral")])
def test_portraits(store: ModelStore, name: str, emotion: str) -> None:
    """Collins and Obama smile; Biden's smile is a thin one."""
    assert EMOTIONS[int(np.argmax(face_of(store, name)[Emotions].probabilities))] == emotion


@pytest.mark.parametrize("name", PORTRAITS)
def test_probabilities_are_seven_and_sum_to_one(store: ModelStore, name: str) -> None:
    probabilities = face_of(store, name)[Emotions].probabilities
    assert len(probabilities) == len(EMOTIONS) == 7
    assert sum(probabilities) == pytest.approx(1, abs=1e-12)
    assert min(probabilities) > 0


@pytest.mark.parametrize("name", PORTRAITS)
def test_probabilities_are_those_of_the_bare_networks(store: ModelStore, name: str) -> None:
    """Each network's crop and order of classes by hand, put together by name."""
    face = face_of(store, name)
    points = face[FaceMesh].points_xyz[:, :2]
    (x1, y1), (x2, y2) = points[[33, 133]].mean(axis=0), points[[362, 263]].mean(axis=0)
    turn = cv2.getRotationMatrix2D((0, 0), np.degrees(np.arctan2(y2 - y1, x2 - x1)), 1)[:, :2]
    level = points @ turn.T
    low, high = level.min(axis=0), level.max(axis=0)

    def crop(scale: float, size: int) -> np.ndarray:
        zoom = size / ((high - low).max() * scale)
        matrix = np.column_stack([turn * zoom, size / 2 - (low + high) / 2 * zoom])
        picture = portrait(name)
        if zoom < 0.5:
            picture = scaled(picture, 1.5 * zoom)
            shrunk = np.array(picture.shape[1::-1]) / portrait(name).shape[1::-1]
            half = 0.5 / shrunk - 0.5  # from centre to centre of the first pixels
            matrix = matrix @ np.array([[1 / shrunk[0], 0, half[0]], [0, 1 / shrunk[1], half[1]], [0, 0, 1]])
        return cv2.warpAffine(picture, matrix, (size, size))

    grey = cv2.cvtColor(crop(1.1, 64), cv2.COLOR_BGR2GRAY).astype(np.float32)[None, :, :, None] / 127.5 - 1
    colour = crop(1.2, 112)[:, :, ::-1].astype(np.float32) - np.array([122.782, 117.001, 104.298], np.float32)
    fer_names = ("angry", "disgusted", "scared", "happy", "sad", "surprised", "neutral")
    face_api_names = ("neutral", "happy", "sad", "angry", "scared", "disgusted", "surprised")
    planes = colour.transpose(2, 0, 1)[None] / 255
    oarriaga = store.session("emotion_oarriaga_64").run({"input_1:0": grey})["Identity:0"][0]
    fer = store.session("emotion_fer_64").run({"input": grey})["predictions"][0]
    face_api = store.session("emotion_faceapi_112").run({"input": planes})["probs"][0]
    answers = [
        dict(zip(names, answer, strict=True))
        for names, answer in ((fer_names, oarriaga), (fer_names, fer), (face_api_names, face_api))
    ]
    small = np.array([[answer[emotion] for answer in answers for emotion in EMOTIONS]], np.float32)
    expected = store.session("emotion_fusion_small").run({"small": small})["probabilities"][0]
    np.testing.assert_allclose(face[Emotions].probabilities, expected, rtol=0, atol=0.08)  # shrunk in another way
