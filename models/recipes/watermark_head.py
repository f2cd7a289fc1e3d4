"""Refits the head that tells watermarks by MobileNetV2's first 13 blocks, which stay as they are.

python -m models.recipes.watermark_head EARLIER FOLDER... --fonts FONTS --out FILE

EARLIER: a watermark_448.onnx, whose head is where the fit begins; for the shipped one that of release 0.1. Each FOLDER
holds pictures without a watermark and labels.csv with the column path; lines with x1, y1, x2, y2 (a face's box in
pixels) give portraits beside. FONTS: a folder of TrueType files. The shipped head was fitted in this way, on pictures
most of which may not be passed on (models/README.md).
"""

import argparse
import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.recipes.half_precision import halved
from models.recipes.watermarks import watermarked
from processors.arrays import fitted
from processors.quality.picture import PORTRAIT, WATERMARK_CELL, WATERMARK_SIDE, portrait, squared
from processors.types import Floats, Image, Pyramid

FEATURES = "wf"
HEAD = ("h1", "h2", "cells_logit", "cells", "flat", "top", "top_i", "z", "watermark", "w1", "w2", "w3")
CELLS = WATERMARK_SIDE // WATERMARK_CELL
LOOKS, MARKED_LOOKS = 6, 3  # at each picture: without a mark, and how many of these once more with one
LEAST_SIDE = 24
MARKED, CLEAN = 0.12, 0.005  # share of a cell under the mark, from and up to which it is an example
OF_EACH, RANDOM, HARDEST, HARDEST_OF_MARKED = 60, 40, 60, 15  # marked and clean cells of a picture
EPOCHS, BATCH, RATE, DECAY = 6, 512, 3e-4, 6e-4
SCALE, MIDDLE = 0.5, 5.5
"""Of the logit of a picture's largest cell.

A logistic regression on pictures that a head was not fitted on has .5 and 7. A lower middle finds more marks, and
scenes without lettering stay below it.
"""


@dataclass(frozen=True, slots=True)
class Head:
    """A perceptron of one hidden layer over the features of a cell."""

    first: Floats
    first_bias: Floats
    second: Floats
    second_bias: float

    def logits(self, vectors: Floats) -> Floats:
        hidden: Floats = np.maximum(vectors.astype(np.float32) @ self.first + self.first_bias, 0)
        return hidden @ self.second + self.second_bias


@dataclass(frozen=True, slots=True)
class Example:
    """The features (n, 960) of a look's cells and the share of each under the mark; the fold of its picture, 0 or 1."""

    vectors: Floats
    covered: Floats
    fold: int


def main() -> None:
    parser = argparse.ArgumentParser(description="Refit the watermark's head on marks drawn over clean pictures.")
    parser.add_argument("earlier", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--fonts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    model = onnx.load(arguments.earlier)
    earlier, trunk = head_of(model), without_head(model)
    fonts = sorted(arguments.fonts.rglob("*.ttf"))
    looks = [look for folder in arguments.folders for look in looks_of(folder, fonts)]
    found = list(examples(trunk, looks))
    heads = [fitted_head(earlier, [each for each in found if each.fold == fold]) for fold in (0, 1)]
    arguments.out.write_bytes(halved(with_head(trunk, mean_of(heads))))


def head_of(model: onnx.ModelProto) -> Head:
    arrays = {each.name.removesuffix("_h"): numpy_helper.to_array(each) for each in model.graph.initializer}
    w1, w2, b1, b2 = (arrays[name].astype(np.float32) for name in ("w1", "w2", "b1", "b2"))
    return Head(w1[:, :, 0, 0].T, b1, w2.ravel(), float(b2.item()))


def without_head(model: onnx.ModelProto) -> onnx.ModelProto:
    """Its output: (N, 960, 28, 28), what blocks 6 and 13 say of each cell."""
    graph = model.graph
    nodes = [node for node in graph.node if node.output[0] not in HEAD]
    used = {name for node in nodes for name in node.input}
    weights = [each for each in graph.initializer if each.name in used]
    for part, kept in ((graph.node, nodes), (graph.initializer, weights)):
        del part[:]
        part.extend(kept)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", "C", CELLS, CELLS]))
    return model


@dataclass(frozen=True, slots=True)
class Look:
    """A part of a picture, with a mark or without: `covered`, (h, w), is how much of a pixel it hides."""

    picture: Image
    covered: Floats
    fold: int


def looks_of(folder: Path, fonts: Sequence[Path]) -> Iterator[Look]:
    random = np.random.default_rng(7)
    boxes = defaultdict(list)
    with (folder / "labels.csv").open() as labels:
        for row in csv.DictReader(labels):
            corners = [row.get(name) for name in ("x1", "y1", "x2", "y2")]
            boxes[row["path"]] += [np.array(corners, np.float64)] if all(corners) else []
    for path, of_faces in boxes.items():
        picture = cv2.imread(str(folder / path))
        fold = hashlib.sha256(path.encode()).digest()[0] % 2
        for number in range(LOOKS):
            part = fitted(Pyramid(part_of(picture, of_faces, random)), WATERMARK_SIDE)  # type: ignore[arg-type]
            yield Look(spoilt(part, random), np.zeros(part.shape[:2]), fold)
            if number < MARKED_LOOKS:
                marked, covered = watermarked(part, random, fonts, logos=0)
                yield Look(spoilt(marked, random), covered, fold)


def part_of(picture: Image, boxes_xyxy: Sequence[Floats], random: np.random.Generator) -> Image:
    """The portrait about a face, not quite centred, or any window; mirrored every second time."""
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = window(width, height, random)
    if boxes_xyxy and random.random() < 0.6:
        box = boxes_xyxy[int(random.integers(len(boxes_xyxy)))]
        moved = box + random.normal(0, 0.1, 4) * float((box[2:] - box[:2]).max())
        about = portrait(_grown(moved, random.uniform(2, 4) / PORTRAIT), width, height)
        if (about[2:] - about[:2]).min() >= LEAST_SIDE:
            x1, y1, x2, y2 = about.astype(int).tolist()
    part = picture[y1:y2, x1:x2]
    return np.ascontiguousarray(part[:, ::-1] if random.random() < 0.5 else part)


def _grown(box_xyxy: Floats, scale: float) -> Floats:
    middle = np.tile((box_xyxy[:2] + box_xyxy[2:]) / 2, 2)
    return middle + (box_xyxy - middle) * scale


def window(width: int, height: int, random: np.random.Generator) -> tuple[int, int, int, int]:
    share = random.uniform(0.4, 1)
    x1, y1 = (int(random.uniform(0, (1 - share) * length)) for length in (width, height))
    return x1, y1, x1 + max(int(share * width), LEAST_SIDE), y1 + max(int(share * height), LEAST_SIDE)


def spoilt(picture: Image, random: np.random.Generator) -> Image:
    """Noise, darkness, light, blur, a veil, little contrast: no mark, and none hides one. Then JPEG."""
    levels = picture.astype(np.float32)
    match int(random.integers(10)):
        case 0:
            levels += random.normal(0, random.uniform(5, 30), levels.shape)
        case 1:
            levels *= random.uniform(0.25, 1.7)
        case 2:
            levels = 128 + (levels - 128) * np.float32(random.uniform(0.3, 0.8))
        case 3:
            levels = cv2.GaussianBlur(levels, (0, 0), random.uniform(0.6, 3))  # type: ignore[assignment]
        case 4:
            veil = np.float32(random.uniform(0.1, 0.4))
            levels = levels * (1 - veil) + 230 * veil
    quality = random.uniform(7, 40) if random.random() < 0.3 else random.uniform(40, 95)
    encoded = cv2.imencode(".jpg", levels.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR)  # type: ignore[return-value]


def examples(trunk: onnx.ModelProto, looks: Sequence[Look]) -> Iterator[Example]:
    session = onnxruntime.InferenceSession(trunk.SerializeToString(), providers=["CPUExecutionProvider"])
    for look in looks:
        height, width = look.picture.shape[:2]
        square = squared(Pyramid(look.picture), np.array([0.0, 0.0, width, height]))
        net = square[None, :, :, ::-1].astype(np.float32) / 127.5 - 1
        vectors = session.run([FEATURES], {"input": net})[0][0].reshape(-1, CELLS, CELLS)
        rows, columns = -(-height // WATERMARK_CELL), -(-width // WATERMARK_CELL)  # what is beyond is mirrored
        covered = np.zeros((WATERMARK_SIDE, WATERMARK_SIDE))
        covered[:height, :width] = look.covered
        shares = covered.reshape(CELLS, WATERMARK_CELL, CELLS, WATERMARK_CELL).mean(axis=(1, 3))
        inside = vectors[:, :rows, :columns].reshape(len(vectors), -1).T.astype(np.float16)
        yield Example(inside, shares[:rows, :columns].ravel(), look.fold)


def fitted_head(earlier: Head, found: Sequence[Example]) -> Head:
    """From the earlier head on, on marked cells, random clean ones and those that it takes for marked most."""
    random = np.random.default_rng(3)
    vectors, marked = [], []
    for each in found:
        is_marked = random.permutation(np.flatnonzero(each.covered > MARKED))[:OF_EACH]
        clean = np.flatnonzero(each.covered < CLEAN)
        hardest = HARDEST_OF_MARKED if each.covered.any() else HARDEST
        wrong = clean[np.argsort(-earlier.logits(each.vectors[clean]))[:hardest]]
        chosen = np.unique(np.concatenate([random.permutation(clean)[:RANDOM], wrong]))
        vectors.append(each.vectors[np.concatenate([is_marked, chosen])])
        marked.append(np.repeat([1.0, 0.0], [len(is_marked), len(chosen)]))
    return descended(earlier, np.concatenate(vectors).astype(np.float32), np.concatenate(marked), random)


def descended(head: Head, x: NDArray[np.float32], y: Floats, random: np.random.Generator) -> Head:
    """Adam (Kingma and Ba 2015) on the cross-entropy, over normalised features, at a rate that falls."""
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-3
    x = (x - mean) / deviation
    weights = [head.first * deviation[:, None], head.first_bias + mean @ head.first, head.second, head.second_bias]
    values: list[Floats] = [np.atleast_1d(np.array(each, np.float32)) for each in weights]
    means, squares = ([np.zeros_like(each) for each in values] for _ in range(2))
    batches = [
        batch for _ in range(EPOCHS) for batch in np.array_split(random.permutation(len(x)), len(x) // BATCH + 1)
    ]
    for step, batch in enumerate(batches, start=1):
        rate = RATE * (1.1 - step / len(batches))
        for index, slope in enumerate(slopes(values, x[batch], y[batch])):
            means[index] = 0.9 * means[index] + 0.1 * slope
            squares[index] = 0.999 * squares[index] + 0.001 * slope**2
            deviations = np.sqrt(squares[index] / (1 - 0.999**step)) + 1e-8
            values[index] = values[index] - rate * (means[index] / (1 - 0.9**step)) / deviations
    first = values[0] / deviation[:, None]
    return Head(first, values[1] - mean @ first, values[2], float(values[3].item()))


def slopes(values: Sequence[Floats], x: Floats, y: Floats) -> list[Floats]:
    """Of the loss, by each of a head's arrays."""
    first, first_bias, second, second_bias = values
    before = x @ first + first_bias
    hidden = np.maximum(before, 0)
    error = (1 / (1 + np.exp(-(hidden @ second + second_bias))) - y) / len(y)
    back = np.outer(error, second) * (before > 0)
    return [x.T @ back + DECAY * first, back.sum(axis=0), hidden.T @ error + DECAY * second, error.sum(keepdims=True)]


def mean_of(heads: Sequence[Head]) -> Head:
    """The mean of their weights, which differ little; scaled so that 0 is between pictures with a mark and without."""
    return Head(
        np.mean([head.first for head in heads], axis=0),
        np.mean([head.first_bias for head in heads], axis=0),
        np.mean([head.second for head in heads], axis=0) * SCALE,
        (float(np.mean([head.second_bias for head in heads])) - MIDDLE) * SCALE,
    )


def with_head(model: onnx.ModelProto, head: Head) -> onnx.ModelProto:
    """Its output: (N, 1, 28, 28), the probability of each cell."""
    graph = model.graph
    arrays = {
        "w1": head.first.T[:, :, None, None],
        "b1": head.first_bias,
        "w2": head.second[None, :, None, None],
        "b2": np.array([head.second_bias]),
    }
    for name, array in arrays.items():
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
    graph.node.append(helper.make_node("Conv", [FEATURES, "w1", "b1"], ["h1"], kernel_shape=[1, 1]))
    graph.node.append(helper.make_node("Relu", ["h1"], ["h2"]))
    graph.node.append(helper.make_node("Conv", ["h2", "w2", "b2"], ["cells_logit"], kernel_shape=[1, 1]))
    graph.node.append(helper.make_node("Sigmoid", ["cells_logit"], ["cells"]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("cells", TensorProto.FLOAT, ["N", 1, CELLS, CELLS]))
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    main()
