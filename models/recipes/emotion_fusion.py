"""Fits what makes one answer of the three emotion networks: logistic regression on their log probabilities.

It is regularised so strongly that it is right more often than it says; a temperature makes its probabilities true.

python -m models.recipes.emotion_fusion FOLDER... --out FILE

Each FOLDER holds pictures of one face and labels.csv with the columns path, emotion (one of EMOTIONS) and subject, that
may be empty. Where no face is found the picture is taken to be the face. The shipped file was fitted on 804 faces of
six sets that are given out for research and are not part of this project; all classes weigh the same.
"""

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold

from models.store import ModelStore
from processors.emotion import EMOTIONS, EmotionEstimator
from processors.face_detector import FaceDetector
from processors.face_fitter import FaceFitter
from processors.types import FaceMesh, Frame, Image, Object, Sample

FLOOR = 1e-3  # added to each probability, so that its logarithm is finite
FOLDS = 5
STRENGTH = 0.002  # of the regularisation, as scikit-learn has it; chosen by cross-validation over people


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the fusion of the emotion networks on labelled faces.")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    answers, emotions, people = examples(arguments.folders)
    logs = np.log(answers + FLOOR)
    left_out = logits_left_out(logs, emotions, people)
    scale = temperature(left_out, emotions)
    right = (np.argmax(left_out, axis=1) == emotions).mean()
    before, after = (log_loss(emotions, softmax(logits, axis=1)) for logits in (left_out, left_out / scale))
    print(f"{len(emotions)} faces; of people left out {right:.3f} are right")
    print(f"temperature {scale:.3f}: of these a log loss of {after:.3f}, {before:.3f} without it")
    weights, bias = fitted(logs, emotions)
    arguments.out.write_bytes(to_onnx(weights / scale, bias / scale))


def examples(folders: list[Path]) -> tuple[NDArray[np.float64], NDArray[np.int_], list[str]]:
    """(n, 21) probabilities, (n,) indices into EMOTIONS, and who it is; a face without a subject is somebody else."""
    models = ModelStore()
    detector = FaceDetector(FaceDetector.Settings(), models)
    fitter = FaceFitter(FaceFitter.Settings(), models)
    estimator = EmotionEstimator(EmotionEstimator.Settings(), models)
    answers, emotions, people = [], [], []
    for folder in folders:
        with (folder / "labels.csv").open() as labels:
            rows = list(csv.DictReader(labels))
        for row in rows:
            frame = Frame.of(cv2.imread(str(folder / row["path"])))
            face = largest(detector.detect(frame.pyramid), frame.image)
            fitter([Sample(frame, [face])])
            answers.append(estimator.answers(frame.pyramid, face[FaceMesh].points_xyz))
            emotions.append(EMOTIONS.index(row["emotion"]))
            people.append(f"{folder.name}/{row['subject'] or row['path']}")
    return np.array(answers, np.float64), np.array(emotions), people


def largest(faces: list[Object], picture: Image) -> Object:
    height, width = picture.shape[:2]
    whole = Object("face", np.array([0.0, 0.0, width, height]))
    return max(faces, key=lambda face: np.prod(face.box_xyxy[2:] - face.box_xyxy[:2]), default=whole)


def fitted(logs: NDArray[np.float64], emotions: NDArray[np.int_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(21, 7) weights and (7,) biases."""
    mean, deviation = logs.mean(axis=0), logs.std(axis=0)
    model = LogisticRegression(C=STRENGTH, max_iter=1000, class_weight="balanced")
    model.fit((logs - mean) / deviation, emotions)
    weights = (model.coef_ / deviation).T
    return weights, model.intercept_ - mean @ weights


def logits_left_out(logs: NDArray[np.float64], emotions: NDArray[np.int_], people: list[str]) -> NDArray[np.float64]:
    """(n, 7): of each face by a fit on other people."""
    logits = np.empty((len(emotions), len(EMOTIONS)))
    for others, left_out in GroupKFold(FOLDS).split(logs, groups=people):
        weights, bias = fitted(logs[others], emotions[others])
        logits[left_out] = logs[left_out] @ weights + bias
    return logits


def temperature(logits: NDArray[np.float64], emotions: NDArray[np.int_]) -> float:
    """What divides the logits so that their probabilities are right (Guo et al. 2017); no order changes."""

    def loss(scale: float) -> float:
        return float(log_loss(emotions, softmax(logits / scale, axis=1)))

    return float(minimize_scalar(loss, bounds=(0.05, 20), method="bounded").x)


def to_onnx(weights: NDArray[np.float64], bias: NDArray[np.float64]) -> bytes:
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["small"], ["positive"]),
            helper.make_node("Add", ["positive", "floor"], ["raised"]),
            helper.make_node("Log", ["raised"], ["logs"]),
            helper.make_node("Gemm", ["logs", "weights", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "fusion",
        [helper.make_tensor_value_info("small", TensorProto.FLOAT, ["N", 3 * len(EMOTIONS)])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(EMOTIONS)])],
        [
            numpy_helper.from_array(np.float32(FLOOR), "floor"),
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
            numpy_helper.from_array(bias.astype(np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


if __name__ == "__main__":
    main()
