from collections.abc import Callable

import numpy as np
import pytest

from processors.templates import (
    DIMENSIONS,
    MAGIC,
    NOBODY,
    SIZE,
    Embedding,
    TemplateError,
    WrongChecksum,
    WrongMagic,
    WrongModel,
    WrongSize,
    WrongVersion,
    mean,
    model_id,
    pack,
    quantised,
    similarity,
    unpack,
)

MODEL = model_id("a" * 64, "b" * 64)
OTHER_MODEL = model_id("a" * 64, "c" * 64)


def embedding(seed: int) -> Embedding:
    return np.random.default_rng(seed).integers(-127, 128, DIMENSIONS).astype(np.int8)


def changed(blob: bytes, place: int, to: bytes) -> bytes:
    return blob[:place] + to + blob[place + len(to) :]


TEMPLATE = pack(embedding(0), MODEL)


def test_round_trip() -> None:
    assert len(TEMPLATE) == SIZE == 296
    assert TEMPLATE.startswith(MAGIC)
    np.testing.assert_array_equal(unpack(TEMPLATE, MODEL), embedding(0))


def test_the_extremes_of_int8_survive() -> None:
    extremes = np.tile(np.array([-128, 127, 0, -1], np.int8), DIMENSIONS // 4)
    np.testing.assert_array_equal(unpack(pack(extremes, MODEL), MODEL), extremes)


@pytest.mark.parametrize(
    ("blob", "error", "message"),
    [
        (b"", WrongSize, "wrong size: expected 296 bytes, got 0"),
        (TEMPLATE[:-1], WrongSize, "wrong size: expected 296 bytes, got 295"),
        (TEMPLATE + b"\0", WrongSize, "wrong size: expected 296 bytes, got 297"),
        (bytes(SIZE), WrongMagic, "wrong magic: expected 56 53 47 54 at its start, got 00 00 00 00"),
        (changed(TEMPLATE, 4, b"\2"), WrongVersion, "wrong format version: expected 1, got 2"),
        (
            pack(embedding(0), OTHER_MODEL),
            WrongModel,
            f"another model: expected {MODEL.hex()}, got {OTHER_MODEL.hex()}",
        ),
    ],
)
def test_what_is_not_a_template_is_refused_by_name(blob: bytes, error: type[TemplateError], message: str) -> None:
    with pytest.raises(error, match=message):
        unpack(blob, MODEL)


def test_any_changed_byte_is_found() -> None:
    for place, byte in enumerate(TEMPLATE):
        error = WrongMagic if place < 4 else WrongVersion if place < 8 else WrongChecksum
        with pytest.raises(error):
            unpack(changed(TEMPLATE, place, bytes([byte ^ 1])), MODEL)


def test_an_embedding_under_another_template_s_header_is_found() -> None:
    with pytest.raises(WrongChecksum):
        unpack(TEMPLATE[:40] + pack(embedding(1), MODEL)[40:], MODEL)


def test_only_int8_is_packed() -> None:
    with pytest.raises(TypeError):
        pack(embedding(0).astype(np.float32), MODEL)


def test_the_model_is_that_of_all_its_files_in_order() -> None:
    ids = {model_id(*files) for files in (("a", "b"), ("b", "a"), ("a",), ("a", "b", "c"))}
    assert len(ids) == 4
    assert all(len(each) == 16 for each in ids)


def test_nobody_is_alike_to_none_and_counts_for_nothing_in_the_middle() -> None:
    model, somebody = model_id("a"), quantised(np.random.default_rng(3).normal(size=DIMENSIONS))
    blobs = [pack(NOBODY, model), pack(somebody, model)]
    assert mean(blobs) == blobs[1]
    assert mean(blobs[:1]) == blobs[0]
    assert similarity(NOBODY, NOBODY) == similarity(NOBODY, somebody) == 0


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_quantising_keeps_the_direction(scale: float) -> None:
    vector = np.random.default_rng(3).normal(size=DIMENSIONS)
    whole = quantised(vector * scale)
    assert np.abs(whole.astype(int)).max() == 127
    np.testing.assert_array_equal(whole, quantised(vector))
    cosine = vector @ whole / np.linalg.norm(vector) / np.linalg.norm(whole.astype(float))
    assert cosine > 0.9999


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (lambda a: a, 1.0),
        (lambda a: -a, -1.0),
        (lambda a: (a.astype(int) // 2).astype(np.int8), pytest.approx(1.0, abs=1e-3)),
        (lambda a: np.zeros_like(a), 0.0),
    ],
)
def test_similarity(other: Callable[[Embedding], Embedding], expected: float) -> None:
    a = embedding(4)
    assert similarity(a, other(a)) == expected
    assert similarity(other(a), a) == expected


def test_similarity_of_what_lies_at_a_right_angle() -> None:
    a, b = np.zeros((2, DIMENSIONS), np.int8)
    a[:100], b[100:] = -128, 127
    assert similarity(a, b) == 0.0
