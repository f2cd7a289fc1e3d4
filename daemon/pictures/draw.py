"""Draws what was found on a picture: boxes, landmarks and the axes of the pose."""

import cv2
import numpy as np

from processors.types import Confidence, Floats, Image, Landmarks, Object, Pose, Sample

BOX, POINT, TEXT = (80, 220, 80), (60, 60, 255), (255, 255, 255)
AXES = (((60, 60, 255), (1, 0, 0)), ((80, 220, 80), (0, 1, 0)), ((255, 120, 60), (0, 0, 1)))
"""Colour (BGR) and direction in the head's own frame: to its side, up, out of the face."""


def drawn(sample: Sample) -> Image:
    """A copy of the sample's picture with its objects drawn on it."""
    image = sample.frame.image.copy()
    thickness = max(1, round(max(image.shape[:2]) / 600))
    for obj in sample.objects:
        _draw_object(image, obj, thickness)
    return image


def _draw_object(image: Image, obj: Object, thickness: int) -> None:
    x1, y1, x2, y2 = obj.box_xyxy.round().astype(int).tolist()
    cv2.rectangle(image, (x1, y1), (x2, y2), BOX, thickness, cv2.LINE_AA)
    if Confidence in obj:
        label = f"{obj.label} {obj[Confidence].value:.2f}"
        cv2.putText(image, label, (x1, y1 - 2 * thickness), cv2.FONT_HERSHEY_SIMPLEX, 0.4 * thickness, TEXT, thickness)
    if Landmarks in obj:
        for x, y in obj[Landmarks].points_xy.round().astype(int).tolist():
            cv2.circle(image, (x, y), thickness, POINT, cv2.FILLED, cv2.LINE_AA)
    if Pose in obj and Landmarks in obj:
        nose = obj[Landmarks].points_xy[14]
        length = (x2 - x1) * 0.6
        for colour, axis in AXES:
            tip = nose + length * (rotation(obj[Pose]) @ axis)[:2] * (1, -1)
            cv2.arrowedLine(image, _pixel(nose), _pixel(tip), colour, thickness, cv2.LINE_AA, tipLength=0.15)


def rotation(pose: Pose) -> Floats:
    """(3, 3) Rz(roll) Ry(yaw) Rx(-pitch), y up, z toward the viewer: the inverse of processors.face_fitter.pose()."""
    yaw, pitch, roll = np.radians([pose.yaw, -pose.pitch, pose.roll])
    about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    return np.array(about_z) @ np.array(about_y) @ np.array(about_x)


def _pixel(point_xy: Floats) -> tuple[int, int]:
    x, y = point_xy.round().astype(int).tolist()
    return x, y
