"""Reads what came. All of it is checked here, before a picture is decoded; what is wrong raises InvalidDocument."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from daemon.errors import InvalidDocument, Problem
from daemon.wire.blob import EncodedPicture, decode_base64, encode_base64
from daemon.wire.codec import Members, parse
from daemon.wire.version import Face, Part, Received, Version, validated

FACE = "face"


class _WithObjects(Part):
    objects: list[Members]


class Pair(NamedTuple):
    """Two templates to be compared, and the objects to be echoed."""

    objects: list[Members]
    templates: tuple[bytes, bytes]


def read(version: Version, data: bytes, max_objects: int) -> Received:
    """A picture and what has been found on it, if anything."""
    return version.read(_document(data, max_objects))


def read_faces(version: Version, data: bytes, max_objects: int) -> tuple[Received, Mapping[int, Face]]:
    """A picture and the faces to work on, by their places among the objects."""
    document = _document(data, max_objects)
    validated(_WithObjects, document)
    received = version.read(document)
    return received, version.faces(_places(received.objects, lambda members: members.get("class") == FACE))


def read_pair(version: Version, data: bytes, max_objects: int) -> Pair:
    """The templates of the first two faces; an object without a class is one. Raises BadBase64 too."""
    objects = validated(_WithObjects, _document(data, max_objects)).objects
    faces = _places(objects, lambda members: members.get("class", FACE) == FACE)
    if len(faces) < 2:
        message = f"List should have at least 2 faces, not {len(faces)}"
        raise InvalidDocument([Problem(("objects",), message, "too_short")])
    first, second = version.templates({place: faces[place] for place in list(faces)[:2]})
    return Pair(objects, (decode_base64(first), decode_base64(second)))


def of_file(version: Version, data: bytes) -> Received:
    """A picture's file, as if it had come in a document of this version."""
    return Received(version.image(encode_base64(data)), [], EncodedPicture(data))


def _document(data: bytes, max_objects: int) -> Members:
    document = parse(data)
    if not isinstance(document, dict):
        raise InvalidDocument([Problem((), "Input should be an object", "dict_type")])
    objects = document.get("objects")
    if isinstance(objects, list) and len(objects) > max_objects:
        message = f"List should have at most {max_objects} items, not {len(objects)}"
        raise InvalidDocument([Problem(("objects",), message, "too_long")])
    return document


def _places(objects: list[Members], wanted: Callable[[Members], bool]) -> dict[int, Members]:
    return {place: members for place, members in enumerate(objects) if wanted(members)}
