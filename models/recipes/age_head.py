"""Fits what makes one age of age-v1 and faceres: a perceptron that corrects a blend of both ages, and a calibration.

python -m models.recipes.age_head FAIRFACE.npz FAIRFACE.csv EXACT.npz EXACT.csv --out FILE

The answers come from face_answers. FAIRFACE.csv has the columns path, gender (male, female) and age, an interval as
FairFace's authors write it (0-2, 3-9, 10-19, ..., more than 70): the perceptron is fitted by the likelihood of the
interval under a logistic distribution. EXACT.csv has path and age in years, for the twelve numbers of the calibration.
The shipped file was fitted on 9,946 men and 270 women of FairFace and on 1,008 faces of UTKFace, which is given out for
research; neither is part of this project. A second run gives the same bytes.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.recipes.face_answers import Answers, read
from models.recipes.graph import Graph
from processors import age

Singles = NDArray[np.float32]
Doubles = NDArray[np.float64]

FACERES_YEARS = np.arange(100.0)
"""What each class of faceres stands for."""
OLDEST = 95.0
SMALLEST = np.float32(np.exp(-16))
"""Probabilities are taken for at least this before their logarithm."""
LIMIT = 4.0  # standard deviations, beyond which an input counts as at them

# The blend of both ages that the perceptron corrects; fitted on the 1,008 faces too.
OFFSET, OF_AGE_V1, OF_FACERES = 2.074, (0.583, 0.060, -0.249, 0.294), (-0.034, 1.160, -0.606, -0.096)
KNOTS = (0, 20, 40, 55)
BEND = 12.0  # years

INTERVALS = {
    f"{low}-{high}": (low, high + 1) for low, high in ((0, 2), (3, 9), *((n, n + 9) for n in range(10, 70, 10)))
}
INTERVALS["more than 70"] = (70, 100)
OPEN = 1e3  # where an interval has no end, on the stretched scale
WOMEN_SHARE = 0.1
"""The weight of FairFace's women over that of its men: there were 270."""
MOST_WEIGHT = 40  # of a face of a rare age, over one of 20 to 29 years, if these had an interval of a year

FITS, HIDDEN, DROPPED, EPOCHS, BATCH, RATE, DECAY = 4, 64, 0.5, 20, 256, 1.5e-3, 0.1
OF_MEAN, OF_SQUARE = 0.9, 0.999  # what Adam keeps of its moments
RIDGE = 1e-2


class Perceptron(NamedTuple):
    """Inputs are (x - mean) * scale, within +-limit; what comes out is added to the stretched blend."""

    mean: Singles
    scale: Singles
    limit: Singles
    w1: Singles
    b1: Singles
    w2: Singles
    b2: np.float32


class Inputs(NamedTuple):
    """(n, 1213) not scaled, the widths of the blocks in them, and (n,) each network's age."""

    x: Singles
    widths: list[int]
    age_v1: Doubles
    faceres: Doubles


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the age of what age-v1 and faceres say.")
    for name in ("fairface", "fairface_labels", "exact", "exact_labels"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    perceptron = fitted(*read(arguments.fairface, arguments.fairface_labels))
    answers, rows = read(arguments.exact, arguments.exact_labels)
    columns, ages = calibration_columns(perceptron, answers), np.array([float(row["age"]) for row in rows])
    calibration = calibrated(columns, ages)
    errors = np.abs(np.clip(columns @ calibration, 0, OLDEST) - ages)
    print(f"{len(rows)} faces of the calibration: a mean error of {errors.mean():.2f} years")
    arguments.out.write_bytes(to_onnx(perceptron, calibration))


def stretched(years: ArrayLike) -> Doubles:
    """A scale on which errors are about even: ages are harder to tell apart the higher they are."""
    return np.log1p(np.asarray(years, float) / BEND)


def above(years: Doubles, knot: float) -> Doubles:
    return np.maximum(years - knot, 0)


def hinges(years: Doubles) -> Doubles:
    """(n, 4): a piecewise linear function's columns."""
    return np.stack([years, *(above(years, knot) for knot in KNOTS[1:])], axis=-1)


def blend(age_v1: Doubles, faceres: Doubles) -> Doubles:
    return np.clip(OFFSET + hinges(age_v1) @ OF_AGE_V1 + hinges(faceres) @ OF_FACERES, 0, OLDEST)


def inputs_of(answers: Answers) -> Inputs:
    """The hinges of both ages, the logarithms of age-v1's probabilities, faceres' features and its logarithms."""
    age_v1, faceres = answers["age_v1"] @ age.YEARS, answers["faceres_age"] @ FACERES_YEARS
    blocks = [
        np.concatenate([hinges(age_v1), hinges(faceres)], axis=-1) / 20,
        np.log(np.maximum(answers["age_v1"], SMALLEST)),
        answers["faceres_features"],
        np.log(np.maximum(answers["faceres_age"], SMALLEST)),
    ]
    x = np.concatenate(blocks, axis=-1).astype(np.float32)
    return Inputs(x, [block.shape[-1] for block in blocks], age_v1, faceres)


def fitted(answers: Answers, rows: list[dict[str, str]]) -> Perceptron:
    """The mean of FITS, as one with so many times the hidden units. The men alone say how inputs are scaled."""
    inputs = inputs_of(answers)
    men = np.array([row["gender"] == "male" for row in rows])
    share = np.concatenate([np.full(width, np.sqrt(8 / width)) for width in inputs.widths])
    mean, spread = inputs.x[men].mean(axis=0), inputs.x[men].std(axis=0) + 1e-3
    scale, limit = (share / spread).astype(np.float32), (LIMIT * share).astype(np.float32)
    scaled = np.clip((inputs.x - mean) * scale, -limit, limit)
    start = stretched(blend(inputs.age_v1, inputs.faceres)).astype(np.float32)
    intervals = np.array([INTERVALS[row["age"]] for row in rows], float)
    weight = weights_of([row["age"] for row in rows], men)
    fits = [fit(scaled, start, intervals, weight, seed) for seed in range(FITS)]
    return Perceptron(
        mean,
        scale,
        limit,
        w1=np.concatenate([one[0] for one in fits], axis=1),
        b1=np.concatenate([one[1] for one in fits]),
        w2=np.concatenate([one[2][:, 0] for one in fits]) / FITS,
        b2=np.float32(np.mean([one[3][0] for one in fits])),
    )


def weights_of(ages: list[str], men: NDArray[np.bool_]) -> Doubles:
    """(n,): every year of life counts alike, up to MOST_WEIGHT; all women together WOMEN_SHARE of all men."""
    count = {name: max(sum(name == one and man for one, man in zip(ages, men, strict=True)), 1) for name in INTERVALS}
    most = MOST_WEIGHT / count["20-29"]
    weight = np.array([min((INTERVALS[name][1] - INTERVALS[name][0]) / count[name], most) for name in ages])
    weight /= weight[men].mean()
    if not men.all():
        weight[~men] = WOMEN_SHARE * men.sum() / (~men).sum()
    return weight


def fit(x: Singles, start: Singles, intervals: Doubles, weight: Doubles, seed: int) -> list[Singles]:
    """w1, b1, w2 (hidden, 2) and b2 (2,) of mean and log spread, by AdamW with half of the hidden units dropped."""
    random = np.random.default_rng(seed)
    n, wide = x.shape
    low, high = intervals.T
    ends = np.stack([np.where(low <= 0, -OPEN, stretched(low)), np.where(high >= 100, OPEN, stretched(high))])
    ends = ends.astype(np.float32)
    middle = np.average(stretched((low + np.minimum(high, 90)) / 2) - start, weights=weight)
    drawn = [
        random.normal(0, np.sqrt(2 / wide), (wide, HIDDEN)),
        np.zeros(HIDDEN),
        random.normal(0, 0.1 / np.sqrt(HIDDEN), (HIDDEN, 2)),
        np.array([middle, -1.5]),
    ]
    parameters = [parameter.astype(np.float32) for parameter in drawn]
    adam = AdamW(parameters, steps=EPOCHS * (n // BATCH + 1))
    weight = (weight / weight.mean()).astype(np.float32)
    for _ in range(EPOCHS):
        order = random.permutation(n)
        for begin in range(0, n, BATCH):
            rows = order[begin : begin + BATCH]
            w1, b1, w2, b2 = parameters
            before = x[rows] @ w1 + b1
            kept = (random.random(before.shape, dtype=np.float32) > DROPPED) / np.float32(1 - DROPPED)
            hidden = np.maximum(before, 0) * kept
            of_out = slope(hidden @ w2 + b2, start[rows], ends[:, rows])
            of_out = (of_out * weight[rows, None] / len(rows)).astype(np.float32)
            back = (of_out @ w2.T) * kept * (before > 0)
            adam([x[rows].T @ back, back.sum(axis=0), hidden.T @ of_out, of_out.sum(axis=0)])
    return parameters


def slope(out: Singles, start: Singles, ends: Singles) -> Singles:
    """(n, 2): of the negative log likelihood of the intervals, by the mean's correction and the log spread."""
    low, high = ends
    mean, spread = out[:, 0] + start, np.exp(np.clip(out[:, 1], -4, 0.5))
    a, b = sigmoid((low - mean) / spread), sigmoid((high - mean) / spread)
    likelihood, at_low, at_high = np.maximum(b - a, 1e-6), a * (1 - a), b * (1 - b)
    of_mean = (at_high - at_low) / spread / likelihood
    of_high = np.where(high > OPEN / 10, 0, at_high * (high - mean) / spread)
    of_low = np.where(low < -OPEN / 10, 0, at_low * (low - mean) / spread)
    of_spread = (of_high - of_low) / likelihood
    return np.stack([of_mean, of_spread * ((out[:, 1] > -4) & (out[:, 1] < 0.5))], axis=1)


def sigmoid(x: Singles) -> Singles:
    return 1 / (1 + np.exp(-np.clip(x, -40, 40)))


class AdamW:
    """Loshchilov and Hutter 2019, at a rate that falls as a half cosine. Matrices decay, biases don't."""

    def __init__(self, parameters: list[Singles], steps: int) -> None:
        self._parameters = parameters
        self._means = [np.zeros_like(parameter) for parameter in parameters]
        self._squares = [np.zeros_like(parameter) for parameter in parameters]
        self._steps, self._step = steps, 0

    def __call__(self, gradients: list[Singles]) -> None:
        self._step += 1
        step = self._step
        rate = RATE * 0.5 * (1 + np.cos(np.pi * step / self._steps))
        for i, (parameter, gradient) in enumerate(zip(self._parameters, gradients, strict=True)):
            self._means[i] = OF_MEAN * self._means[i] + 0.1 * gradient
            self._squares[i] = OF_SQUARE * self._squares[i] + 0.001 * gradient * gradient
            size = np.sqrt(self._squares[i] / (1 - OF_SQUARE**step)) + 1e-8
            move = self._means[i] / (1 - OF_MEAN**step) / size
            parameter -= rate * (move + (DECAY * parameter if parameter.ndim == 2 else 0))


def calibration_columns(perceptron: Perceptron, answers: Answers) -> Doubles:
    """(n, 12)."""
    inputs = inputs_of(answers)
    v, f, female = inputs.age_v1, inputs.faceres, 1 - answers["faceres_male"][:, 0]
    m = corrected(perceptron, inputs)
    hinged = [m, above(m, 20), above(m, 40), above(m, 60), v, above(v, 40), f, above(f, 20), above(f, 40)]
    return np.stack([np.ones_like(m), *hinged, female * m / 2, female * above(m, 40)], axis=-1)


def corrected(perceptron: Perceptron, inputs: Inputs) -> Doubles:
    """(n,) years before the calibration."""
    x = np.clip((inputs.x - perceptron.mean) * perceptron.scale, -perceptron.limit, perceptron.limit)
    z = np.maximum(x @ perceptron.w1 + perceptron.b1, 0) @ perceptron.w2 + perceptron.b2
    return np.clip(BEND * np.expm1(stretched(blend(inputs.age_v1, inputs.faceres)) + z), 0, 100)


def calibrated(columns: Doubles, ages: Doubles) -> Doubles:
    """(12,): least squares. From 18 to 60 a face counts twice: else the old, whose errors are large, decide alone."""
    weight = np.where((ages >= 18) & (ages <= 60), 2.0, 1.0)[:, None]
    size = columns.std(axis=0) + 1e-6
    size[0] = 1
    scaled = columns / size
    penalty = RIDGE * len(scaled) * np.eye(scaled.shape[1])
    penalty[0, 0] = 0
    return np.linalg.solve((scaled * weight).T @ scaled + penalty, (scaled * weight).T @ ages) / size


def to_onnx(perceptron: Perceptron, calibration: Doubles) -> bytes:
    graph = Graph()
    node, constant = graph.node, graph.constant

    def clipped(x: str, low: float, high: float) -> str:
        return node("Clip", x, constant(low), constant(high))

    def over(x: str, knot: float) -> str:
        return x if knot == 0 else node("Relu", node("Sub", x, constant(knot)))

    v = node("MatMul", "age_v1", constant(age.YEARS[:, None]))
    f = node("MatMul", "faceres_age", constant(FACERES_YEARS[:, None]))
    hinged = node("Concat", *[over(x, knot) for x in (v, f) for knot in KNOTS], axis=1)
    weights = constant(np.array(OF_AGE_V1 + OF_FACERES)[:, None])
    blended = clipped(node("Gemm", hinged, weights, constant([OFFSET])), 0.0, OLDEST)
    blocks = [
        node("Div", hinged, constant(20.0)),
        node("Log", clipped("age_v1", SMALLEST, 1.0)),
        "faceres_features",
        node("Log", clipped("faceres_age", SMALLEST, 1.0)),
    ]
    centred = node("Sub", node("Concat", *blocks, axis=1), constant(perceptron.mean))
    x = node("Mul", centred, constant(perceptron.scale))
    x = node("Max", node("Min", x, constant(perceptron.limit)), constant(-perceptron.limit))
    hidden = node("Relu", node("Gemm", x, constant(perceptron.w1), constant(perceptron.b1)))
    z = node("Gemm", hidden, constant(perceptron.w2[:, None]), constant([perceptron.b2]))
    z = node("Add", z, node("Log", node("Add", node("Div", blended, constant(BEND)), constant(1.0))))
    m = clipped(node("Mul", node("Sub", node("Exp", z), constant(1.0)), constant(BEND)), 0.0, 100.0)
    female = node("Sub", constant(1.0), "faceres_male")
    columns = [m, over(m, 20), over(m, 40), over(m, 60), v, over(v, 40), f, over(f, 20), over(f, 40)]
    columns += [node("Mul", female, node("Div", m, constant(2.0))), node("Mul", female, over(m, 40))]
    joined = node("Concat", *columns, axis=1)
    years = node("Gemm", joined, constant(calibration[1:, None]), constant(calibration[:1]))
    graph.squeezed(clipped(years, 0.0, OLDEST), "years")
    inputs = {"age_v1": 81, "faceres_age": 100, "faceres_features": 1024, "faceres_male": 1}
    return graph.written("age_head", inputs, "years")


if __name__ == "__main__":
    main()
