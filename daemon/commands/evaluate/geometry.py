"""Tasks on landmarks and head pose."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daemon.commands.evaluate.figures import Figure, Report, Row
from daemon.commands.evaluate.labels import POINTS, Picture
from daemon.commands.evaluate.metrics import angle_errors, mean, proportion
from daemon.commands.evaluate.task import Context, Task
from processors.face_fitter import SURE_PRESENCE
from processors.types import LANDMARK_NAMES, FaceMesh, Floats, Landmarks, Pose, Sample

OF_68: dict[str, tuple[int, ...]] = {
    "left_eye_brow_left": (17,),
    "left_eye_brow_up": (19,),
    "left_eye_brow_right": (21,),
    "right_eye_brow_left": (22,),
    "right_eye_brow_up": (24,),
    "right_eye_brow_right": (26,),
    "left_eye_left": (36,),
    "left_eye": (36, 37, 38, 39, 40, 41),
    "left_eye_right": (39,),
    "right_eye_left": (42,),
    "right_eye": (42, 43, 44, 45, 46, 47),
    "right_eye_right": (45,),
    "nose_left": (31,),
    "nose": (30,),
    "nose_right": (35,),
    "mouth_left": (48,),
    "mouth": (62, 66),
    "mouth_right": (54,),
    "chin": (8,),
}
"""The 300-W points (Sagonas et al. 2013) whose mean a landmark is compared with. The ears' bottoms have none."""

COLUMNS = frozenset(f"{axis}{i}" for axis in "xy" for i in range(POINTS))
OUTER_EYES = (36, 45)
PARTS = ("eye_brow", "eye", "nose", "mouth", "chin")
FAILED = 0.1

ANGLES = ("yaw", "pitch", "roll")
YAW_BANDS = ((0, 15), (15, 30), (0, 30), (30, 45), (45, 60), (60, 180))
CLEAR = 10.0  # degrees: a smaller angle's sign is in the labels' noise
LARGEST_SIGNED_YAW = 60.0


def normalised_errors(found: Floats, labelled: Floats) -> Floats:
    """(19,) distances of the landmarks of OF_68 from the labelled points, over that of the outer corners of the eyes.

    `found` is (21, 2) as Landmarks, `labelled` (68, 2).
    """
    wanted = np.array([labelled[list(points)].mean(axis=0) for points in OF_68.values()])
    compared = found[[LANDMARK_NAMES.index(name) for name in OF_68]]
    left, right = labelled[list(OUTER_EYES)]
    errors: Floats = np.linalg.norm(compared - wanted, axis=1) / np.linalg.norm(right - left)
    return errors


def observe_landmarks(picture: Picture, sample: Sample) -> Floats | None:
    """(19,) normalised errors; None where no face was found."""
    if not sample.objects:
        return None
    return normalised_errors(sample.objects[0][Landmarks].points_xy, picture.label.points())


def report_landmarks(seen: Sequence[Floats | None], context: Context) -> Report:
    found = [errors for errors in seen if errors is not None]
    figures = {"missed": proportion(len(seen) - len(found), len(seen))}
    rows = []
    if found:
        errors = np.stack(found)
        nme = errors.mean(axis=1)
        figures |= {
            "NME": mean(nme),
            "median": Figure(float(np.median(nme))),
            f"over {FAILED:g}": proportion(int(np.count_nonzero(nme > FAILED)), len(nme)),
        }
        names = list(OF_68)
        for part in PARTS:
            of_part = [i for i, name in enumerate(names) if part in name and (part != "eye" or "brow" not in name)]
            rows.append(Row(part, len(found), {"NME": mean(errors[:, of_part].mean(axis=1))}))
    return Report((Row("", len(seen), figures), *rows))


@dataclass(frozen=True, slots=True)
class Posed:
    """(3,) yaw, pitch and roll in degrees, labelled and found; these None where no face was found."""

    truth: Floats
    found: Floats | None
    presence: float


def observe_pose(picture: Picture, sample: Sample) -> Posed:
    truth = np.array([picture.label.number(name) for name in ANGLES])
    if not sample.objects:
        return Posed(truth, None, 0.0)
    face = sample.objects[0]
    pose = face[Pose]
    return Posed(truth, np.array([pose.yaw, pose.pitch, pose.roll]), face[FaceMesh].presence)


def report_pose(seen: Sequence[Posed], context: Context) -> Report:
    """Mean absolute errors by the labelled yaw, and where the mesh's presence says that they can be trusted."""
    found = [s for s in seen if s.found is not None]
    rows = [_pose_row("", seen)]
    for low, high in YAW_BANDS:
        of_band = [s for s in seen if low <= abs(s.truth[0]) < high]
        rows.append(_pose_row(f"|yaw| {low} to {high}" if high <= 60 else f"|yaw| from {low}", of_band))
    rows.append(_pose_row(f"presence from {SURE_PRESENCE:g}", [s for s in found if s.presence >= SURE_PRESENCE]))
    return Report(tuple(row for row in (*rows, _sign_row(found)) if row.count))


def _pose_row(name: str, seen: Sequence[Posed]) -> Row:
    found = [s for s in seen if s.found is not None]
    figures = {}
    if seen:
        figures["missed"] = proportion(len(seen) - len(found), len(seen))
    if found:
        errors = np.stack([angle_errors(s.found, s.truth) for s in found if s.found is not None])
        figures |= {angle: mean(errors[:, k]) for k, angle in enumerate(ANGLES)}
    return Row(name, len(seen), figures)


def _sign_row(found: Sequence[Posed]) -> Row:
    """How often an angle of CLEAR degrees or more has the right sign, profiles left out."""
    figures = {}
    count = 0
    for k, angle in enumerate(ANGLES):
        clear = [s for s in found if abs(s.truth[k]) >= CLEAR and abs(s.truth[0]) < LARGEST_SIGNED_YAW]
        if clear:
            right = sum(bool(np.sign(s.truth[k]) == np.sign(s.found[k])) for s in clear if s.found is not None)
            figures[f"sign of {angle}"] = proportion(right, len(clear))
            count = max(count, len(clear))
    return Row(f"angle from {CLEAR:g}, |yaw| to {LARGEST_SIGNED_YAW:g}", count, figures)


LANDMARKS = Task("landmarks", COLUMNS, "face-fitter", "found", observe_landmarks, report_landmarks)
POSE = Task("pose", frozenset(ANGLES), "face-fitter", "found", observe_pose, report_pose)
