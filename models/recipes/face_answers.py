"""Keeps what the networks of age and gender say of labelled faces, for age_head and gender_head to be fitted on.

python -m models.recipes.face_answers FOLDER --out ANSWERS.npz

FOLDER holds pictures and labels.csv with the columns path and, if the faces are not to be found, x1, y1, x2, y2. Of
several faces that are found the one nearest the middle counts; pictures without a face are left out. `path` in the
answers says whose they are; the others are called as the heads' inputs.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.store import ModelStore
from processors import age, gender
from processors.arrays import blob
from processors.chips import DLIB_MEAN_RGB, aligned
from processors.face_detector import FaceDetector
from processors.face_fitter import FaceFitter
from processors.faceres import Faceres
from processors.types import FaceMesh, Frame, Object, Pyramid, Sample

Answers = dict[str, NDArray[np.float32]]
"""By the name of a head's input, (n, ...): a row a face."""

BOX = ("x1", "y1", "x2", "y2")


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep what the networks of age and gender say of labelled faces.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    networks = Networks(ModelStore())
    paths, answers = [], []
    for path, pyramid, face in faces(arguments.folder):
        paths.append(path)
        answers.append(networks(pyramid, face))
    columns = {name: np.concatenate([of_face[name] for of_face in answers]) for name in answers[0]}
    np.savez(arguments.out, path=np.array(paths), **columns)


def faces(folder: Path) -> Iterator[tuple[str, Pyramid, Object]]:
    """Each with its mesh."""
    models = ModelStore()
    detector, fitter = FaceDetector(FaceDetector.Settings(), models), FaceFitter(FaceFitter.Settings(), models)
    for row in rows_of(folder / "labels.csv"):
        frame = Frame.of(cv2.imread(str(folder / row["path"])))
        if row.get("x1"):
            face = Object("face", np.array([float(row[column]) for column in BOX]))
        else:
            found = detector.detect(frame.pyramid)
            if not found:
                continue
            middle = np.array([frame.width, frame.height]) / 2
            face = min(found, key=lambda one: np.linalg.norm(one.box_xyxy.reshape(2, 2).mean(axis=0) - middle))
        fitter([Sample(frame, [face])])
        yield row["path"], frame.pyramid, face


class Networks:
    """All whose outputs the heads take."""

    def __init__(self, models: ModelStore) -> None:
        self._age = models.session("age-v1")
        self._gender = models.session("gender-v1")
        self._faceres = Faceres("faceres_224", models)

    def __call__(self, pyramid: Pyramid, face: Object) -> Answers:
        mesh = face[FaceMesh].points_xyz
        large, small = (
            blob(aligned(pyramid, mesh, crop), mean=DLIB_MEAN_RGB, scale=1 / 256, rgb=True)
            for crop in (age.CROP, gender.CROP)
        )
        said = self._faceres(pyramid, face)
        return {
            "age_v1": self._age.run({"images": large})["probabilities"],
            "gender_v1_male": self._gender.run({"images": small})["probabilities"][:, 1:],
            "faceres_age": said.age,
            "faceres_features": said.features,
            "faceres_male": said.male,
        }


def rows_of(labels: Path) -> list[dict[str, str]]:
    with labels.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read(answers: Path, labels: Path) -> tuple[Answers, list[dict[str, str]]]:
    """The answers, and the labels' rows in their order."""
    with np.load(answers) as kept:
        columns = dict(kept)
    of_path = {row["path"]: row for row in rows_of(labels)}
    return columns, [of_path[path] for path in columns.pop("path")]


if __name__ == "__main__":
    main()
