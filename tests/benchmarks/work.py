"""The parts of a stream's work, each alone, and what a user would write by hand. Run by tests.benchmarks.cost.

python -m tests.benchmarks.work WHAT CLIP prints {"frames": n, "cpu": s, "wall": s, "faces": n} of one run. With
" (heap kept)" behind WHAT freed memory is kept, as visaged does it.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt

from daemon.prepare import keep_freed_memory
from models.store import ModelStore
from processors.face_detector import FaceDetector, FaceDetectorSettings
from processors.face_fitter import FaceFitter
from processors.types import Frame, Image, Pyramid, Sample
from tests.zoo import YUNET

HEAP_KEPT = " (heap kept)"
SIDE = 640
THRESHOLD, OVERLAP = 0.6, 0.3

Step = Callable[[av.VideoFrame], int]
"""Works on a frame and returns how many faces it found."""


def frames_of(clip: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_type = "NONE"
        yield from container.decode(stream)


def bgr(frame: av.VideoFrame) -> Image:
    return frame.to_ndarray(format="bgr24")  # type: ignore[return-value]


def decode(frame: av.VideoFrame) -> int:
    return 0


def convert(frame: av.VideoFrame) -> int:
    bgr(frame)
    return 0


def detector() -> Step:
    detect = FaceDetector(FaceDetectorSettings(close_ups=False), ModelStore())
    return lambda frame: len(detect.detect(Pyramid(bgr(frame))))


def fitter() -> Step:
    models = ModelStore()
    detect, fit = FaceDetector(FaceDetectorSettings(close_ups=False), models), FaceFitter(FaceFitter.Settings(), models)

    def step(frame: av.VideoFrame) -> int:
        sample = Sample(Frame.of(bgr(frame)))
        detect([sample])
        fit([sample])
        return len(sample.objects)

    return step


Network = Callable[[npt.NDArray[np.float32]], Sequence[npt.NDArray[np.float32]]]
"""From the blob to cls, obj and box at the strides 8, 16 and 32."""


def onnxruntime_network() -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(YUNET), options)
    return lambda blob: session.run(None, {"input": blob})


def openvino_network() -> Network:
    """bf16, where the CPU has it."""
    import openvino

    core = openvino.Core()
    model = core.read_model(YUNET)
    names = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox") for stride in (8, 16, 32)]
    hints = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 0, "INFERENCE_PRECISION_HINT": "bf16"}
    request = core.compile_model(model, "CPU", hints).create_infer_request()

    def run(blob: npt.NDArray[np.float32]) -> Sequence[npt.NDArray[np.float32]]:
        request.infer({"input": blob}, share_inputs=True)
        return [request.get_tensor(name).data for name in names]

    return run


def by_hand(network: Network) -> Callable[[Image], int]:
    """A network in a loop, as a user would write it, to boxes in the frame's pixels."""

    def detect(image: Image) -> int:
        scale = SIDE / max(image.shape)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        net = np.zeros((-(-small.shape[0] // 32) * 32, -(-small.shape[1] // 32) * 32, 3), np.uint8)
        net[: small.shape[0], : small.shape[1]] = small
        outputs = network(net.transpose(2, 0, 1)[None].astype(np.float32))
        boxes, scores = [], []
        for index, stride in enumerate((8, 16, 32)):
            cls, obj, box = outputs[index][0, :, 0], outputs[index + 3][0, :, 0], outputs[index + 6][0]
            score = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))
            for cell in np.nonzero(score > THRESHOLD)[0]:
                row, column = divmod(int(cell), net.shape[1] // stride)
                x, y = (column + box[cell, 0]) * stride, (row + box[cell, 1]) * stride
                w, h = np.exp(box[cell, 2:]) * stride
                boxes.append([(x - w / 2) / scale, (y - h / 2) / scale, w / scale, h / scale])
                scores.append(float(score[cell]))
        return len(cv2.dnn.NMSBoxes(boxes, scores, THRESHOLD, OVERLAP)) if boxes else 0

    return detect


def of_pyav(network: Network) -> Step:
    detect = by_hand(network)
    return lambda frame: detect(bgr(frame))


def opencv(detect: Callable[[Image], int], clip: Path) -> tuple[int, int]:
    """VideoCapture in a loop."""
    capture = cv2.VideoCapture(str(clip))
    frames = faces = 0
    while True:
        more, image = capture.read()
        if not more:
            return frames, faces
        frames += 1
        faces += detect(cast(Image, image))


def face_detector_yn() -> Callable[[Image], int]:
    yunet = cv2.FaceDetectorYN.create(str(YUNET), "", (SIDE, SIDE), THRESHOLD, OVERLAP)

    def detect(image: Image) -> int:
        scale = SIDE / max(image.shape)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        yunet.setInputSize((small.shape[1], small.shape[0]))
        _, found = yunet.detect(small)
        return 0 if found is None else len(found)

    return detect


def loop(clip: Path, step: Step) -> tuple[int, int]:
    found = [step(frame) for frame in frames_of(clip)]
    return len(found), sum(found)


STEPS: dict[str, Callable[[], Step]] = {
    "decode": lambda: decode,
    "convert": lambda: convert,
    "detector": detector,
    "fitter": fitter,
    "pyav+onnxruntime": lambda: of_pyav(onnxruntime_network()),
    "pyav+openvino": lambda: of_pyav(openvino_network()),
}
OPENCV: dict[str, Callable[[], Callable[[Image], int]]] = {
    "opencv": face_detector_yn,
    "opencv+onnxruntime": lambda: by_hand(onnxruntime_network()),
}


def main() -> None:
    what, clip = sys.argv[1].removesuffix(HEAP_KEPT), Path(sys.argv[2])
    if sys.argv[1].endswith(HEAP_KEPT):
        keep_freed_memory()
    if what in OPENCV:
        detect = OPENCV[what]()
        run: Callable[[], tuple[int, int]] = lambda: opencv(detect, clip)  # noqa: E731
    else:
        step = STEPS[what]()
        run = lambda: loop(clip, step)  # noqa: E731
    cpu, wall = time.process_time(), time.monotonic()
    frames, faces = run()
    figures = {"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall}
    print(json.dumps(figures | {"frames": frames, "faces": faces}))


if __name__ == "__main__":
    main()
