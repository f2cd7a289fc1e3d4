"""TFLite to ONNX, for the seven operators of MediaPipe's face_landmark.tflite and no more.

TFLite has images as NHWC and weights as OHWI, ONNX has NCHW and OIHW. All constants are transposed on the way, so that
the graph needs no Transpose. Names (t: a tensor of TFLite, c: a constant, n: a node) follow from the file: the same
model gives the same bytes.
"""

from collections.abc import Callable

import numpy as np
import onnx
import tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 13
IR_VERSION = 8
DTYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
}


def convert(model: bytes) -> bytes:
    """The batch, 1 in TFLite, becomes the symbolic N. The input is called "input", outputs keep their names."""
    converter = Converter(tflite.Model.GetRootAsModel(model, 0))
    converter.add_operators()
    converted = converter.to_onnx()
    onnx.checker.check_model(converted, full_check=True)
    return converted.SerializeToString()


class Converter:
    def __init__(self, model: tflite.Model) -> None:
        self.model = model
        self.graph = model.Subgraphs(0)
        self.tensors = [self.graph.Tensors(i) for i in range(self.graph.TensorsLength())]
        self.shapes = [tensor.ShapeAsNumpy() for tensor in self.tensors]
        self.constants = self._constants()
        self.names = {self.graph.Inputs(0): "input"}
        self.names |= {i: self.tensors[i].Name().decode() for i in self.graph.OutputsAsNumpy()}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add_operators(self) -> None:
        for i in range(self.graph.OperatorsLength()):
            operator = self.graph.Operators(i)
            code = self.model.OperatorCodes(operator.OpcodeIndex())
            # Old files have the operator in the deprecated field, new ones with a code above 127 only in the other.
            builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            if builtin not in OPERATORS:
                raise NotImplementedError(f"TFLite operator {builtin}")
            OPERATORS[builtin](self, operator, [int(i) for i in operator.InputsAsNumpy()], int(operator.Outputs(0)))

    def to_onnx(self) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "g",
            [self._value(i) for i in self.graph.InputsAsNumpy()],
            [self._value(i) for i in self.graph.OutputsAsNumpy()],
            self.initializers,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    def dequantize(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        """Weights are stored as float16; they become float32 here, once."""
        self.constants[output] = self.constants[inputs[0]].astype(np.float32)

    def convolution(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        image, weights, bias = inputs
        self._convolution(options(operator, tflite.Conv2DOptions), image, weights, bias, output, (0, 3, 1, 2), 1)

    def depthwise_convolution(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        image, weights, bias = inputs
        channels = int(self.shapes[image][3])
        # 1, height, width, channels becomes channels, 1, height, width
        parameters = options(operator, tflite.DepthwiseConv2DOptions)
        self._convolution(parameters, image, weights, bias, output, (3, 0, 1, 2), channels)

    def max_pool(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        parameters = options(operator, tflite.Pool2DOptions)
        kernel = (parameters.FilterHeight(), parameters.FilterWidth())
        pads = self._pads(parameters, inputs[0], kernel, (1, 1))
        strides = [parameters.StrideH(), parameters.StrideW()]
        self._node("MaxPool", [self._name(inputs[0])], output, kernel_shape=kernel, strides=strides, pads=pads)

    def add(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        options(operator, tflite.AddOptions)
        self._node("Add", [self._name(i) for i in inputs], output)

    def prelu(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        image, slope = inputs
        per_channel = self.constants[slope].transpose(2, 0, 1)
        self._node("PRelu", [self._name(image), self._constant(per_channel)], output)

    def pad(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        image, amounts = inputs
        before, after = self.constants[amounts].astype(np.int64)[[0, 3, 1, 2]].T
        pads = self._constant(np.concatenate([before, after]))
        self._node("Pad", [self._name(image), pads], output, mode="constant")

    def _convolution(
        self, parameters, image: int, weights: int, bias: int, output: int, order: tuple[int, ...], groups: int
    ) -> None:
        kernel = self.constants[weights].shape[1:3]
        dilations = (parameters.DilationHFactor(), parameters.DilationWFactor())
        filters = self._constant(self.constants[weights].transpose(order))
        self._node(
            "Conv",
            [self._name(image), filters, self._constant(self.constants[bias])],
            output,
            kernel_shape=kernel,
            strides=[parameters.StrideH(), parameters.StrideW()],
            group=groups,
            dilations=dilations,
            pads=self._pads(parameters, image, kernel, dilations),
        )

    def _pads(self, parameters, image: int, kernel: tuple[int, int], dilations: tuple[int, int]) -> list[int]:
        """TFLite's SAME gives an output of ceil(size / stride), with the odd pixel at the right and the bottom."""
        if parameters.Padding() == tflite.Padding.VALID:
            return [0, 0, 0, 0]
        strides = (parameters.StrideH(), parameters.StrideW())
        total = [
            max((-(-size // stride) - 1) * stride + (length - 1) * dilation + 1 - size, 0)
            for size, stride, length, dilation in zip(self.shapes[image][1:3], strides, kernel, dilations, strict=True)
        ]
        before = [int(amount) // 2 for amount in total]
        return before + [int(amount) - half for amount, half in zip(total, before, strict=True)]

    def _node(self, kind: str, inputs: list[str], output: int, **attributes: object) -> None:
        name = f"n{len(self.nodes)}_{kind}"
        self.nodes.append(helper.make_node(kind, inputs, [self._name(output)], name=name, **attributes))

    def _constant(self, array: NDArray[np.generic]) -> str:
        name = f"c{len(self.initializers) + 1}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _name(self, tensor: int) -> str:
        return self.names.get(tensor, f"t{tensor}")

    def _value(self, tensor: int) -> onnx.ValueInfoProto:
        _, height, width, channels = (int(size) for size in self.shapes[tensor])
        return helper.make_tensor_value_info(self._name(tensor), TensorProto.FLOAT, ["N", channels, height, width])

    def _constants(self) -> dict[int, NDArray[np.generic]]:
        buffers = [self.model.Buffers(tensor.Buffer()) for tensor in self.tensors]
        return {
            i: buffers[i].DataAsNumpy().view(DTYPES[tensor.Type()]).reshape(self.shapes[i])
            for i, tensor in enumerate(self.tensors)
            if buffers[i].DataLength()
        }


OPERATORS: dict[int, Callable[[Converter, tflite.Operator, list[int], int], None]] = {
    tflite.BuiltinOperator.DEQUANTIZE: Converter.dequantize,
    tflite.BuiltinOperator.CONV_2D: Converter.convolution,
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D: Converter.depthwise_convolution,
    tflite.BuiltinOperator.MAX_POOL_2D: Converter.max_pool,
    tflite.BuiltinOperator.ADD: Converter.add,
    tflite.BuiltinOperator.PRELU: Converter.prelu,
    tflite.BuiltinOperator.PAD: Converter.pad,
}


def options(operator: tflite.Operator, kind: type):
    """The operator's options; an activation fused into it, which this model has nowhere, is refused."""
    table = operator.BuiltinOptions()
    parsed = kind()
    parsed.Init(table.Bytes, table.Pos)
    if parsed.FusedActivationFunction() != tflite.ActivationFunctionType.NONE:
        raise NotImplementedError("a fused activation")
    return parsed
