import base64
import json
from datetime import datetime

import numpy as np
import pytest

from daemon.wire.v2 import StreamInfo, stream_document
from processors.types import Box, Confidence, FaceMesh, Frame, Object, Sample

FACE = Object("face", np.array([1.0, 2.0, 3.0, 4.0]))
FACE.put(Confidence(0.5))
BODY = Object("body", np.array([0.0, 0.0, 10.0, 10.0]))
SAMPLE = Sample(Frame.of(np.zeros((10, 10, 3), np.uint8)), [FACE, BODY])
INFO = StreamInfo("gate", "run-1", frame=3, pts=0.12, captured_at=1_700_000_000.25, width=10, height=10)
EMITS = frozenset({Box, Confidence, FaceMesh})


def test_the_document_of_a_frame() -> None:
    assert json.loads(stream_document(SAMPLE, EMITS, INFO, None)) == {
        "objects": [
            {"id": 0, "class": "face", "confidence": 0.5, "bbox": [0.1, 0.2, 0.3, 0.4]},
            {"id": 1, "class": "body", "bbox": [0.0, 0.0, 1.0, 1.0]},
        ],
        "stream": {
            "id": "gate",
            "run": "run-1",
            "frame": 3,
            "pts": 0.12,
            "captured_at": "2023-11-14T22:13:20.250000Z",
            "width": 10,
            "height": 10,
        },
    }


def test_a_picture_comes_only_where_one_is_given() -> None:
    document = json.loads(stream_document(SAMPLE, EMITS, INFO, b"jpeg"))
    bare = json.loads(stream_document(SAMPLE, EMITS, INFO, None))
    assert document == bare | {"_image": {"blob": base64.b64encode(b"jpeg").decode(), "format": "IMAGE"}}


@pytest.mark.parametrize("captured_at", [0.0, 1_700_000_000.0, 1_700_000_000.999999, 4_000_000_000.5])
def test_the_time_is_rfc_3339_in_utc(captured_at: float) -> None:
    info = StreamInfo("gate", "1", 0, 0.0, captured_at, 1, 1)
    assert info.captured_at_rfc3339.endswith("Z")
    assert datetime.fromisoformat(info.captured_at_rfc3339).timestamp() == pytest.approx(captured_at, abs=1e-6)
