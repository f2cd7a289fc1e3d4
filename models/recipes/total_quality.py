"""Fits the total: weights, none negative, by which the worse face of a pair says how alike the pair will be found.

python -m models.recipes.total_quality FOLDER --out FILE

FOLDER holds pictures and labels.csv with the columns path and person: two pictures or more of each person, good and
spoilt ones. The shipped weights were fitted in this way, on what two other recognisers say of each pair and with
another network for the eyes. The curve's x0 and w stay as they are: they put a score of 0.3 where half of the pairs are
missed at a false match rate of 1e-3, and 0.9 at the median good portrait.
"""

import argparse
import csv
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from tqdm import tqdm

from models.store import ModelStore
from processors.matcher import Matcher
from processors.quality import QualityEstimator
from processors.quality.picture import PersonSegmenter
from processors.quality.total import parts
from processors.registry import build_chain
from processors.template_extractor import Template
from processors.types import Frame, Sample

STRENGTH = 3.0  # of the regularisation

Face = tuple[dict[str, float], bytes]


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the total quality on pairs of pictures.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    models = ModelStore()
    matcher = Matcher(models)
    pairs = [pair for faces in people(arguments.folder, models).values() for pair in combinations(faces, 2)]
    names = list(pairs[0][0][0])
    worse = np.array([[min(a[name], b[name]) for name in names] for (a, _), (b, _) in pairs])
    distances = np.array([matcher.compare(a, b).distance for (_, a), (_, b) in pairs], np.float64)
    weights, bias = fitted(worse, (distances.mean() - distances) / distances.std())
    with np.load(models.path("quality_unified")) as shipped:
        curve = {name: shipped[name] for name in ("x0", "w")}
    np.savez(arguments.out, names=np.array(names), weights=weights, bias=bias, **curve)


def people(folder: Path, models: ModelStore) -> dict[str, list[Face]]:
    """Parts and template of the first face of each picture, by person."""
    chain = build_chain(["face-detector", "face-fitter", "mask-estimator", "emotion-estimator"], {}, models)
    extractor = build_chain(["template-extractor"], {}, models)
    quality, segmenter = QualityEstimator(QualityEstimator.Settings(), models), PersonSegmenter(models)
    found = defaultdict(list)
    with (folder / "labels.csv").open() as labels:
        rows = list(csv.DictReader(labels))
    for row in tqdm(rows):
        sample = Sample(Frame.of(cv2.imread(str(folder / row["path"]))))
        chain([sample])
        extractor([sample])
        for face in sample.objects[:1]:
            natives, _, _ = quality.measured(sample.frame.pyramid, face, segmenter(sample.frame.pyramid))
            found[row["person"]].append((parts(natives), face[Template].blob))
    return found


def fitted(worse: NDArray[np.float64], likeness: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Ridge regression with weights of 0 and more; the bias is free."""
    count = worse.shape[1]
    matrix = np.vstack([np.column_stack([worse, np.ones(len(worse))]), np.sqrt(STRENGTH) * np.eye(count + 1)[:-1]])
    low = np.append(np.zeros(count), -np.inf)
    solution = lsq_linear(matrix, np.concatenate([likeness, np.zeros(count)]), bounds=(low, np.inf)).x
    return solution[:-1], float(solution[-1])


if __name__ == "__main__":
    main()
