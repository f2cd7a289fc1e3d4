"""The parts of a stream's work, each alone, and what a user would write by hand. Run by tests.benchmarks.cost.

python -m tests.benchmarks.work WHAT CLIP prints {"frames": n, "cpu": s, "wall": s, "faces": n} of one run.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from models.store import ModelStore
from processors.face_detector import FaceDetector, FaceDetectorSettings
from processors.face_fitter import FaceFitter
from processors.types import Frame, Image, Pyramid, Sample

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


def pyav_onnxruntime() -> Step:
    """PyAV and onnxruntime in a loop, as a user would write it, to boxes in the frame's pixels."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(ModelStore().path("yunet_2023mar_dyn")), options)

    def step(frame: av.VideoFrame) -> int:
        image = bgr(frame)
        scale = SIDE / max(image.shape)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        net = np.zeros((-(-small.shape[0] // 32) * 32, -(-small.shape[1] // 32) * 32, 3), np.uint8)
        net[: small.shape[0], : small.shape[1]] = small
        outputs = session.run(None, {"input": net.transpose(2, 0, 1)[None].astype(np.float32)})
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

    return step


def opencv_by_hand(clip: Path) -> tuple[int, int]:
    """VideoCapture and FaceDetectorYN in a loop."""
    detect = cv2.FaceDetectorYN.create(
        str(ModelStore().path("yunet_2023mar_dyn")), "", (SIDE, SIDE), THRESHOLD, OVERLAP
    )
    capture = cv2.VideoCapture(str(clip))
    frames = faces = 0
    while True:
        more, image = capture.read()
        if not more:
            return frames, faces
        scale = SIDE / max(image.shape)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        detect.setInputSize((small.shape[1], small.shape[0]))
        _, found = detect.detect(small)
        frames += 1
        faces += 0 if found is None else len(found)


def loop(clip: Path, step: Step) -> tuple[int, int]:
    found = [step(frame) for frame in frames_of(clip)]
    return len(found), sum(found)


STEPS: dict[str, Callable[[], Step]] = {
    "decode": lambda: decode,
    "convert": lambda: convert,
    "detector": detector,
    "fitter": fitter,
    "pyav+onnxruntime": pyav_onnxruntime,
}


def main() -> None:
    what, clip = sys.argv[1], Path(sys.argv[2])
    if what == "opencv":
        run: Callable[[], tuple[int, int]] = lambda: opencv_by_hand(clip)  # noqa: E731
    else:
        step = STEPS[what]()
        run = lambda: loop(clip, step)  # noqa: E731
    cpu, wall = time.process_time(), time.monotonic()
    frames, faces = run()
    figures = {"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall}
    print(json.dumps(figures | {"frames": frames, "faces": faces}))


if __name__ == "__main__":
    main()
