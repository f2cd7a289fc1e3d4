"""Pictures that are made smaller on the way from the decoder's planes."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from daemon.simulator.clip import Scene
from daemon.sources.planes import Bytes, Decoded, Mounted, read_bgr
from models.store import ModelStore
from processors.face_detector import FaceDetector, FaceDetectorSettings
from processors.types import Confidence, Frame, Image, Object, Pyramid

SCENE = Scene(width=320, height=180)


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(FaceDetectorSettings(), ModelStore())


def stored() -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(SCENE.draw(0), format="bgr24").reformat(format="yuv420p")


def decoded(mounted: Mounted | None = None) -> Decoded:
    return Decoded(stored(), mounted)


def halved(picture: av.VideoFrame, mounted: Mounted | None = None) -> tuple[Image, Image]:
    """From the planes, and from the image."""
    load = Decoded(picture, mounted)
    assert load.halves
    return load.halved(), Pyramid(load()).level(1)


def difference(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    return float(np.abs(one.astype(float) - other).mean())


@pytest.mark.parametrize("mounted", [None, 90, 180])
def test_it_is_the_picture_made_smaller(mounted: Mounted | None) -> None:
    load = decoded(mounted)
    width, height = (side // 2 for side in load.displayed)
    expected = cv2.resize(load(), (width, height), interpolation=cv2.INTER_AREA)
    assert difference(load.scaled(width, height), expected) < 3


def test_the_planes_in_memory_give_the_same() -> None:
    load = decoded()
    layout = load.layout
    assert layout is not None
    memory: Bytes = np.zeros(layout.size, np.uint8)
    load.write_to(memory)
    assert difference(read_bgr(memory, layout, (160, 90)), load.scaled(160, 90)) < 1


def test_a_frame_is_not_converted_for_it() -> None:
    frame = Frame(decoded(), width=320, height=180)
    assert frame.scaled(160, 90).shape == (90, 160, 3)
    assert frame.load is not None
    before = frame.image
    assert difference(frame.scaled(160, 90), cv2.resize(before, (160, 90), interpolation=cv2.INTER_AREA)) < 1


@pytest.mark.parametrize("mounted", [None, 90, 180, 270])
@pytest.mark.parametrize("space", [1, 2, 5, 6], ids=["BT.709", "not said", "BT.470BG", "SMPTE 170M"])
@pytest.mark.parametrize("span", [0, 1, 2], ids=["not said", "limited", "full"])
def test_halved_from_its_planes_it_is_the_image_halved(mounted: Mounted | None, space: int, span: int) -> None:
    picture = stored()
    picture.colorspace, picture.color_range = space, span
    both = halved(picture, mounted)
    assert both[0].shape == both[1].shape
    apart = both[0].astype(int) - both[1]
    assert np.quantile(np.abs(apart), 0.99) <= 3  # swscale rounds down what is of limited range
    assert abs(apart.mean()) < 1.6
    assert (difference(*both), both[0].std()) < (1.6, 20)


def test_of_a_format_of_full_range_too() -> None:
    picture = stored().reformat(format="yuvj420p")
    both = halved(picture)
    assert difference(*both) < 1


@pytest.mark.parametrize("odd", [(319, 180), (320, 179)])
def test_what_cannot_be_halved_from_its_planes_is_halved_as_an_image(odd: tuple[int, int]) -> None:
    picture = stored()
    assert not Decoded(picture.reformat(format="yuv444p")).halves
    assert not Decoded(picture.reformat(width=odd[0], height=odd[1])).halves
    other = stored()
    other.colorspace = 9  # BT.2020
    frame = Frame(Decoded(other), width=320, height=180)
    np.testing.assert_array_equal(frame.pyramid.level(1), Pyramid(Decoded(other)()).level(1))
    assert frame.load is None


def test_a_frame_of_which_halves_alone_are_looked_at_is_not_converted() -> None:
    load = decoded()
    frame = Frame(load, width=320, height=180)
    half = frame.pyramid.level(1)
    np.testing.assert_array_equal(half, load.halved())
    assert frame.pyramid.level(2).shape == (45, 80, 3)
    assert frame.load is load
    assert frame.pyramid.nbytes == 320 * 180 * 3
    np.testing.assert_array_equal(frame.image, load())
    assert frame.load is None
    assert np.shares_memory(frame.pyramid.level(1), half)  # it looks the same whenever the image is made


def test_one_picture_is_converted_in_many_threads_at_once() -> None:
    load = decoded()
    expected = load()
    with ThreadPoolExecutor(8) as threads:
        for image in threads.map(lambda n: load() if n % 2 else load.scaled(64, 36), range(200)):
            assert image.shape == (36, 64, 3) or (image == expected).all()


def test_boxes_are_those_of_the_image(detector: FaceDetector) -> None:
    """In pixels of the network's input, whose long side is half of the picture's."""
    scene = Scene()
    apart, scores = [], []
    for index in range(0, scene.frames, 25):
        picture = av.VideoFrame.from_ndarray(scene.draw(index), format="bgr24").reformat(format="yuv420p")
        load = Decoded(picture)
        before = detector.detect(Pyramid(load()))
        after = detector.detect(Pyramid(load, size=load.displayed))
        assert len(before) == len(after) >= 2
        for one, other in zip(in_turn(before), in_turn(after), strict=True):
            apart += (np.abs(one.box_xyxy - other.box_xyxy) / 2).tolist()
            scores.append(abs(one[Confidence].value - other[Confidence].value))
    assert np.quantile(apart, 0.99) < 0.5
    assert max(scores) < 0.02


def in_turn(faces: list[Object]) -> list[Object]:
    return sorted(faces, key=lambda face: float(face.box_xyxy[0]))
