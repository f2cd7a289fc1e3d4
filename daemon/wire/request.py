"""Reads what came."""

from daemon.errors import InvalidDocument, Problem
from daemon.wire.blob import EncodedPicture, encode_base64
from daemon.wire.codec import parse
from daemon.wire.version import Received, Version


def read(version: Version, data: bytes, max_objects: int) -> Received:
    """A JSON document; raises InvalidDocument."""
    document = parse(data)
    if not isinstance(document, dict):
        raise InvalidDocument([Problem((), "Input should be an object", "dict_type")])
    objects = document.get("objects")
    if isinstance(objects, list) and len(objects) > max_objects:
        message = f"List should have at most {max_objects} items, not {len(objects)}"
        raise InvalidDocument([Problem(("objects",), message, "too_long")])
    return version.read(document)


def of_file(version: Version, data: bytes) -> Received:
    """A picture's file, as if it had come in a document of this version."""
    return Received(version.image(encode_base64(data)), [], EncodedPicture(data))
