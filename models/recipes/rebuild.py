"""Builds a model's file again from the package it came from: the same bytes, or what differs.

python -m models.recipes.rebuild NAME PACKAGE [--out FILE]      (README.md has where PACKAGE comes from)
"""

import argparse
import hashlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from models.manifest import Manifest
from models.recipes import (
    face_api_expression,
    face_landmarker,
    face_mesh,
    half_precision,
    identity,
    int8,
    keras_h5,
    selfie_segmentation,
    tfjs,
    yunet,
)
from models.store import ModelStore

RECIPES: dict[str, Callable[[Path], bytes]] = {
    "yunet_2023mar_dyn": yunet.build,
    "mp_face_landmark_468": face_mesh.landmarks,
    "facemesh_canonical": face_mesh.canonical,
    "sface_2021dec_int8bq_clean": identity.sface,
    "mobilefacenet_fp_512": identity.mobilefacenet,
    "age-v1": half_precision.age,
    "gender-v1": half_precision.gender,
    "liveness_minifasv2se_128": half_precision.liveness,
    "emotion_faceapi_112": face_api_expression.build,
    "emotion_fer_64": keras_h5.fer,
    "emotion_oarriaga_64": tfjs.oarriaga,
    "faceres_224": tfjs.faceres,
    "nanodet_g_416": tfjs.nanodet,
    "nanodet_g_416_int8": int8.nanodet,
    "people_movenet_multipose": tfjs.movenet,
    "face_landmarks_478": face_landmarker.landmarks,
    "face_blendshapes_52": face_landmarker.blendshapes,
    "selfie_seg_256": selfie_segmentation.build,
}
SIZES = {"N": 2, "H": 192, "W": 320}  # for the symbolic dimensions of a random input


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild a model's file from its package and compare it.")
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("package", type=Path, help="the unpacked package's folder")
    parser.add_argument("--out", type=Path, help="write the rebuilt file here")
    arguments = parser.parse_args()

    store = ModelStore()
    manifest = store.manifest(arguments.name)
    source = arguments.package / manifest.provenance.path
    if not source.is_file() or sha256(source.read_bytes()) != manifest.provenance.sha256:
        print(f"{source} is not there, or not the file of {manifest.provenance.package}")
        return 1
    built = RECIPES[arguments.name](arguments.package)
    if arguments.out:
        arguments.out.write_bytes(built)
    if sha256(built) == manifest.sha256:
        print(f"{manifest.file}: same bytes ({manifest.sha256})")
        return 0
    shipped = store.path(arguments.name).read_bytes()
    print(f"{manifest.file}: {len(built)} bytes instead of {len(shipped)}, sha256 {sha256(built)}")
    compare = network_differences if manifest.is_network else array_differences
    for line in compare(manifest, shipped, built):
        print(f"  {line}")
    return 1


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def network_differences(manifest: Manifest, shipped: bytes, built: bytes) -> Iterator[str]:
    old, new = onnx.load_from_string(shipped), onnx.load_from_string(built)
    for field in ("ir_version", "producer_name", "producer_version", "opset_import"):
        if getattr(old, field) != getattr(new, field):
            yield f"{field}: {getattr(old, field)!s} is now {getattr(new, field)!s}".replace("\n", " ")
    yield from node_differences(old.graph, new.graph)
    yield from weight_differences(initializers(old.graph), initializers(new.graph))
    inputs = random_inputs(manifest)
    for tensor, was, now in zip(manifest.outputs, run(shipped, inputs), run(built, inputs), strict=True):
        difference = np.abs(was - now).max() if was.shape == now.shape else f"{was.shape} is now {now.shape}"
        yield f"output {tensor.name} on random input, largest difference: {difference}"


def node_differences(old: onnx.GraphProto, new: onnx.GraphProto) -> Iterator[str]:
    if len(old.node) != len(new.node):
        yield f"nodes: {len(old.node)} are now {len(new.node)}"
    for was, now in zip(old.node, new.node, strict=False):
        if was != now:
            yield f"node {was.name} ({was.op_type}) is now {now.name} ({now.op_type}), or has other edges or attributes"


def weight_differences(old: dict[str, np.ndarray], new: dict[str, np.ndarray]) -> Iterator[str]:
    for name in sorted(old.keys() ^ new.keys()):
        yield f"{name}: only in the {'shipped' if name in old else 'rebuilt'} file"
    for name in sorted(old.keys() & new.keys()):
        was, now = old[name], new[name]
        if (was.dtype, was.shape) != (now.dtype, now.shape):
            yield f"{name}: {was.dtype}{list(was.shape)} is now {now.dtype}{list(now.shape)}"
        elif not np.array_equal(was, now):
            yield f"{name}: largest difference {np.abs(was - now).max()}"


def array_differences(manifest: Manifest, shipped: bytes, built: bytes) -> Iterator[str]:
    with np.load(io.BytesIO(shipped)) as old, np.load(io.BytesIO(built)) as new:
        yield from list(weight_differences(dict(old), dict(new))) or [
            "the arrays are equal: only their packing differs"
        ]


def initializers(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    return {initializer.name: numpy_helper.to_array(initializer) for initializer in graph.initializer}


def random_inputs(manifest: Manifest) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        tensor.name: random.random([SIZES.get(size, size) for size in tensor.shape]).astype(tensor.dtype)
        for tensor in manifest.inputs
    }


def run(model: bytes, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, inputs)


if __name__ == "__main__":
    sys.exit(main())
