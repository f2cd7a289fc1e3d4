"""Fits how a template fuses its two networks: python -m models.recipes.identity_fusion FOLDER --out FILE

Two means and a PCA over one half of the people of a labelled folder (labelled_faces.py); no identity is read but for
the halves. The second network's weight is chosen by hand: .3, .7 and 1 tell people apart no better.
"""

import argparse
from pathlib import Path

import numpy as np

from models.recipes.labelled_faces import faces, is_fitted_on
from models.store import ModelStore
from processors.template_extractor import Embedder, aligned, beside, unit
from processors.templates import DIMENSIONS

WEIGHT = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="write the means and the basis here")
    arguments = parser.parse_args()
    embedder = Embedder(ModelStore())
    found = [embedder(aligned(pyramid, face)) for name, pyramid, face in faces(arguments.folder) if is_fitted_on(name)]
    sface, mobilefacenet = (unit(np.stack(part)) for part in zip(*found, strict=True))
    means = sface.mean(axis=0), mobilefacenet.mean(axis=0)
    joined = beside(sface, mobilefacenet, *means, WEIGHT)
    # Not centred: two templates are compared by their cosine, for which the origin matters.
    _, _, components = np.linalg.svd(joined, full_matrices=False)
    basis = components[:DIMENSIONS].T.astype(np.float32)
    np.savez(arguments.out, mean_sface=means[0], mean_mobilefacenet=means[1], weight=np.float32(WEIGHT), basis=basis)
    kept = np.square(joined @ basis).sum() / np.square(joined).sum()
    print(f"{len(found)} faces; {DIMENSIONS} of {joined.shape[1]} dimensions keep {kept:.4f} of the energy")


if __name__ == "__main__":
    main()
