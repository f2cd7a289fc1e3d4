"""Fits what makes one answer of gender-v1 and faceres: logistic regression on their log odds and faceres' features.

python -m models.recipes.gender_head ANSWERS.npz LABELS.csv [ANSWERS.npz LABELS.csv ...] --out FILE

ANSWERS come from face_answers, LABELS have the columns path and gender (male, female). How much the odds count depends
on the age that faceres sees: either network is weak on children, and gender-v1 on the old. The shipped file was fitted
on 1,008 faces of UTKFace, which is given out for research, and 540 of FairFace; neither is part of this project.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.recipes.face_answers import Answers, read
from models.recipes.graph import Graph

Doubles = NDArray[np.float64]

PENALTY = 10.0  # on the squares of the weights; chosen by cross-validation
STEPS = 12
MOST_SURE = np.float32(1 - 1e-4)
"""Probabilities are taken for no nearer to 0 or 1 before their log odds."""
YEARS = np.arange(100.0)
"""What each class of faceres stands for."""
CHILDHOOD, LIFE = 15.0, 50.0  # years
FEATURES_SHARE = 3.0  # of all features together, beside the eight columns of odds and ages


class Scaling(NamedTuple):
    """(1024,) each: features less the mean, times the scale."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the gender of what gender-v1 and faceres say.")
    parser.add_argument("sets", type=Path, nargs="+", metavar="ANSWERS.npz LABELS.csv")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    sets = [read(*pair) for pair in zip(arguments.sets[::2], arguments.sets[1::2], strict=True)]
    answers = {name: np.concatenate([of_set[name] for of_set, _ in sets]) for name in sets[0][0]}
    male = np.array([row["gender"] == "male" for _, rows in sets for row in rows])
    scaling = scaling_of(answers["faceres_features"])
    columns = columns_of(answers, scaling)
    weights = fitted(columns, male)
    right = (sigmoid(columns @ weights[:-1] + weights[-1]) >= 0.5) == male
    print(f"{len(male)} faces; {right.mean():.3f} of these are right")
    arguments.out.write_bytes(to_onnx(weights, scaling))


def scaling_of(features: NDArray[np.float32]) -> Scaling:
    share = FEATURES_SHARE / np.sqrt(features.shape[1])
    return Scaling(features.mean(axis=0), share / (features.std(axis=0) + 1e-3))


def columns_of(answers: Answers, scaling: Scaling) -> NDArray[np.float32]:
    """(n, 1032)."""
    a, b = log_odds(answers["gender_v1_male"][:, 0]), log_odds(answers["faceres_male"][:, 0])
    years = answers["faceres_age"] @ YEARS
    young, aged = np.exp(-years / CHILDHOOD), years / LIFE
    few = np.stack([a, b, a * young, b * young, young, aged, a * aged, b * aged], axis=-1)
    return np.concatenate([few, (answers["faceres_features"] - scaling.mean) * scaling.scale], axis=-1)


def log_odds(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    clipped = np.clip(probability, 1 - MOST_SURE, MOST_SURE)
    return np.log(clipped / (1 - clipped))


def sigmoid(x: Doubles) -> Doubles:
    return 1 / (1 + np.exp(-x))


def fitted(columns: NDArray[np.float32], male: NDArray[np.bool_]) -> Doubles:
    """The weights, by Newton's method; the last one is the intercept, and has no penalty."""
    x = np.column_stack([columns, np.ones(len(columns))]).astype(np.float64)
    penalty = np.full(x.shape[1], PENALTY)
    penalty[-1] = 0
    weights = np.zeros(x.shape[1])
    for _ in range(STEPS):
        p = sigmoid(x @ weights)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(penalty + 1e-9)
        weights -= np.linalg.solve(hessian, x.T @ (p - male) + penalty * weights)
    return weights


def to_onnx(weights: Doubles, scaling: Scaling) -> bytes:
    graph = Graph()
    node, constant = graph.node, graph.constant

    def odds(name: str) -> str:
        p = node("Clip", name, constant(1 - MOST_SURE), constant(MOST_SURE))
        return node("Sub", node("Log", p), node("Log", node("Sub", constant(1.0), p)))

    a, b = odds("gender_v1_male"), odds("faceres_male")
    years = node("MatMul", "faceres_age", constant(YEARS[:, None]))
    young = node("Exp", node("Div", years, constant(-CHILDHOOD)))
    aged = node("Div", years, constant(LIFE))
    few = [a, b, node("Mul", a, young), node("Mul", b, young), young, aged, node("Mul", a, aged), node("Mul", b, aged)]
    centred = node("Sub", "faceres_features", constant(scaling.mean))
    features = node("Mul", centred, constant(scaling.scale))
    columns = node("Concat", *few, features, axis=1)
    logit = node("Gemm", columns, constant(weights[:-1, None]), constant(weights[-1:]))
    graph.squeezed(node("Sigmoid", logit), "male")
    inputs = {"gender_v1_male": 1, "faceres_male": 1, "faceres_age": 100, "faceres_features": 1024}
    return graph.written("gender_head", inputs, "male")


if __name__ == "__main__":
    main()
