"""The faces of a folder of labelled pictures, on which a template's means, basis and curves are fitted.

The folder holds labels.csv with the columns path and identity.
"""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from models.store import ModelStore
from processors.registry import build_chain
from processors.types import Frame, Object, Pyramid, Sample


def faces(folder: Path) -> Iterator[tuple[str, Pyramid, Object]]:
    """Identity, picture and the largest face, fitted; pictures without a face are left out."""
    chain = build_chain(["face-detector", "face-fitter"], {}, ModelStore())
    with (folder / "labels.csv").open() as labels:
        rows = list(csv.DictReader(labels))
    for row in tqdm(rows, unit="picture"):
        sample = Sample(Frame.of(cv2.imread(str(folder / row["path"]))))
        chain([sample])
        if sample.objects:
            largest = max(sample.objects, key=lambda face: np.prod(face.box_xyxy[2:] - face.box_xyxy[:2]))
            yield row["identity"], sample.frame.pyramid, largest


def is_fitted_on(identity: str) -> bool:
    """Half of the people, by a hash of their name: all fits are made on these, and reported on the others."""
    return hashlib.sha256(identity.encode()).digest()[-1] % 2 == 0
