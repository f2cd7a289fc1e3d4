"""face-api's expression network: only its weights are published, so its layers are built here, as its code has them.

The weights are uint8 with a scale and a minimum for each tensor; here they are stored in half precision.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.recipes.half_precision import halved

MANIFEST = "model/face_expression_model-weights_manifest.json"
BLOCKS = 4


def build(package: Path) -> bytes:
    """`package`: the unpacked tarball of @vladmandic/face-api."""
    network = Network(weights(package / MANIFEST))
    picture = "input"
    for i in range(BLOCKS):
        picture = network.dense_block(picture, f"dense{i}", is_first=i == 0)
    return halved(network.to_onnx(picture))


def weights(manifest: Path) -> dict[str, NDArray[np.float32]]:
    """TensorFlow.js's format: files of tensors one after the other, in the order of the manifest."""
    arrays: dict[str, NDArray[np.float32]] = {}
    for group in json.loads(manifest.read_text()):
        data = b"".join((manifest.parent / path).read_bytes() for path in group["paths"])
        offset = 0
        for entry in group["weights"]:
            size = int(np.prod(entry["shape"]))
            if "quantization" in entry:
                scale, minimum = entry["quantization"]["scale"], entry["quantization"]["min"]
                array = np.frombuffer(data, np.uint8, size, offset).astype(np.float32) * scale + minimum
                offset += size
            else:
                array = np.frombuffer(data, np.float32, size, offset)
                offset += 4 * size
            arrays[entry["name"]] = array.reshape(entry["shape"]).astype(np.float32)
        if offset != len(data):
            raise ValueError(f"{manifest}: expected {offset} bytes of weights, got {len(data)}")
    return arrays


class Network:
    """Names count up (w: weights, t: a node's output), so that the same weights give the same bytes."""

    def __init__(self, arrays: dict[str, NDArray[np.float32]]) -> None:
        self._arrays = arrays
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._count = 0

    def dense_block(self, picture: str, name: str, *, is_first: bool) -> str:
        """Four convolutions, each after the second fed with the sum of those before."""
        if is_first:
            kernel = self._weights(f"{name}/conv0/filters", (3, 2, 0, 1))
            bias = self._weights(f"{name}/conv0/bias")
            first = self._node("Conv", [picture, kernel, bias], strides=[2, 2], auto_pad="SAME_UPPER")
        else:
            first = self._separable(picture, f"{name}/conv0", stride=2)
        first = self._node("Relu", [first])
        total = self._node("Add", [first, self._separable(first, f"{name}/conv1")])
        third = self._separable(self._node("Relu", [total]), f"{name}/conv2")
        total = self._node("Add", [total, third])
        fourth = self._separable(self._node("Relu", [total]), f"{name}/conv3")
        return self._node("Relu", [self._node("Add", [total, fourth])])

    def to_onnx(self, picture: str) -> onnx.ModelProto:
        pooled = self._node("AveragePool", [picture], kernel_shape=[7, 7], strides=[2, 2])
        flat = self._node("Flatten", [pooled])
        logits = self._node("Gemm", [flat, self._weights("fc/weights"), self._weights("fc/bias")])
        self._nodes.append(helper.make_node("Softmax", [logits], ["probs"], axis=1))
        graph = helper.make_graph(
            self._nodes,
            "face_expression",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 112, 112])],
            [helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["N", 7])],
            self._initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model)
        return model

    def _separable(self, picture: str, name: str, *, stride: int = 1) -> str:
        channels = self._arrays[f"{name}/depthwise_filter"].shape[2]
        depthwise = self._weights(f"{name}/depthwise_filter", (2, 3, 0, 1))
        spread = self._node(
            "Conv", [picture, depthwise], group=channels, strides=[stride, stride], auto_pad="SAME_UPPER"
        )
        pointwise = self._weights(f"{name}/pointwise_filter", (3, 2, 0, 1))
        return self._node("Conv", [spread, pointwise, self._weights(f"{name}/bias")])

    def _weights(self, name: str, order: tuple[int, ...] | None = None) -> str:
        self._count += 1
        array = self._arrays[name] if order is None else self._arrays[name].transpose(order)
        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), f"w{self._count}"))
        return f"w{self._count}"

    def _node(self, operator: str, inputs: list[str], **attributes: object) -> str:
        self._count += 1
        self._nodes.append(helper.make_node(operator, inputs, [f"t{self._count}"], **attributes))
        return f"t{self._count}"
