"""Pictures that are made smaller on the way from the decoder's planes."""

from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from daemon.simulator.clip import Scene
from daemon.sources.planes import Bytes, Decoded, Mounted, read_bgr
from processors.types import Frame

SCENE = Scene(width=320, height=180)


def decoded(mounted: Mounted | None = None) -> Decoded:
    picture = av.VideoFrame.from_ndarray(SCENE.draw(0), format="bgr24").reformat(format="yuv420p")
    return Decoded(picture, mounted)


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
