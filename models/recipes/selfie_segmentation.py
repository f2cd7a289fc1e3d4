"""MediaPipe's Selfie Segmentation, from TFLite: what it has beside the operators of the face mesh."""

from pathlib import Path

import numpy as np
import onnx
import tflite
from onnx import TensorProto, helper

from models.recipes.tflite_to_onnx import Converter

MODEL = "selfie_segmentation.tflite"
OPSET = 14  # the first with HardSwish
UPSAMPLING = b"Convolution2DTransposeBias"
RELU, RELU6 = tflite.ActivationFunctionType.RELU, tflite.ActivationFunctionType.RELU6


def build(package: Path) -> bytes:
    """`package`: the unpacked tarball of @mediapipe/selfie_segmentation."""
    segmenter = Segmenter(tflite.Model.GetRootAsModel((package / MODEL).read_bytes(), 0))
    segmenter.add_operators()
    converted = segmenter.to_onnx()
    onnx.checker.check_model(converted, full_check=True)
    return converted.SerializeToString()


class Segmenter(Converter):
    def __init__(self, model: tflite.Model) -> None:
        super().__init__(model)
        self.names[int(self.graph.Outputs(0))] = "person"

    def add_operators(self) -> None:
        for i in range(self.graph.OperatorsLength()):
            operator = self.graph.Operators(i)
            code = self.model.OperatorCodes(operator.OpcodeIndex())
            builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            inputs, output = [int(i) for i in operator.InputsAsNumpy()], int(operator.Outputs(0))
            if code.CustomCode() == UPSAMPLING:
                self.upsampling(inputs, output)
            else:
                OPERATORS[builtin](self, operator, inputs, output)

    def to_onnx(self) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "selfie",
            [self._value(int(self.graph.Inputs(0)))],
            [self._value(int(self.graph.Outputs(0)))],
            self.initializers,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)

    def convolution(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        parameters = parsed(operator, tflite.Conv2DOptions)
        self._convolution(parameters, *inputs, self._raw(parameters, output), (0, 3, 1, 2), 1)
        self._activate(parameters, output)

    def depthwise_convolution(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        parameters = parsed(operator, tflite.DepthwiseConv2DOptions)
        channels = int(self.shapes[inputs[0]][3])
        self._convolution(parameters, *inputs, self._raw(parameters, output), (3, 0, 1, 2), channels)
        self._activate(parameters, output)

    def add(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        parameters = parsed(operator, tflite.AddOptions)
        self._node("Add", [self._input(i) for i in inputs], self._raw(parameters, output))
        self._activate(parameters, output)

    def multiply(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        parameters = parsed(operator, tflite.MulOptions)
        self._node("Mul", [self._input(i) for i in inputs], self._raw(parameters, output))
        self._activate(parameters, output)

    def relu(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        self._node("Relu", [self._name(inputs[0])], output)

    def sigmoid(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        self._node("Sigmoid", [self._name(inputs[0])], output)

    def hard_swish(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        self._node("HardSwish", [self._name(inputs[0])], output)

    def mean(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        parameters = parsed(operator, tflite.Pool2DOptions)
        if [parameters.FilterHeight(), parameters.FilterWidth()] != list(self.shapes[inputs[0]][1:3]):
            raise NotImplementedError("a mean of less than the whole picture")
        self._node("GlobalAveragePool", [self._name(inputs[0])], output)

    def resize(self, operator: tflite.Operator, inputs: list[int], output: int) -> None:
        parameters = parsed(operator, tflite.ResizeBilinearOptions)
        corners, centres = parameters.AlignCorners(), parameters.HalfPixelCenters()
        mode = "align_corners" if corners else "half_pixel" if centres else "asymmetric"
        size = self._constant(self.shapes[output][[0, 3, 1, 2]].astype(np.int64))
        inputs_of_node = [self._name(inputs[0]), "", "", size]
        self._node("Resize", inputs_of_node, output, mode="linear", coordinate_transformation_mode=mode)

    def upsampling(self, inputs: list[int], output: int) -> None:
        weights = self.constants[inputs[1]]  # output channels, height, width, input channels
        parts = [self._constant(weights.transpose(3, 0, 1, 2)), self._constant(self.constants[inputs[2]])]
        shape = weights.shape[1:3]
        self._node("ConvTranspose", [self._name(inputs[0]), *parts], output, kernel_shape=shape, strides=[2, 2])

    def _input(self, tensor: int) -> str:
        if tensor not in self.constants:
            return self._name(tensor)
        return self._constant(self.constants[tensor].reshape(-1, 1, 1))

    def _raw(self, parameters, output: int) -> int:
        """The tensor before the activation that is fused into an operator, if one is."""
        if parameters.FusedActivationFunction() == tflite.ActivationFunctionType.NONE:
            return output
        raw = len(self.tensors) + output
        self.names[raw] = f"{self._name(output)}_raw"
        return raw

    def _activate(self, parameters, output: int) -> None:
        activation = parameters.FusedActivationFunction()
        raw = self._name(len(self.tensors) + output)
        if activation == RELU:
            self._node("Relu", [raw], output)
        elif activation == RELU6:
            limits = [self._constant(np.float32(limit)) for limit in (0, 6)]
            self._node("Clip", [raw, *limits], output)

    def _value(self, tensor: int) -> onnx.ValueInfoProto:
        _, height, width, channels = (int(size) for size in self.shapes[tensor])
        return helper.make_tensor_value_info(self._name(tensor), TensorProto.FLOAT, [1, channels, height, width])


OPERATORS = {
    tflite.BuiltinOperator.DEQUANTIZE: Converter.dequantize,
    tflite.BuiltinOperator.CONV_2D: Segmenter.convolution,
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D: Segmenter.depthwise_convolution,
    tflite.BuiltinOperator.ADD: Segmenter.add,
    tflite.BuiltinOperator.MUL: Segmenter.multiply,
    tflite.BuiltinOperator.RELU: Segmenter.relu,
    tflite.BuiltinOperator.LOGISTIC: Segmenter.sigmoid,
    tflite.BuiltinOperator.HARD_SWISH: Segmenter.hard_swish,
    tflite.BuiltinOperator.AVERAGE_POOL_2D: Segmenter.mean,
    tflite.BuiltinOperator.RESIZE_BILINEAR: Segmenter.resize,
}


def parsed(operator: tflite.Operator, kind: type):
    table = operator.BuiltinOptions()
    options = kind()
    options.Init(table.Bytes, table.Pos)
    return options
