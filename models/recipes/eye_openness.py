"""Trains the network that tells an open eye from a shut one.

python -m models.recipes.eye_openness FOLDER --out FILE

FOLDER holds crops of single eyes, about 1.6 x as wide as the distance of the eye's corners, and labels.csv with the
columns path and open (0 or 1). Both eyes of a face must be on one side of any split: else the test has seen them.
"""

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray

from processors.quality.eyes import EYE_CROP

EPOCHS = 60
BATCH = 32
K = tf.keras


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the eye's network on crops.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with (arguments.folder / "labels.csv").open() as labels:
        rows = list(csv.DictReader(labels))
    crops = [cv2.imread(str(arguments.folder / row["path"]), cv2.IMREAD_GRAYSCALE) for row in rows]
    save(trained(crops, np.array([int(row["open"]) for row in rows], np.float32)), arguments.out)


def trained(crops: list[NDArray[np.uint8]], is_open: NDArray[np.float32]) -> K.Model:
    random = np.random.default_rng(0)
    tf.random.set_seed(0)
    model = network()
    rate = K.optimizers.schedules.CosineDecay(2e-3, EPOCHS * len(crops) // BATCH)
    model.compile(K.optimizers.Adam(rate), K.losses.BinaryCrossentropy(label_smoothing=0.04))
    for _ in range(EPOCHS):
        looks = np.array([varied(crop, random) for crop in crops], np.float32)[..., None]
        model.fit(looks, is_open, batch_size=BATCH, verbose=0)
    return model


def network() -> K.Model:
    image = K.Input((EYE_CROP, EYE_CROP, 1))
    x = K.layers.Lambda(
        lambda t: (t - tf.reduce_mean(t, (1, 2), keepdims=True)) / (tf.math.reduce_std(t, (1, 2), keepdims=True) + 0.05)
    )(image)
    for filters, strides in ((16, 1), (24, 2), (32, 1), (48, 2), (64, 2)):
        x = K.layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        x = K.layers.ReLU()(K.layers.BatchNormalization()(x))
    x = K.layers.Dropout(0.4)(K.layers.Flatten()(x))
    return K.Model(image, K.layers.Dense(1, activation="sigmoid")(x))


def varied(crop: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.float64]:
    """Moved, turned, mirrored, lit otherwise, noisy, now and then as of a small face."""
    height, width = crop.shape
    side = width * random.uniform(0.7, 1.35)
    right, down = random.uniform(-0.09, 0.09, 2) * width
    centre = (width / 2 + right, height / 2 + down)
    matrix = cv2.getRotationMatrix2D(centre, random.uniform(-18, 18), EYE_CROP / side)
    matrix[:, 2] += EYE_CROP / 2 - np.array(centre)
    look = cv2.warpAffine(crop, matrix, (EYE_CROP, EYE_CROP), borderMode=cv2.BORDER_REPLICATE)
    if random.random() < 0.5:
        look = look[:, ::-1]
    if random.random() < 0.4:
        small = int(random.integers(9, 22))
        look = cv2.resize(cv2.resize(look, (small, small), interpolation=cv2.INTER_AREA), (EYE_CROP, EYE_CROP))
    levels = 255 * (look / 255) ** random.uniform(0.55, 1.8) * random.uniform(0.5, 1.3) + random.uniform(-25, 35)
    if random.random() < 0.3:
        slope = random.uniform(0, 60)
        levels += np.linspace(-slope, slope, EYE_CROP)[None]
    levels += random.normal(0, random.uniform(0, 8), levels.shape)
    return np.clip(levels, 0, 255) / 255


def save(model: K.Model, path: Path) -> None:
    spec = [tf.TensorSpec((None, 1, EYE_CROP, EYE_CROP), tf.float32, "input")]
    nchw = tf.function(lambda t: {"open": model(tf.transpose(t, (0, 2, 3, 1)), training=False)}, input_signature=spec)
    tf2onnx.convert.from_function(nchw, input_signature=spec, opset=17, output_path=str(path))


if __name__ == "__main__":
    main()
