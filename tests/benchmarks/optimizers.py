"""Each network with all of onnxruntime's optimizers and without one: python -m tests.benchmarks.optimizers

CPU milliseconds of a run on one thread (the smallest of many: a busy machine only adds), and by how much the outputs
differ. What pays goes into the network's manifest (`without_optimizers`), with a feature of the CPU.
"""

import argparse
import time
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.cpu import cpu_features
from models.manifest import Manifest
from models.measurements import inputs_of
from models.store import ModelStore

VECTORS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")


def measure(models: ModelStore, manifest: Manifest, left_out: list[str], runs: int) -> tuple[float, NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    for key, value in manifest.session_options.items():
        options.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(
        models.path(manifest.name), options, ["CPUExecutionProvider"], disabled_optimizers=left_out
    )
    inputs, took = inputs_of(manifest), []
    for _ in range(runs):
        began = time.thread_time()
        outputs = session.run(None, inputs)
        took.append(time.thread_time() - began)
    return min(took) * 1000, np.concatenate([np.ravel(output) for output in outputs])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optimizer", default="NchwcTransformer")
    parser.add_argument("--runs", type=int, default=30)
    arguments = parser.parse_args()
    models = ModelStore()
    print(f"onnxruntime {onnxruntime.__version__}, {', '.join(f for f in VECTORS if f in cpu_features())}")
    print(f"{'network':34} {'all':>7} {'without':>7} ms   difference, of the largest output")
    for manifest in models.manifests():
        if not manifest.is_network:
            continue
        with_all, whole = measure(models, manifest, [], arguments.runs)
        without, other = measure(models, manifest, [arguments.optimizer], arguments.runs)
        difference = np.abs(whole - other).max() / max(np.abs(whole).max(), 1e-9)
        print(f"{manifest.name:34} {with_all:7.2f} {without:7.2f}      {difference:.0e}", flush=True)


if __name__ == "__main__":
    main()
