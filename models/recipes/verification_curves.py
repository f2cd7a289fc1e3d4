"""Fits the matcher's curves: python -m models.recipes.verification_curves FOLDER [--out FILE]

All pairs within one half of the people of a labelled folder (labelled_faces.py) fit the curves, all within the other
half check them.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.recipes.labelled_faces import faces, is_fitted_on
from models.store import ModelStore
from processors.matcher import DISTANCES
from processors.template_extractor import TemplateExtractor
from processors.templates import unpack

FARTHEST = 2 * DISTANCES
FA_MEASURED = np.array([*10.0 ** np.arange(-4, 0, 0.5), 0.5, 0.75, 0.9, 0.99])  # the first: 50 of half a million pairs
FA_SMALLEST = 1e-6
FR_LEVELS = np.array([0.0, 0.002, 0.005, 0.01, 0.02, 0.05, *np.arange(0.1, 1.0, 0.05), 0.98, 0.99, 0.998, 1.0])


@dataclass(frozen=True, slots=True)
class Pairs:
    """Distances, ascending."""

    genuine: np.ndarray
    impostor: np.ndarray

    def fa(self, distance: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.impostor, distance, side="right") / len(self.impostor)

    def fr(self, distance: np.ndarray) -> np.ndarray:
        return 1 - np.searchsorted(self.genuine, distance, side="right") / len(self.genuine)

    def at_fa(self, rate: float) -> float:
        """The largest distance at which no more than this share of the impostors is accepted."""
        return float(self.impostor[int(rate * len(self.impostor))] - 1)

    def at_eer(self) -> float:
        return float(self.genuine[np.argmax(self.fa(self.genuine) >= self.fr(self.genuine))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, help="write the curves here")
    arguments = parser.parse_args()
    model, identities, embeddings = templates(arguments.folder)
    fitted_on = np.array([is_fitted_on(identity) for identity in identities])
    fitted, left_out = (pairs(identities[part], embeddings[part]) for part in (fitted_on, ~fitted_on))
    curves = fit(fitted)
    for name, part in (("fitted on", fitted), ("left out", left_out)):
        print(f"{name}: {len(part.genuine)} pairs of one person, {len(part.impostor)} of two")
        report(part, curves)
    if arguments.out:
        np.savez(arguments.out, model=np.frombuffer(model, np.uint8), **curves)


def templates(folder: Path) -> tuple[bytes, np.ndarray, np.ndarray]:
    """The model's id; of each picture with a face the identity, and the embedding as int8 (n, 256)."""
    extractor = TemplateExtractor(TemplateExtractor.Settings(), ModelStore())
    identities, embeddings = [], []
    for identity, pyramid, face in faces(folder):
        (template,) = extractor.estimate(pyramid, face)
        identities.append(identity)
        embeddings.append(unpack(template.blob, extractor.model))
    return extractor.model, np.array(identities), np.stack(embeddings)


def pairs(identities: np.ndarray, embeddings: np.ndarray) -> Pairs:
    unit = embeddings / np.linalg.norm(embeddings.astype(np.float64), axis=1, keepdims=True)
    first, second = np.triu_indices(len(unit), 1)
    distance = np.round((1 - (unit @ unit.T)[first, second]) * DISTANCES)
    same = identities[first] == identities[second]
    return Pairs(np.sort(distance[same]), np.sort(distance[~same]))


def fit(pairs: Pairs) -> dict[str, np.ndarray]:
    """Four arrays over the same distances, between which the matcher interpolates."""
    fa = np.log10(FA_MEASURED)
    fa_distance = np.array([pairs.at_fa(rate) for rate in FA_MEASURED])
    # Below what is measured log(fa) goes on at the slope of the last decade; the true one grows steeper.
    slope = (fa_distance[2] - fa_distance[0]) / (fa[2] - fa[0])
    smallest = np.floor(fa_distance[0] + (np.log10(FA_SMALLEST) - fa[0]) * slope)
    fa_distance = np.concatenate([[smallest], fa_distance, [pairs.impostor[-1]]])
    fa = np.concatenate([[np.log10(FA_SMALLEST)], fa, [0.0]])

    fr_distance, kept = np.unique(np.round(np.quantile(pairs.genuine, 1 - FR_LEVELS)), return_index=True)

    score_distance = [
        0,
        np.round(np.median(pairs.genuine)),
        pairs.at_fa(1e-4),
        pairs.at_eer(),
        np.round(np.median(pairs.impostor)),
        FARTHEST,
    ]
    score = [1, 0.95, 0.9, 0.5, 0.05, 0]

    distance = np.unique(np.concatenate([fa_distance, fr_distance, score_distance]))
    return {
        "distance": distance,
        "log_fa_r": np.interp(distance, fa_distance, fa),
        "fr_r": np.interp(distance, fr_distance, FR_LEVELS[kept]),
        "score": np.interp(distance, score_distance, score),
    }


def report(pairs: Pairs, curves: dict[str, np.ndarray]) -> None:
    print(f"  EER {pairs.fr(pairs.at_eer()):.4f} at distance {pairs.at_eer():.0f}")
    for rate in (1e-2, 1e-3, 1e-4, 1e-5):
        distance = pairs.at_fa(rate)
        said = np.interp(np.log10(rate), curves["log_fa_r"], curves["distance"])
        print(
            f"  FPR {rate:.0e}: TPR {1 - pairs.fr(distance):.4f} at distance {distance:.0f};"
            f" where fa_r says {rate:.0e}, {said:.0f}, it is {pairs.fa(said):.2e} and fr {pairs.fr(said):.4f},"
            f" fr_r says {np.interp(said, curves['distance'], curves['fr_r']):.4f}"
        )
    median = np.interp(np.median(pairs.genuine), curves["distance"], curves["score"])
    print(
        f"  median score of one person's pairs {median:.3f}, of two people's "
        f"{np.interp(np.median(pairs.impostor), curves['distance'], curves['score']):.3f}"
    )


if __name__ == "__main__":
    main()
