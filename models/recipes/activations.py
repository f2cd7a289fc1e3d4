"""Activations in operators that onnxruntime computes fast. Outputs differ by rounding at most.

PReLU becomes slope * x + (1 - slope) * relu(x): onnxruntime's own PRelu takes the numbers one by one, for up to half of
a network's time. ReLU6, where a converter wrote it in three operators, becomes Clip. Both then join the convolution
before them, or stay in the layout that convolutions like. OpenVINO joins PReLU itself: it is as fast as before with
most networks, and 4 ms slower with face_landmarks_478.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


def without_prelu(network: bytes) -> bytes:
    """Each slope is a constant of a channel, in NCHW."""
    model = onnx.load_from_string(network)
    graph = model.graph
    nodes = [part for node in graph.node for part in (_rectified(node, graph) if node.op_type == "PRelu" else [node])]
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unread(graph)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def with_clip(network: bytes) -> bytes:
    """max(min(relu(x), 6), 0) is Clip."""
    model = onnx.load_from_string(network)
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    zero, six = (numpy_helper.from_array(np.float32(value), name) for name, value in (("zero", 0), ("six", 6)))
    graph.initializer.extend([zero, six])
    for node in graph.node:
        if node.op_type == "Max" and (low := makers.get(node.input[0])) is not None and low.op_type == "Min":
            relu = makers[low.input[0]]
            bounds = [_constant(name, graph).item() for name in (low.input[1], node.input[1])]
            if relu.op_type != "Relu" or bounds != [6, 0]:
                raise ValueError(f"{node.name}: expected relu(x) between 0 and 6, got {relu.op_type} between {bounds}")
            node.CopyFrom(helper.make_node("Clip", [relu.input[0], zero.name, six.name], list(node.output)))
    _drop_unread(graph)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _rectified(prelu: onnx.NodeProto, graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    x, slope_name = prelu.input
    (y,) = prelu.output
    slope = _constant(slope_name, graph).astype(np.float32).reshape(-1, 1, 1)
    slopes, rest = (numpy_helper.from_array(part, f"{y}_{name}") for name, part in (("s", slope), ("r", 1 - slope)))
    graph.initializer.extend([slopes, rest])
    return [
        helper.make_node("Relu", [x], [f"{y}_relu"]),
        helper.make_node("Mul", [f"{y}_relu", rest.name], [f"{y}_above"]),
        helper.make_node("Mul", [x, slopes.name], [f"{y}_both"]),
        helper.make_node("Add", [f"{y}_both", f"{y}_above"], [y]),
    ]


def _constant(name: str, graph: onnx.GraphProto) -> NDArray[np.floating]:
    """Itself, or what a Cast or Reshape makes of one."""
    constants = {constant.name: constant for constant in graph.initializer}
    while name not in constants:
        (node,) = (node for node in graph.node if name in node.output)
        if node.op_type not in ("Cast", "Reshape"):
            raise ValueError(f"{node.name}: expected a constant slope, got one by {node.op_type}")
        name = node.input[0]
    return numpy_helper.to_array(constants[name])


def _drop_unread(graph: onnx.GraphProto) -> None:
    """What made slopes only."""
    outputs = {output.name for output in graph.output}
    while True:
        read = outputs | {name for node in graph.node for name in node.input}
        unread = [node for node in graph.node if not read.intersection(node.output)]
        if not unread:
            break
        for node in unread:
            graph.node.remove(node)
    for constant in [constant for constant in graph.initializer if constant.name not in read]:
        graph.initializer.remove(constant)
