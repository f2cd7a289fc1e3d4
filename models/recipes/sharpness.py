"""Fits the sharpness: draws blur on sharp portraits and learns its sigma from the measures of detail.

python -m models.recipes.sharpness FOLDER --out FILE

FOLDER holds portraits, one person each, as JPEG. The shipped file was fitted on 150.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from tqdm import tqdm

from models.store import ModelStore
from processors.quality.detail import NOISE_EYES, SHARPNESS_EYES, noise, sharpness_features
from processors.quality.eyes import MeshRefiner
from processors.quality.face import cutout
from processors.quality.geometry import eyes_distance
from processors.registry import build_chain
from processors.types import FaceMesh, Frame, Image, Pyramid, Sample

LOOKS = 12  # at each portrait, two of them sharp
OWN_BLUR = 0.5  # of a portrait that nobody has blurred


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the sharpness on portraits.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    features, sigmas = zip(*examples(sorted(arguments.folder.glob("*.jp*g"))), strict=True)
    x, y = np.array(features), np.log2(np.hypot(sigmas, OWN_BLUR))
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-6
    x = (x - mean) / deviation
    first, second = np.triu_indices(x.shape[1])
    ridge = RidgeCV(np.logspace(0, 4, 9)).fit(np.hstack([x, x[:, first] * x[:, second]]), y)
    np.savez(arguments.out, mean=mean, std=deviation, weights=ridge.coef_, bias=ridge.intercept_)


def examples(paths: list[Path]) -> Iterator[tuple[NDArray[np.float64], float]]:
    """Features, and the sigma in pixels of the cutout."""
    models = ModelStore()
    faces, refine = build_chain(["face-detector", "face-fitter"], {}, models), MeshRefiner(models)
    random = np.random.default_rng(1)
    for path in tqdm(paths):
        portrait = cv2.imread(str(path))
        sample = Sample(Frame.of(portrait))
        faces([sample])
        if not sample.objects:
            continue
        points = refine(sample.frame.pyramid, sample.objects[0][FaceMesh]).points_xy
        for look in range(LOOKS):
            apart = float(np.exp(random.uniform(np.log(28), np.log(150))))
            scale = apart / eyes_distance(points)
            picture = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            sigma = 0.0 if look % 6 == 0 else float(np.exp(random.uniform(np.log(0.4), np.log(8))))
            if sigma:
                picture = blurred(picture, sigma * max(1.0, apart / SHARPNESS_EYES), random)
            pyramid = Pyramid(spoilt(picture, random))
            face, for_noise = (cutout(pyramid, points * scale, limit) for limit in (SHARPNESS_EYES, NOISE_EYES))
            if face is not None:
                yield sharpness_features(face, noise(for_noise)), sigma


def blurred(picture: Image, sigma: float, random: np.random.Generator) -> Image:
    """By a Gaussian, by a shake in some direction or by shrinking and enlarging."""
    match random.integers(3):
        case 0:
            return cv2.GaussianBlur(picture, (0, 0), sigma)
        case 1:
            length = max(3, round(sigma * np.sqrt(12)) | 1)
            line = np.zeros((length, length), np.float32)
            line[length // 2] = 1
            turn = cv2.getRotationMatrix2D((length // 2, length // 2), random.uniform(0, 180), 1)
            line = cv2.warpAffine(line, turn, (length, length))
            return cv2.filter2D(picture, -1, line / line.sum())
        case _:
            height, width = picture.shape[:2]
            factor = max(1.0, sigma * 1.8)
            size = max(6, int(width / factor)), max(6, int(height / factor))
            small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def spoilt(picture: Image, random: np.random.Generator) -> Image:
    """By noise, compression and darkness, each now and then: they must not be taken for blur or hide it."""
    if random.random() < 0.45:
        levels = picture + random.normal(0, random.uniform(1, 14), picture.shape)
        picture = np.clip(levels, 0, 255).astype(np.uint8)
    if random.random() < 0.35:
        quality = int(random.uniform(25, 95))
        picture = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    if random.random() < 0.3:
        picture = (picture * (1 - random.uniform(0, 0.7))).astype(np.uint8)
    return picture


if __name__ == "__main__":
    main()
