"""Each network by onnxruntime, and by OpenVINO at float32 and bfloat16: python -m tests.benchmarks.runtimes

CPU milliseconds of a run on one thread (the smallest of many: a busy machine only adds), and by how much the outputs
differ from onnxruntime's, as a part of the largest, or of 0.001 where all are smaller.
"""

import argparse
import math

import numpy as np

from models import onnxruntime, openvino
from models.cpu import cpu_features, cpu_model
from models.errors import UnreadableModel
from models.manifest import Manifest
from models.measurements import inputs_of, milliseconds
from models.network import Network, Precision
from models.onnxruntime import OnnxRuntimeNetwork
from models.openvino import OpenVinoNetwork
from models.store import ModelStore
from processors.types import Floats
from tests.benchmarks.optimizers import VECTORS

PRECISIONS: tuple[Precision, ...] = ("f32", "bf16")


def measured(network: Network, manifest: Manifest, rounds: int) -> tuple[float, Floats]:
    inputs = inputs_of(manifest)
    took = min(milliseconds(network, inputs) for _ in range(rounds))
    return took, np.concatenate([np.ravel(output) for output in network.new_run()(inputs)])


def by_openvino(models: ModelStore, manifest: Manifest, precision: Precision, rounds: int) -> tuple[float, Floats]:
    try:
        network = OpenVinoNetwork(manifest, models.path(manifest.name), precision)
    except UnreadableModel:
        return math.nan, np.array(math.nan)
    return measured(network, manifest, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    rounds = parser.parse_args().rounds
    models = ModelStore()
    print(f"onnxruntime {onnxruntime.version()}, OpenVINO {openvino.version()}, {cpu_model()}")
    print(", ".join(feature for feature in VECTORS if feature in cpu_features()))
    print(f"{'network':28} {'onnxruntime':>12} {'f32':>8} {'bf16':>8} ms   differences")
    for manifest in models.manifests():
        if not manifest.is_network:
            continue
        default, expected = measured(OnnxRuntimeNetwork(manifest, models.path(manifest.name)), manifest, rounds)
        others = [by_openvino(models, manifest, precision, rounds) for precision in PRECISIONS]
        scale = max(float(np.abs(expected).max()), 1e-3)
        differences = "  ".join(f"{np.abs(found - expected).max() / scale:.0e}" for _, found in others)
        f32, bf16 = (took for took, _ in others)
        print(f"{manifest.name:28} {default:12.2f} {f32:8.2f} {bf16:8.2f}      {differences}", flush=True)


if __name__ == "__main__":
    main()
