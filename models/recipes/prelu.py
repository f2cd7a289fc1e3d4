"""PReLU in operators that onnxruntime computes by vectors: slope * x + (1 - slope) * relu(x).

Its own PRelu takes the numbers one by one, for up to half of a network's time. In this form the rectifier joins the
convolution before it, and all stays in the layout that convolutions like. Outputs differ by rounding alone. OpenVINO is
as fast as before.
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
