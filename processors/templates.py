"""A face's template as bytes: 296 of them, as the contract has it.

| bytes | what |
| --- | --- |
| 4 | the magic `VSGT` |
| 4 | the version of this format, little-endian |
| 16 | the model that made it: the first half of a SHA-256 over the hashes of its files |
| 16 | the first half of the SHA-256 over all other bytes |
| 256 | the embedding: int8, of any length, compared by its direction |

The checksum finds damage and careless edits. It has no key, so it is no proof of who made a template.

TemplateError
├── WrongSize        not 296 bytes: cut off, or nothing of ours
├── WrongMagic       296 bytes of something else
├── WrongVersion     made by another version of this format
├── WrongChecksum    damaged or edited
└── WrongModel       whole, but of another model: its embedding means something else
"""

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Embedding = npt.NDArray[np.int8]
"""(256,)."""

SIZE = 296
DIMENSIONS = 256
NOBODY: Embedding = np.zeros(DIMENSIONS, np.int8)
"""Has no direction and is like no other, itself included."""
MAGIC = b"VSGT"
VERSION = 1

_HEADER = struct.Struct("<4sI16s16s")
_DIGEST = 16


class TemplateError(ValueError):
    """Bytes that cannot be used as a template; the text says why."""


class WrongSize(TemplateError):
    def __init__(self, actual: int) -> None:
        super().__init__(f"The template has a wrong size: expected {SIZE} bytes, got {actual}")


class WrongMagic(TemplateError):
    def __init__(self, actual: bytes) -> None:
        super().__init__(
            f"The template has a wrong magic: expected {MAGIC.hex(' ')} at its start, got {actual.hex(' ')}"
        )


class WrongVersion(TemplateError):
    def __init__(self, actual: int) -> None:
        super().__init__(f"The template has a wrong format version: expected {VERSION}, got {actual}")


class WrongChecksum(TemplateError):
    def __init__(self) -> None:
        super().__init__("The template has a wrong checksum: it is damaged or was changed")


class WrongModel(TemplateError):
    def __init__(self, *, expected: bytes, actual: bytes) -> None:
        super().__init__(f"The template was made by another model: expected {expected.hex()}, got {actual.hex()}")


def model_id(*sha256: str) -> bytes:
    """16 bytes for a model that is made of files with these hashes, in hexadecimal."""
    return hashlib.sha256("".join(sha256).encode()).digest()[:_DIGEST]


def pack(embedding: Embedding, model: bytes) -> bytes:
    payload = embedding.astype(np.int8, casting="no").tobytes()
    return _header(model, payload) + payload


def unpack(blob: bytes, model: bytes) -> Embedding:
    """The embedding of a template that this model made; else a TemplateError."""
    if len(blob) != SIZE:
        raise WrongSize(len(blob))
    magic, version, made_by, _ = _HEADER.unpack_from(blob)
    if magic != MAGIC:
        raise WrongMagic(magic)
    if version != VERSION:
        raise WrongVersion(version)
    payload = blob[_HEADER.size :]
    if blob[: _HEADER.size] != _header(made_by, payload):
        raise WrongChecksum
    if made_by != model:
        raise WrongModel(expected=model, actual=made_by)
    return np.frombuffer(payload, np.int8)


def quantised(vector: npt.NDArray[np.floating[Any]]) -> Embedding:
    """The direction of a vector in whole numbers, the largest of them 127; NOBODY's where it has none."""
    if not vector.any():
        return NOBODY
    whole: Embedding = np.round(vector * (127 / np.abs(vector).max())).astype(np.int8)
    return whole


def similarity(a: Embedding, b: Embedding) -> float:
    """Cosine, -1..1; 0 to a template of zeros, which has no direction."""
    left, right = a.astype(np.int64), b.astype(np.int64)
    lengths = float(np.sqrt(float(left @ left) * float(right @ right)))
    return float(left @ right) / lengths if lengths else 0.0


def mean(blobs: Sequence[bytes]) -> bytes:
    """The template in the middle of some of one model, NOBODY's left out; a TemplateError where they are not."""
    model = blobs[0][8:24]
    vectors = np.array([unpack(blob, model) for blob in blobs], np.float64)
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)
    return pack(quantised((vectors / lengths).sum(axis=0)), model)


def _header(model: bytes, payload: bytes) -> bytes:
    fields = MAGIC, VERSION, model
    checksum = hashlib.sha256(struct.pack("<4sI16s", *fields) + payload).digest()[:_DIGEST]
    return _HEADER.pack(*fields, checksum)
