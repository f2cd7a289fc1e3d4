"""Fits landmarks and head pose with MediaPipe's face mesh (Kartynnik et al. 2019, 468 points)."""

import math
from collections.abc import Iterable
from typing import ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from configs.section import Section
from models.manifest import ModelName
from models.store import ModelStore
from processors.arrays import angle_of, blob, crop_matrix, cropped, levelled_square
from processors.boxes import square
from processors.estimator import Estimator
from processors.quarter_turn import TURN_MODEL, UPRIGHT, QuarterTurns, TurnModel
from processors.types import FIVE_LANDMARKS, Box, FaceMesh, FivePoints, Floats, Landmarks, Object, Pose, Pyramid

CROP = 192
BOX_SCALE = MESH_SCALE = 1.5
POINTS_SCALE = 3.2
"""A crop's side over that of what it is laid about: a box; a mesh; eyes and mouth."""
SURE_PRESENCE = 0.99
LEAST_PRESENCE = 0.5  # for which a face is taken to lie otherwise than the detector said
TURNED = 25.0  # degrees
LEFT_EYE_OUTER, RIGHT_EYE_OUTER = 33, 263

MESH_POINTS: tuple[tuple[int, ...], ...] = (
    (70, 46),  # left_eye_brow_left
    (105, 52),
    (107, 55),
    (336, 285),  # right_eye_brow_left
    (334, 282),
    (300, 276),
    (33,),  # left_eye_left
    (33, 133, 159, 145),
    (133,),
    (362,),  # right_eye_left
    (362, 263, 386, 374),
    (263,),
    (177, 132),  # left_ear_bottom
    (129,),  # nose_left
    (1, 4),
    (358,),
    (401, 361),  # right_ear_bottom
    (61,),  # mouth_left
    (13, 14),
    (291,),
    (152,),  # chin
)
"""The mesh points whose mean is each of LANDMARK_NAMES."""
MEANS = np.zeros((len(MESH_POINTS), 468))
"""The weights of the mesh's points in these means."""
for _row, _points in zip(MEANS, MESH_POINTS, strict=True):
    _row[list(_points)] = 1 / len(_points)


class Crop(NamedTuple):
    """A square of a picture, turned so that a line at `angle` (radians, clockwise as seen) is level in it."""

    centre: Floats
    side: float
    angle: float


def about_box(box_xyxy: Floats, points_xy: Floats | None) -> Crop:
    """Turned so that the eyes are level; upright if it isn't known where they are."""
    return Crop(*square(box_xyxy, BOX_SCALE), 0.0 if points_xy is None else angle_of(*points_xy[:2]))


def about_points(points_xy: Floats) -> Crop:
    """Turned so that the mouth is below the eyes: in a profile, whether these are level says nothing."""
    eyes, mouth = points_xy[:2].mean(axis=0), points_xy[3:].mean(axis=0)
    width, height = (float(np.hypot(*(b - a))) for a, b in (points_xy[:2], (eyes, mouth)))
    return Crop((eyes + mouth) / 2, max(width, height, 1.0) * POINTS_SCALE, angle_of(eyes, mouth) - np.pi / 2)


def five_points(obj: Object) -> Floats | None:
    """(5, 2) as FivePoints: a detector's or a request's."""
    if FivePoints in obj:
        return obj[FivePoints].points_xy
    return obj[Landmarks].points_xy[FIVE_LANDMARKS] if Landmarks in obj else None


class FaceFitterSettings(Section):
    model: ModelName = Field(
        "mp_face_landmark_468", description="The face mesh model: a name that `visaged models` lists."
    )
    turn_model: TurnModel = TURN_MODEL


class FaceFitter(Estimator):
    """Lays a mesh over each face in two passes: the first, about the box, places and levels the second.

    One pass has mean errors of 3.6, 2.8 and 3.4 degrees (yaw, pitch, roll, within 30) where two have 2.2, 2.6 and 1.3.
    Where the mesh is unsure or the head is turned, both are done again about eyes and mouth, if the object has points
    of them: from 45 degrees on that takes a third to two thirds off the error. What comes of it is the answer, sure or
    not: a pose made of the five points alone is no better.

    Where further looks of the detector say that a face lies otherwise than it seemed, the mesh has the last word: it is
    laid both ways, and the surer one counts. So 3 of 74 rendered heads stay upright that the detector alone turns.
    """

    needs: ClassVar[frozenset[type]] = frozenset({Box})
    makes: ClassVar[frozenset[type]] = frozenset({FaceMesh, Landmarks, Pose})
    Settings: ClassVar = FaceFitterSettings

    def __init__(self, settings: FaceFitterSettings, models: ModelStore) -> None:
        self._session = models.session(settings.model)
        self._turns = QuarterTurns(settings.turn_model, models)
        with np.load(models.path("facemesh_canonical")) as canonical:
            self._basis = canonical["basis_ids"]
            vertices = canonical["vertices"][self._basis].astype(np.float64)
            self._canonical = weighted(vertices, canonical["basis_w"].astype(np.float64))

    def estimate(self, pyramid: Pyramid, obj: Object) -> Iterable[object]:
        turn = self._turns.find(pyramid, obj)
        mesh, head = self._both(pyramid, obj.box_xyxy, five_points(obj))
        if turn.points_xy is not None:
            other, turned_head = self._both(pyramid, obj.box_xyxy, turn.points_xy)
            if other.presence > max(mesh.presence, LEAST_PRESENCE):
                mesh, head = other, turned_head
            else:
                turn = UPRIGHT
        turn.lay_on(obj)
        return mesh, landmarks(mesh.points_xyz), head

    def _both(self, pyramid: Pyramid, box_xyxy: Floats, points: Floats | None) -> tuple[FaceMesh, Pose]:
        """About the box and, if need be, about the points."""
        mesh, head = self._fit(pyramid, about_box(box_xyxy, points))
        if points is not None and (mesh.presence < SURE_PRESENCE or abs(head.yaw) > TURNED):
            return self._fit(pyramid, about_points(points))
        return mesh, head

    def _fit(self, pyramid: Pyramid, crop: Crop) -> tuple[FaceMesh, Pose]:
        rough = self._pass(pyramid, crop).points_xyz[:, :2]
        angle = angle_of(rough[LEFT_EYE_OUTER], rough[RIGHT_EYE_OUTER])
        mesh = self._pass(pyramid, Crop(*levelled_square(rough, angle, MESH_SCALE), angle))
        return mesh, pose(mesh.points_xyz[self._basis], self._canonical)

    def _pass(self, pyramid: Pyramid, crop: Crop) -> FaceMesh:
        matrix = crop_matrix(*crop, CROP)
        face = cropped(pyramid, matrix, CROP, replicate=True)
        outputs = self._session.run({"input": blob(face, scale=1 / 255, rgb=True)})
        points = outputs["conv2d_21"].reshape(-1, 3).astype(np.float64)
        points[:, :2] = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        points[:, 2] *= crop.side / CROP
        return FaceMesh(points, 1 / (1 + math.exp(-outputs["conv2d_31"].item())))


def landmarks(mesh_xyz: Floats) -> Landmarks:
    """The 21 `fda` points of a mesh."""
    return Landmarks(MEANS @ mesh_xyz[:, :2])


def weighted(canonical_xyz: Floats, weights: Floats) -> Floats:
    """(n, 3): the canonical face's points less their weighted mean, times their weights."""
    shares = (weights / weights.sum())[:, None]
    result: Floats = shares * (canonical_xyz - (shares * canonical_xyz).sum(axis=0))
    return result


def pose(points_xyz: Floats, canonical: Floats) -> Pose:
    """The rotation that takes the canonical face's points to the mesh's: weighted orthogonal Procrustes (Kabsch 1976).

    Both (n, 3), the canonical ones as weighted() has them, with y up and z toward the viewer.
    R = Rz(roll) Ry(yaw) Rx(-pitch).
    """
    covariance = points_xyz.T @ canonical  # whose mean is 0: the mesh's need not be taken off
    covariance[1:] *= -1  # y and z of the mesh are the other way round
    u, _, vt = np.linalg.svd(covariance)
    r = u @ vt
    if np.linalg.det(r) < 0:  # a reflection
        r -= 2 * np.outer(u[:, 2], vt[2])
    return Pose(
        yaw=math.degrees(math.asin(min(max(-r[2, 0], -1.0), 1.0))),
        pitch=-math.degrees(math.atan2(r[2, 1], r[2, 2])),
        roll=math.degrees(math.atan2(r[1, 0], r[0, 0])),
    )
