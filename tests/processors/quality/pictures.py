"""Ways in which a portrait gets worse, each by how much."""

from collections.abc import Callable

import cv2
import numpy as np

from processors.face_fitter import LEFT_EYE_OUTER, RIGHT_EYE_OUTER
from processors.quality.face import LEFT_EYE_RING, RIGHT_EYE_RING
from processors.quality.picture import People
from processors.types import FaceMesh, Floats, Image, Object

LOWER_JAW = (93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323)

Worse = Callable[[Image, Object, float], Image]


def blurred(picture: Image, face: Object, sigma: float) -> Image:
    return cv2.GaussianBlur(picture, (0, 0), sigma)  # type: ignore[return-value]


def shaken(picture: Image, face: Object, pixels: float) -> Image:
    return cv2.blur(picture, (int(pixels), 1))  # type: ignore[return-value]


def resampled(picture: Image, face: Object, factor: float) -> Image:
    """Shrunk and enlarged again."""
    height, width = picture.shape[:2]
    small = cv2.resize(picture, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height))  # type: ignore[return-value]


def noisy(picture: Image, face: Object, sd: float) -> Image:
    return _rounded(picture + np.random.default_rng(11).normal(0, sd, picture.shape))


def peppered(picture: Image, face: Object, share: float) -> Image:
    random = np.random.default_rng(11)
    spoilt = picture.copy()
    where = random.random(picture.shape[:2]) < share
    spoilt[where] = random.choice(np.array([0, 255], np.uint8), (int(where.sum()), 1))
    return spoilt


def dimmed(picture: Image, face: Object, share: float) -> Image:
    return _rounded(picture * (1 - share))


def flattened(picture: Image, face: Object, share: float) -> Image:
    """Of less contrast."""
    return _rounded(128 + (picture - 128.0) * (1 - share))


def veiled(picture: Image, face: Object, share: float) -> Image:
    return _rounded(picture * (1 - share) + 230 * share)


def burnt(picture: Image, face: Object, radius: float) -> Image:
    """With a spot of light on a cheek, of so many distances of the eyes."""
    spoilt = picture.copy()
    mesh = face[FaceMesh].points_xyz[:, :2]
    x, y = mesh[205].round().astype(int)
    cv2.circle(spoilt, (int(x), int(y)), round(radius * _eyes_apart(face)), (255, 255, 255), -1)
    return spoilt


def shaded(picture: Image, face: Object, share: float) -> Image:
    """Darker on the half of the face that is the darker one already."""
    x = face[FaceMesh].points_xyz[168, 0]
    ramp = 1 / (1 + np.exp(-(np.arange(picture.shape[1]) - x) / (0.25 * _eyes_apart(face))))
    mesh = face[FaceMesh].points_xyz[:, :2].round().astype(int)
    left, right = (picture[y, x].sum() for x, y in (mesh[205], mesh[425]))
    if left < right:
        ramp = 1 - ramp
    return _rounded(picture * (1 - share * ramp)[None, :, None])


def shut(picture: Image, face: Object, side: float) -> Image:
    """The left (0) or right (1) eye painted over with the skin about it, and lashes along the lower lid."""
    ring = (LEFT_EYE_RING, RIGHT_EYE_RING)[int(side)]
    points = face[FaceMesh].points_xyz[list(ring), :2].round().astype(np.int32)
    eye = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillConvexPoly(eye, cv2.convexHull(points), 255)
    spoilt = cv2.inpaint(picture, cv2.dilate(eye, np.ones((5, 5), np.uint8)), 5, cv2.INPAINT_TELEA)
    cv2.polylines(spoilt, [points[[0, *range(15, 7, -1)]]], False, (25, 25, 35), 2, cv2.LINE_AA)
    return spoilt  # type: ignore[return-value]


def brightened(picture: Image, face: Object, share: float) -> Image:
    """Overexposed by so much."""
    return _rounded(picture * (1 + share))


def compressed(picture: Image, face: Object, quality: float) -> Image:
    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1], 1)  # type: ignore[return-value]


def masked(picture: Image, face: Object, level: float) -> Image:
    """With a mask of this grey level over nose and mouth, folded twice."""
    mesh = face[FaceMesh].points_xyz[:, :2]
    spoilt = picture.copy()
    outline = mesh[[*LOWER_JAW, 6]].round().astype(np.int32)
    cv2.fillPoly(spoilt, [outline], (level, level, level), cv2.LINE_AA)
    for fold in ((205, 425), (57, 287)):
        left, right = mesh[list(fold)].round().astype(int).tolist()
        cv2.line(spoilt, left, right, (level * 0.8,) * 3, 2, cv2.LINE_AA)
    return spoilt


def watermarked(picture: Image) -> Image:
    """White letters across it, tiled, at half strength."""
    layer = picture.copy()
    for y in range(40, picture.shape[0], 110):
        for x in range(-20 - y % 3 * 40, picture.shape[1], 190):
            cv2.putText(layer, "SAMPLE", (x, y), cv2.FONT_HERSHEY_DUPLEX, 1.1, (255, 255, 255), 2, cv2.LINE_AA)
    return cv2.addWeighted(layer, 0.5, picture, 0.5, 0)  # type: ignore[return-value]


def checkered(picture: Image, people: People, contrast: float) -> Image:
    """Before a checkered wall; at 0 it is grey."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width] // 28
    wall = 190 + ((x + y) % 2 * 2.0 - 1) * contrast
    person = np.clip(cv2.resize(people.probabilities, (width, height)) * 1.6 - 0.3, 0, 1)[..., None]
    return _rounded(picture * person + wall[..., None] * (1 - person))


def _eyes_apart(face: Object) -> float:
    points: Floats = face[FaceMesh].points_xyz[[LEFT_EYE_OUTER, RIGHT_EYE_OUTER], :2]
    return float(np.linalg.norm(points[1] - points[0])) / 1.4


def _rounded(levels: Floats) -> Image:
    return np.rint(levels).clip(0, 255).astype(np.uint8)
