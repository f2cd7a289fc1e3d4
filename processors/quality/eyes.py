"""Whether the eyes are open: a mesh refined about eyes and mouth, its blink, and a network that looks at each eye."""

from typing import NamedTuple

import cv2
import numpy as np

from models.store import ModelStore
from processors.arrays import angle_of, crop_matrix, cropped, levelled_square, rows
from processors.chips import LEFT_EYE, RIGHT_EYE
from processors.quality.geometry import eye_centres
from processors.types import FaceMesh, Floats, Image, Pyramid

MESH_CROP = 256
MESH_SCALE = 1.5
EYE_CROP = 32
EYE_SCALE = 1.6
SMALLEST_EYE = 6.0

# Of the blendshapes; the subject's left eye is the image's right.
BLINK_LEFT, BLINK_RIGHT = 10, 9
BLENDSHAPE_POINTS = (
    *(0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80),
    *(81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153),
    *(154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249),
    *(251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314),
    *(317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382),
    *(384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, *range(468, 478)),
)


class Sides(NamedTuple):
    """0..1 for the image's left and right eye."""

    left: float
    right: float


class Refined(NamedTuple):
    """(478, 2) pixels of the picture: FaceMesh's points and five of each iris; and how much each eye is shut."""

    points_xy: Floats
    blink: Sides


class MeshRefiner:
    """MediaPipe's Face Landmarker (Grishchenko et al. 2020) and its blendshapes, on the crop that a mesh gives."""

    def __init__(self, models: ModelStore) -> None:
        self._landmarks = models.session("face_landmarks_478")
        self._blendshapes = models.session("face_blendshapes_52")

    def __call__(self, pyramid: Pyramid, mesh: FaceMesh) -> Refined:
        points = mesh.points_xyz[:, :2]
        angle = angle_of(*eye_centres(points))
        matrix = crop_matrix(*levelled_square(points, angle, MESH_SCALE), angle, MESH_CROP)
        crop = cropped(pyramid, matrix, MESH_CROP)
        outputs = self._landmarks.run({"input_12": rows(crop, scale=1 / 255)})
        refined = outputs["Identity"].reshape(-1, 3)[:, :2]
        # These are of one scale across and down; the network cares for no other.
        shapes = self._blendshapes.run({"serving_default_input_points:0": refined[None, list(BLENDSHAPE_POINTS)]})
        blinks = shapes["StatefulPartitionedCall:0"]
        blink = Sides(float(blinks[BLINK_LEFT]), float(blinks[BLINK_RIGHT]))
        return Refined(refined.astype(np.float64) @ matrix[:, :2].T + matrix[:, 2], blink)


class EyeClassifier:
    """A small network of our own, trained on crops of single eyes."""

    def __init__(self, models: ModelStore) -> None:
        self._session = models.session("eye_open_32")

    def __call__(self, pyramid: Pyramid, points_xy: Floats) -> Sides:
        """The probability that each eye of a mesh is open."""
        return Sides(*(self.of_crop(eye_crop(pyramid, points_xy[list(corners)])) for corners in (LEFT_EYE, RIGHT_EYE)))

    def of_crop(self, crop: Image) -> float:
        """The probability that the eye of a 32 x 32 crop is open."""
        levels = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).astype(np.float32)
        return float(self._session.run({"input": levels[None, None] / 255})["open"].item())


def eye_crop(pyramid: Pyramid, corners_xy: Floats) -> Image:
    """The square about the middle of an eye's corners, turned by quarters so that these are nearly level."""
    side = max(float(np.linalg.norm(corners_xy[1] - corners_xy[0])) * EYE_SCALE, SMALLEST_EYE)
    angle = round(angle_of(*corners_xy) / (np.pi / 2)) * np.pi / 2
    return cropped(pyramid, crop_matrix(corners_xy.mean(axis=0), side, angle, EYE_CROP), EYE_CROP, replicate=True)


def openness(open_probability: float, blink: float) -> float:
    """0..1; below 0.5, shut, only where both say so.

    The network alone calls one open eye in nine of whole faces shut (glasses that glare, dark and narrow eyes).
    """
    return max(open_probability, 1 - blink)
