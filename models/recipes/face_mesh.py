"""MediaPipe's face mesh: the network for 468 landmarks, and the canonical face that a pose is fitted to."""

import io
import json
import re
from pathlib import Path

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from models.recipes.activations import without_prelu
from models.recipes.tflite_to_onnx import convert

# The part that is read of GeometryPipelineMetadata (mediapipe/modules/face_geometry/protos).
SCHEMA = """
name: "geometry_pipeline_metadata.proto"
message_type {
  name: "Mesh3d"
  field { name: "vertex_buffer" number: 3 label: LABEL_REPEATED type: TYPE_FLOAT }
}
message_type {
  name: "WeightedLandmarkRef"
  field { name: "landmark_id" number: 1 label: LABEL_OPTIONAL type: TYPE_UINT32 }
  field { name: "weight" number: 2 label: LABEL_OPTIONAL type: TYPE_FLOAT }
}
message_type {
  name: "GeometryPipelineMetadata"
  field { name: "canonical_mesh" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: "Mesh3d" }
  field {
    name: "procrustes_landmark_basis" number: 2
    label: LABEL_REPEATED type: TYPE_MESSAGE type_name: "WeightedLandmarkRef"
  }
}
"""
VERTEX = 5  # floats: x, y, z and two texture coordinates


def landmarks(package: Path) -> bytes:
    """`package`: the unpacked tarball of @mediapipe/face_mesh, as are those below."""
    return without_prelu(convert(asset(package, "face_landmark.tflite")))


def canonical(package: Path) -> bytes:
    schema = text_format.Parse(SCHEMA, descriptor_pb2.FileDescriptorProto())
    messages = message_factory.GetMessageClassesForFiles([schema.name], _pool(schema))
    metadata = messages["GeometryPipelineMetadata"].FromString(
        asset(package, "geometry_pipeline_metadata_landmarks.binarypb")
    )
    vertices = np.array(metadata.canonical_mesh.vertex_buffer, np.float32).reshape(-1, VERTEX)
    basis = sorted(metadata.procrustes_landmark_basis, key=lambda landmark: landmark.landmark_id)
    file = io.BytesIO()
    np.savez(
        file,
        vertices=np.ascontiguousarray(vertices[:, :3]),
        basis_ids=np.array([landmark.landmark_id for landmark in basis], np.int32),
        basis_w=np.array([landmark.weight for landmark in basis], np.float32),
    )
    return file.getvalue()


def asset(package: Path, name: str) -> bytes:
    """Emscripten packs the files into one, and keeps the table of their positions in its loader's JavaScript."""
    loader = (package / "face_mesh_solution_packed_assets_loader.js").read_text()
    table = re.search(r'"files": (\[.*?\])', loader, re.DOTALL)
    if table is None:
        raise ValueError('the loader has no "files" table')
    (entry,) = (file for file in json.loads(table[1]) if Path(file["filename"]).name == name)
    return (package / "face_mesh_solution_packed_assets.data").read_bytes()[entry["start"] : entry["end"]]


def _pool(schema: descriptor_pb2.FileDescriptorProto) -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(schema)
    return pool
