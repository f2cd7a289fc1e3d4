"""YuNet as the OpenCV Zoo has it, for pictures of any size: what a user would take. Ours has its heads joined."""

from pathlib import Path

YUNET = Path(__file__).parent / "data" / "yunet_2023mar_zoo.onnx"
