"""Nothing below a mask reaches a picture, a slot of an isolated decoder, the motion gate or a frame's image."""

from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from daemon.pictures.masks import Corners, covered, masked
from daemon.sources import make_source
from daemon.sources.base import InThread
from daemon.sources.isolated import Isolated
from daemon.sources.planes import Decoded, Masks, Mounted, as_stored, oriented
from daemon.sources.settings import SourceSettings
from daemon.sources.video import VideoReader
from processors.types import Frame, Image
from tests.fakes import CollectingFeed
from tests.sources.readers import InTurn
from tests.sources.videos import CODED, encode, textured, turned

TRIANGLE = ((0.2, 0.25), (0.71, 0.31), (0.43, 0.8))
SLIVER = ((0.9, 0.1), (0.9003, 0.1), (0.9, 0.9))
"""Less than a pixel wide."""
MASKS = (TRIANGLE, SLIVER)
BESIDE = 12
"""Pixels beside a mask whose chroma may be rounded to it, or mixed with it by swscale."""


@cache
def touched(corners: tuple[tuple[float, float], ...], width: int, height: int) -> npt.NDArray[np.bool_]:
    """Of a picture's pixels those that have one of many points of the polygon; by another way than OpenCV's."""
    random = np.random.default_rng(1)
    weights = random.dirichlet(np.ones(len(corners)) * 0.5, 60_000)
    points = weights @ np.array(corners) * (width, height)
    pixels = np.zeros((height, width), bool)
    columns, rows = points.astype(int).T
    pixels[rows.clip(0, height - 1), columns.clip(0, width - 1)] = True
    return pixels


@pytest.mark.parametrize("corners", [TRIANGLE, SLIVER, ((0, 0), (1, 0), (1, 1), (0, 1)), ((0, 0.5), (1, 0.5), (0, 1))])
@pytest.mark.parametrize("size", [(64, 48), (33, 21)])
def test_every_pixel_that_a_polygon_touches_is_covered_and_few_beside(corners: Corners, size: tuple[int, int]) -> None:
    below = touched(corners, *size)
    found = covered([corners], *size)
    assert found[below].all()
    reach = np.ones((5, 5), np.uint8)
    assert not (found & (cv2.dilate(below.astype(np.uint8), reach) == 0)).any()


FORMATS = (
    *("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "nv12", "nv21", "nv16"),
    *("yuv420p10le", "yuv422p12be", "p010le", "p016be", "gray", "gray10le", "gray16be", "yuva420p"),
    *("gbrp", "gbrp10le", "rgb24", "bgr0", "rgba", "rgb48be", "yuyv422", "uyvy422", "ya8"),
)


def in_form(image: Image, form: str, below: npt.NDArray[np.bool_], seed: int) -> av.VideoFrame:
    """A picture in a pixel format, whose bytes below the masks are noise of this seed."""
    picture = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=form)
    random = np.random.default_rng(seed)
    for plane in picture.planes:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        step = plane.line_size // plane.width
        at = below[:: below.shape[0] // plane.height, :: -(-below.shape[1] // plane.width)]
        where = np.repeat(at, step, axis=1)[: plane.height]
        rows[:, : where.shape[1]][where] = random.integers(0, 256, int(where.sum()), np.uint8)
    return picture


def far_from(below: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    near = cv2.dilate(below.astype(np.uint8), np.ones((2 * BESIDE + 1, 2 * BESIDE + 1), np.uint8))
    return np.asarray(near == 0)


@pytest.mark.parametrize("form", FORMATS)
def test_a_picture_of_any_format_says_nothing_of_what_is_below(form: str) -> None:
    """Two pictures that differ below a mask alone are one when it has been burnt in, and beside it nothing changes."""
    image = np.random.default_rng(2).integers(0, 256, (48, 64, 3), np.uint8)
    below = touched(TRIANGLE, 64, 48)
    after = []
    for seed in (3, 4):
        picture = in_form(image, form, below, seed)
        before = Decoded(picture)()
        masked = Decoded(Masks([TRIANGLE])(picture))
        after.append((masked(), masked.scaled(40, 30)))
        np.testing.assert_allclose(after[-1][0][far_from(below)].astype(int), before[far_from(below)], atol=2)
    assert after[0][0][below].max() <= 1
    for one, other in zip(*after, strict=True):  # also scaled on the way from the planes
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("orientation", range(8))
def test_corners_are_those_of_the_picture_as_it_is_shown(orientation: int) -> None:
    stored = covered([as_stored(TRIANGLE, orientation)], 64, 48)
    shown = oriented(np.repeat(stored[..., None], 3, axis=2).astype(np.uint8), orientation)[..., 0] > 0
    below = touched(TRIANGLE, shown.shape[1], shown.shape[0])
    assert shown[below].all()
    assert not (shown & (cv2.dilate(below.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0)).any()


async def frames_of(*sources: Path, isolated: bool, **settings: object) -> list[Frame]:
    """As the engine has them, of all sources one after the other."""
    readers = [VideoReader(SourceSettings.model_validate({"source": str(path), **settings})) for path in sources]
    feed = Converting()
    await (Isolated(InTurn(readers), "test") if isolated else InThread(InTurn(readers), "test")).run(feed)
    return feed.put_frames


class Converting(CollectingFeed):
    async def put(self, frame: Frame) -> None:
        _ = frame.image
        await super().put(frame)


@pytest.mark.slow
@pytest.mark.parametrize("isolated", [False, True])
async def test_nothing_below_comes_out_of_a_decoder_and_all_else_as_before(tmp_path: Path, isolated: bool) -> None:
    """Also where pictures are made from those before, in which the decoder still needs what we burn in."""
    videos = {
        name: textured(tmp_path / f"{place}.{coded.container}", coded)
        for place, (name, coded) in enumerate(CODED.items())
    } | {"turned": turned(tmp_path / "turned.mp4", 90)}
    plain = await frames_of(*videos.values(), isolated=isolated, mounted=270)
    hidden = await frames_of(*videos.values(), isolated=isolated, mounted=270, masks=MASKS)
    assert len(plain) == len(hidden) == 4 * len(videos)
    for place, (before, after) in enumerate(zip(plain, hidden, strict=True)):
        below = touched(TRIANGLE, after.width, after.height) | touched(SLIVER, after.width, after.height)
        mixed = list(videos)[place // 4] == "10 bits"  # swscale mixes the colour of what is beside into black
        assert after.image[below].max() <= (40 if mixed else 0)
        far = far_from(below)
        np.testing.assert_allclose(after.image[far].astype(int), before.image[far], atol=2)


def of_motion(path: Path, place: tuple[slice, slice]) -> Path:
    """Noise that changes at one place alone."""
    random = np.random.default_rng(5)
    pictures = [random.integers(0, 256, (180, 320, 3), np.uint8)] * 1
    for _ in range(5):
        changed = pictures[0].copy()
        changed[place] = random.integers(0, 256, changed[place].shape, np.uint8)
        pictures.append(changed)
    return encode(path, pictures)


@pytest.mark.parametrize(("place", "seen"), [((slice(30, 60), slice(100, 140)), 1), ((slice(0, 30), slice(0, 40)), 6)])
async def test_nothing_moves_below_a_mask(tmp_path: Path, place: tuple[slice, slice], seen: int) -> None:
    video = of_motion(tmp_path / "a.mp4", place)
    masks = [[(0.25, 0.1), (0.5, 0.1), (0.5, 0.4), (0.25, 0.4)]]
    motion = {"every": 100.0, "area": 0.001}
    assert len(await frames_of(video, isolated=False, motion=motion)) == 6
    assert len(await frames_of(video, isolated=False, motion=motion, masks=masks)) == seen


@pytest.mark.parametrize("mounted", [None, 90])
async def test_pictures_of_a_folder(tmp_path: Path, mounted: Mounted | None) -> None:
    """Their decoder has spread the chroma of what is below over pixels beside it."""
    red = np.zeros((64, 64, 3), np.uint8)
    red[16:48, 16:48, 2] = 255
    assert cv2.imwrite(str(tmp_path / "a.jpg"), red, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x221111])
    settings = SourceSettings(
        source=str(tmp_path), mounted=mounted, masks=(((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)),)
    )
    feed = CollectingFeed()
    await make_source(settings, "test").run(feed)
    (frame,) = feed.put_frames
    assert frame.image.max() <= 8  # what is left is the JPEG's own noise


def test_a_picture_without_masks_is_itself() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    assert masked(image, ()) is image
