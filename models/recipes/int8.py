"""NanoDet in 8 bits by onnxruntime's tools: activations of 0 to 255, weights of -127 to 127 for each output channel.

What reads the picture stays at float32, and so do the last convolutions, of which boxes are made. CPUs without VNNI add
two products in 16 bits (Intel, VPMADDUBSW), which may be too few: `whole_products_with` in the manifest has onnxruntime
take weights of 0 to 255 there.

The ranges of its activations are in nanodet_int8_ranges.json. They were found on some pictures with people, by

    python -m models.recipes.int8 PICTURE.jpg ...
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from models.recipes import tfjs
from models.store import ModelStore
from processors.arrays import fitted
from processors.body_detector import NANODET_SIDE, nanodet_input
from processors.types import Image, Pyramid

RANGES = Path(__file__).with_name("nanodet_int8_ranges.json")
OPERATORS = ["Conv", "LeakyRelu", "Concat", "Add", "Resize"]
INPUT = "input_1:0"
HEAD_CHANNELS = 124


def nanodet(package: Path) -> bytes:
    """`package`: as tfjs.nanodet's."""
    return quantized(tfjs.nanodet(package), RANGES)


def quantized(network: bytes, ranges: Path, pictures: Sequence[Image] = ()) -> bytes:
    """`ranges`: a file of the tools; one that is not there is written, from the pictures."""
    model = of_full_precision(onnx.load_from_string(network))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            str(out),
            Pictures(pictures),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=OPERATORS,
            nodes_to_exclude=[node.name for node in model.graph.node if is_at_an_end(node, model.graph)],
            calibration_cache_path=str(ranges),
        )
        return out.read_bytes()


class Pictures(CalibrationDataReader):  # type: ignore[misc]  # it has no types
    def __init__(self, pictures: Sequence[Image]) -> None:
        self._inputs = self._of(pictures)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._inputs, None)

    def _of(self, pictures: Sequence[Image]) -> Iterator[dict[str, NDArray[np.float32]]]:
        for picture in pictures:
            yield {INPUT: nanodet_input(fitted(Pyramid(picture), NANODET_SIDE))}


def is_at_an_end(node: onnx.NodeProto, graph: onnx.GraphProto) -> bool:
    if node.op_type != "Conv":
        return False
    (weight,) = [constant for constant in graph.initializer if constant.name == node.input[1]]
    return node.input[0] == INPUT or weight.dims[0] == HEAD_CHANNELS


def of_full_precision(model: onnx.ModelProto) -> onnx.ModelProto:
    """The file has its weights as halves, each with a cast behind it."""
    graph = model.graph
    halves = {constant.name: constant for constant in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Cast" and node.input[0] in halves]:
        half = halves[node.input[0]]
        graph.initializer.remove(half)
        graph.initializer.append(
            numpy_helper.from_array(numpy_helper.to_array(half).astype(np.float32), node.output[0])
        )
        graph.node.remove(node)
    return model


def main() -> None:
    RANGES.unlink(missing_ok=True)
    network = ModelStore().path("nanodet_g_416").read_bytes()
    quantized(network, RANGES, [cv2.imread(name) for name in sys.argv[1:]])  # type: ignore[misc]
    RANGES.write_text(json.dumps(json.loads(RANGES.read_text()), sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
