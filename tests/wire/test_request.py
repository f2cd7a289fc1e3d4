"""What a document must be, and where it is said to be wrong."""

from typing import Any

import numpy as np
import pytest

from daemon.errors import BadBase64, InvalidDocument
from daemon.wire.codec import encode
from daemon.wire.request import of_file, read, read_faces, read_pair
from daemon.wire.v1 import V1
from daemon.wire.v2 import TEMPLATE, V2
from daemon.wire.version import Size, Version
from processors.types import LANDMARK_NAMES, Landmarks, Pose
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


BBOX = [0.25, 0.5, 0.75, 1.0]
ANGLES = {"yaw": 1, "pitch": -2.5, "roll": 3.0}
FITTER = {"fitter_type": "fda", "keypoints": [number for n in range(21) for number in (2.0 * n, 2 * n + 1, 0)]}
KEYPOINTS = {name: {"proj": [n / 100, n / 50], "mine": 1} for n, name in enumerate(LANDMARK_NAMES)}
IMAGES: dict[str, dict[str, Any]] = {"v1": {"$image": "AAAA"}, "v2": {"_image": IMAGE}}
SIZE = Size(200, 100)


def face(**members: Any) -> dict[str, Any]:
    return {"class": "face", "bbox": BBOX} | members


def faces_in(version: Version, *objects: Any) -> Any:
    body = encode(IMAGES[version.name] | {"objects": objects})
    return read_faces(version, body, max_objects=10)[1]


def problems(version: Version, *objects: Any) -> dict[tuple[str | int, ...], str]:
    with pytest.raises(InvalidDocument) as caught:
        faces_in(version, *objects)
    return {problem.loc: problem.type for problem in caught.value.problems}


@pytest.mark.parametrize("version", [V1, V2])
def test_faces_are_read_and_objects_of_other_classes_are_not(version: Version) -> None:
    others = [{}, {"class": "body"}, {"class": None, "bbox": 3}, {"class": ["face"]}, {"class": "FACE"}]
    faces = faces_in(version, *others, face(), face(id="x"))
    assert list(faces) == [5, 6]
    obj = faces[5].to_object(SIZE)
    assert obj.label == "face"
    assert obj.box_xyxy.tolist() == [50, 50, 150, 100]
    assert Landmarks not in obj
    assert Pose not in obj
    assert faces_in(version) == {}


@pytest.mark.parametrize("version", [V1, V2])
@pytest.mark.parametrize(
    ("bbox", "box_xyxy"),
    [
        ([-1, -0.5, 2, 1.5], [0, 0, 200, 100]),
        ([0, 0, 1, 1], [0, 0, 200, 100]),
        ([-1e300, 0.5, 1e300, 0.75], [0, 50, 200, 75]),
    ],
)
def test_a_box_is_clamped(version: Version, bbox: list[float], box_xyxy: list[float]) -> None:
    (sent,) = faces_in(version, face(bbox=bbox)).values()
    assert sent.to_object(SIZE).box_xyxy.tolist() == box_xyxy


@pytest.mark.parametrize("version", [V1, V2])
@pytest.mark.parametrize(
    ("bbox", "place", "kind"),
    [
        (None, (), "list_type"),
        ({}, (), "list_type"),
        ("0011", (), "list_type"),
        ([0, 0, 1], (), "too_short"),
        ([0, 0, 1, 1, 1], (), "too_long"),
        ([0, 0, "1", 1], (2,), "float_type"),
        ([0, None, 1, 1], (1,), "float_type"),
        ([0, 0, 1, True], (3,), "float_type"),
        ([0, 0, 10**400, 1], (2,), "float_type"),
        ([0.5, 0.5, 0.5, 0.75], (), "value_error"),
        ([0.75, 0.5, 0.25, 1], (), "value_error"),
        ([1.0, 0, 2, 1], (), "value_error"),
        ([0, -2, 1, 0], (), "value_error"),
        ([0, 0, 0, 0], (), "value_error"),
    ],
)
def test_a_box_is_four_numbers_with_an_area(version: Version, bbox: object, place: tuple[int, ...], kind: str) -> None:
    assert problems(version, face(), face(bbox=bbox)) == {("objects", 1, "bbox", *place): kind}


@pytest.mark.parametrize("version", [V1, V2])
def test_all_faces_are_checked(version: Version) -> None:
    found = problems(version, {"class": "face"}, face(), {"class": "body"}, face(bbox=[]))
    assert found == {("objects", 0, "bbox"): "missing", ("objects", 3, "bbox"): "too_short"}


@pytest.mark.parametrize("version", [V1, V2])
@pytest.mark.parametrize(("sent", "kind"), [({}, "missing"), ({"objects": None}, "list_type")])
def test_objects_must_be_there_to_be_worked_on(version: Version, sent: dict[str, Any], kind: str) -> None:
    for function in (read_faces, read_pair):
        with pytest.raises(InvalidDocument) as caught:
            function(version, encode(IMAGES[version.name] | sent), 10)
        assert {problem.loc: problem.type for problem in caught.value.problems} == {("objects",): kind}


def test_landmarks_and_pose_of_v1() -> None:
    (sent,) = faces_in(V1, face(fitter=FITTER, angles=ANGLES, keypoints=3, pose="x")).values()
    obj = sent.to_object(SIZE)
    assert obj[Landmarks].points_xy.tolist() == [[2 * n, 2 * n + 1] for n in range(21)]
    assert obj[Pose] == Pose(yaw=1, pitch=-2.5, roll=3)


def test_landmarks_and_pose_of_v2() -> None:
    (sent,) = faces_in(V2, face(keypoints=KEYPOINTS, pose=ANGLES, fitter=3, angles="x")).values()
    obj = sent.to_object(SIZE)
    assert obj[Landmarks].points_xy == pytest.approx(np.array([[2 * n, 2 * n] for n in range(21)]))
    assert obj[Pose] == Pose(yaw=1, pitch=-2.5, roll=3)


@pytest.mark.parametrize(
    ("version", "members", "place", "kind"),
    [
        (V1, {"fitter": []}, ("fitter",), "model_type"),
        (V1, {"fitter": {}}, ("fitter", "keypoints"), "missing"),
        (V1, {"fitter": FITTER | {"fitter_type": "elg"}}, ("fitter", "fitter_type"), "literal_error"),
        (V1, {"fitter": {"keypoints": [0] * 62}}, ("fitter", "keypoints"), "too_short"),
        (V1, {"fitter": {"keypoints": [0] * 64}}, ("fitter", "keypoints"), "too_long"),
        (V1, {"fitter": {"keypoints": [0] * 62 + ["0"]}}, ("fitter", "keypoints", 62), "float_type"),
        (V1, {"fitter": {"keypoints": [0] * 62 + [1e9]}}, ("fitter", "keypoints", 62), "less_than_equal"),
        (V1, {"angles": {"yaw": 1, "roll": 1}}, ("angles", "pitch"), "missing"),
        (V2, {"keypoints": {name: KEYPOINTS[name] for name in LANDMARK_NAMES[:-1]}}, ("keypoints", "chin"), "missing"),
        (V2, {"keypoints": KEYPOINTS | {"chin": [0, 0]}}, ("keypoints", "chin"), "model_type"),
        (V2, {"keypoints": KEYPOINTS | {"chin": {"proj": [0]}}}, ("keypoints", "chin", "proj"), "too_short"),
        (V2, {"pose": {"yaw": "1", "pitch": 0, "roll": 0}}, ("pose", "yaw"), "float_type"),
    ],
)
def test_malformed_landmarks_are_named(
    version: Version, members: dict[str, Any], place: tuple[str | int, ...], kind: str
) -> None:
    assert problems(version, face(**members)) == {("objects", 0, *place): kind}
    assert faces_in(version, face(**dict.fromkeys(members)))  # null is nothing


def template(version: Version, blob: object) -> dict[str, Any]:
    return {"$template": blob} if version is V1 else {"template": {TEMPLATE: {"blob": blob, "dtype": "uint8_t"}}}


@pytest.mark.parametrize("version", [V1, V2])
def test_the_templates_of_the_first_two_faces_are_read(version: Version) -> None:
    objects = [
        {"class": "body"},
        template(version, "YQ=="),
        {"class": "face", "id": 0} | template(version, " Yg\n=="),
        {"class": "face"},
    ]
    pair = read_pair(version, encode({"objects": objects, "$image": 3}), 10)
    assert pair == (objects, (b"a", b"b"))


@pytest.mark.parametrize("version", [V1, V2])
def test_fewer_than_two_faces_are_no_pair(version: Version) -> None:
    for objects in ([], [template(version, "YQ==")], [template(version, "YQ=="), {"class": "body"}]):
        with pytest.raises(InvalidDocument) as caught:
            read_pair(version, encode({"objects": objects}), 10)
        assert {problem.loc: problem.type for problem in caught.value.problems} == {("objects",): "too_short"}


@pytest.mark.parametrize(
    ("version", "members", "place", "kind"),
    [
        (V1, {}, ("$template",), "missing"),
        (V1, {"$template": {"blob": "YQ=="}}, ("$template",), "string_type"),
        (V2, {"$template": "YQ=="}, ("template",), "missing"),
        (V2, {"template": {"other": {"blob": "YQ=="}}}, ("template", TEMPLATE), "missing"),
        (V2, {"template": {TEMPLATE: {"blob": None}}}, ("template", TEMPLATE, "blob"), "string_type"),
    ],
)
def test_a_missing_template_is_named(
    version: Version, members: dict[str, Any], place: tuple[str, ...], kind: str
) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_pair(version, encode({"objects": [{}, template(version, "YQ=="), members][::-1]}), 10)
    assert {problem.loc: problem.type for problem in caught.value.problems} == {("objects", 0, *place): kind}


@pytest.mark.parametrize("version", [V1, V2])
@pytest.mark.parametrize("blob", ["", "Y", "шаблон в формате base64"])
def test_a_template_is_base64(version: Version, blob: str) -> None:
    with pytest.raises(BadBase64, match=r"^Failed to decode base64 string$"):
        read_pair(version, encode({"objects": [template(version, "YQ=="), template(version, blob)]}), 10)
