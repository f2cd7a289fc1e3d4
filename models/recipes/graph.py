"""Writes a small network operator by operator."""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Tensors go by their names; each method returns that of the one it makes."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, value: ArrayLike, dtype: DTypeLike = np.float32) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: float) -> str:
        name = f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def squeezed(self, column: str, name: str) -> None:
        """(N, 1) as the output of this name, (N,)."""
        self._nodes.append(helper.make_node("Squeeze", [column, self.constant([1], np.int64)], [name]))

    def written(self, name: str, inputs: Mapping[str, int], output: str) -> bytes:
        """`inputs` have shape (N, their number), the output (N,)."""
        taken = [helper.make_tensor_value_info(of, TensorProto.FLOAT, ["N", width]) for of, width in inputs.items()]
        made = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N"])]
        graph = helper.make_graph(self._nodes, name, taken, made, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        return model.SerializeToString()
