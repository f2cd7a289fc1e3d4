"""What a document must be, and where it is said to be wrong."""

from typing import Any

import numpy as np
import pytest

from daemon.errors import InvalidDocument
from daemon.wire.codec import encode
from daemon.wire.request import of_file, read
from daemon.wire.v1 import V1
from daemon.wire.v2 import V2
from daemon.wire.version import Version
from tests.photos import encoded, opened

ARRAY = {"blob": "AAAA", "format": "NDARRAY", "dtype": "uint8", "shape": [1, 1, 3]}
IMAGE = {"blob": "AAAA", "format": "IMAGE"}


@pytest.mark.parametrize(
    ("version", "document", "image"),
    [
        (V1, {"$image": "AAAA"}, {"$image": "AAAA"}),
        (V1, {"$image": "AAAA", "_image": 3, "more": 1}, {"$image": "AAAA"}),
        (V2, {"_image": IMAGE}, {"_image": IMAGE}),
        (V2, {"_image": {"blob": "AAAA"}}, {"_image": {"blob": "AAAA"}}),
        (V2, {"_image": IMAGE | {"dtype": None, "mine": [1]}}, {"_image": IMAGE | {"dtype": None, "mine": [1]}}),
        (V2, {"_image": ARRAY}, {"_image": ARRAY}),
        (V2, {"_image": ARRAY | {"dtype": "uint8_t"}}, {"_image": ARRAY | {"dtype": "uint8_t"}}),
        (V2, {"$image": "AAAA"}, {"$image": "AAAA"}),
        (V2, {"$image": 3, "_image": IMAGE}, {"_image": IMAGE}),
    ],
)
def test_the_image_is_kept_as_it_was_sent(version: Version, document: dict[str, Any], image: dict[str, Any]) -> None:
    received = read(version, encode(document), max_objects=0)
    assert (received.image, received.objects) == (image, [])


@pytest.mark.parametrize("objects", [None, [], [{"id": "a", "mine": {"x": [1.5, None]}}, {}]])
def test_objects_are_kept_as_they_were_sent(objects: list[dict[str, Any]] | None) -> None:
    for version, image in ((V1, {"$image": "AAAA"}), (V2, {"_image": IMAGE})):
        assert read(version, encode(image | {"objects": objects}), max_objects=2).objects == (objects or [])


@pytest.mark.parametrize(
    ("version", "document", "places"),
    [
        (V1, [], {(): "dict_type"}),
        (V1, "text", {(): "dict_type"}),
        (V1, {}, {("$image",): "missing"}),
        (V1, {"_image": IMAGE}, {("$image",): "missing"}),
        (V1, {"$image": None}, {("$image",): "string_type"}),
        (V1, {"$image": IMAGE}, {("$image",): "string_type"}),
        (V2, {}, {("_image",): "missing"}),
        (V2, {"_image": "AAAA"}, {("_image",): "model_type"}),
        (V2, {"_image": None}, {("_image",): "model_type"}),
        (V2, {"_image": {}}, {("_image", "blob"): "missing"}),
        (V2, {"_image": {"blob": 3}}, {("_image", "blob"): "string_type"}),
        (V2, {"_image": IMAGE | {"format": "JPEG"}}, {("_image", "format"): "literal_error"}),
        (V2, {"_image": IMAGE | {"format": None}}, {("_image", "format"): "literal_error"}),
        (V2, {"$image": 3}, {("$image",): "string_type"}),
        (
            V2,
            {"_image": {"blob": "AAAA", "format": "NDARRAY"}},
            {("_image", "dtype"): "missing", ("_image", "shape"): "missing"},
        ),
        (V2, {"_image": ARRAY | {"dtype": "float32"}}, {("_image", "dtype"): "literal_error"}),
        (V2, {"_image": ARRAY | {"shape": [1, 3]}}, {("_image", "shape", 2): "missing"}),
        (V2, {"_image": ARRAY | {"shape": [1, 1, 4]}}, {("_image", "shape", 2): "literal_error"}),
        (
            V2,
            {"_image": ARRAY | {"shape": [0, -1, 3]}},
            dict.fromkeys([("_image", "shape", 0), ("_image", "shape", 1)], "greater_than"),
        ),
        (V2, {"_image": ARRAY | {"shape": "1x1x3"}}, {("_image", "shape"): "tuple_type"}),
        (
            V2,
            {"_image": ARRAY | {"shape": [True, 1.0, 3]}},
            dict.fromkeys([("_image", "shape", 0), ("_image", "shape", 1)], "int_type"),
        ),
        (V1, {"$image": "AAAA", "objects": {}}, {("objects",): "list_type"}),
        (V1, {"$image": "AAAA", "objects": [{}, 3]}, {("objects", 1): "dict_type"}),
        (V1, {"objects": [None]}, {("objects", 0): "dict_type", ("$image",): "missing"}),
        (V2, {"_image": IMAGE, "objects": [{}] * 3}, {("objects",): "too_long"}),
    ],
)
def test_what_is_malformed_is_named(
    version: Version, document: object, places: dict[tuple[str | int, ...], str]
) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read(version, encode(document), max_objects=2)
    assert {problem.loc: problem.type for problem in caught.value.problems} == places
    assert all(problem.msg for problem in caught.value.problems)


@pytest.mark.parametrize("version", [V1, V2])
def test_a_file_reads_like_the_document_that_holds_it(version: Version) -> None:
    data = encoded(opened("astronaut"), "PNG")
    uploaded = of_file(version, data)
    sent = read(version, encode(uploaded.image), max_objects=0)
    limits = {"max_pixels": 1_000_000, "max_bytes": len(data)}
    assert sent.image == uploaded.image
    assert np.array_equal(sent.picture.decode(**limits), uploaded.picture.decode(**limits))
