"""The services for single pictures, in either version: docs/http.md says what each takes and answers."""

import io
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Final, Protocol

from daemon.client.calls import Group, W, operation, path
from daemon.client.documents import TEMPLATE, Object, Sample, SampleV1, Verification
from daemon.client.server import Answer, Call
from daemon.wire.codec import Members, encode


class Array(Protocol):
    """A picture's pixels, as numpy has them: uint8, (height, width, 3), RGB. OpenCV's are BGR: `image[:, :, ::-1]`."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    def tobytes(self) -> bytes: ...


Picture = str | PathLike[str] | bytes | Array
"""The path of a picture's file, the bytes of one (JPEG, PNG, BMP or WebP), or its pixels."""


@dataclass(frozen=True, slots=True)
class Version:
    """How it writes what is sent."""

    name: str
    file: Callable[[bytes], Members]
    """The member with a picture's file."""
    array: Callable[[Array], Members]
    template: Callable[[bytes], Members]
    sample: type[Sample]
    """What is answered."""

    def image(self, picture: Picture) -> Members:
        """Reads the file. Raises OSError, and ValueError for an array of another form."""
        match picture:
            case bytes():
                return self.file(picture)
            case str() | PathLike():
                return self.file(Path(picture).read_bytes())
            case array:
                return self.array(_checked(array))


class Services(Group[W]):
    """A method for each service, of its name.

    What detects takes a Picture, or a Sample: then only the objects of the label that it detects are replaced. What
    estimates takes a Sample with objects, or a Picture and `objects`, of which each has `class` and `bbox` at least.
    Reading a file raises OSError, an array of another form ValueError.
    """

    def __init__(self, way: W, version: Version) -> None:
        super().__init__(way)
        self.version = version

    @operation
    def face_detector_face_fitter(self, picture: Picture | Sample) -> Call[Sample]:
        """Faces: `bbox`, `confidence`, `keypoints`, `pose`."""
        return self._process("face-detector-face-fitter", picture)

    @operation
    def face_detector_template_extractor(self, picture: Picture | Sample) -> Call[Sample]:
        """Faces: `bbox`, `confidence`, `template`."""
        return self._process("face-detector-template-extractor", picture)

    @operation
    def face_detector_liveness_estimator(self, picture: Picture | Sample) -> Call[Sample]:
        """Faces: `liveness`, by the module that `http.liveness_module` names."""
        return self._process("face-detector-liveness-estimator", picture)

    @operation
    def body_detector(self, picture: Picture | Sample) -> Call[Sample]:
        """Bodies: `bbox`, `confidence`."""
        return self._process("body-detector", picture)

    @operation
    def gender_estimator(self, picture: Picture | Sample, objects: Iterable[Object | Members] = ()) -> Call[Sample]:
        """`gender` of each face."""
        return self._process("gender-estimator", picture, objects)

    @operation
    def age_estimator(self, picture: Picture | Sample, objects: Iterable[Object | Members] = ()) -> Call[Sample]:
        """`age` of each face."""
        return self._process("age-estimator", picture, objects)

    @operation
    def emotion_estimator(self, picture: Picture | Sample, objects: Iterable[Object | Members] = ()) -> Call[Sample]:
        """`emotions` of each face."""
        return self._process("emotion-estimator", picture, objects)

    @operation
    def mask_estimator(self, picture: Picture | Sample, objects: Iterable[Object | Members] = ()) -> Call[Sample]:
        """`has_medical_mask` of each face."""
        return self._process("mask-estimator", picture, objects)

    @operation
    def liveness_estimator(self, picture: Picture | Sample, objects: Iterable[Object | Members] = ()) -> Call[Sample]:
        """`liveness` of each face. It wants the whole picture."""
        return self._process("liveness-estimator", picture, objects)

    @operation
    def quality_assessment_estimator(
        self, picture: Picture | Sample, objects: Iterable[Object | Members] = ()
    ) -> Call[Sample]:
        """`quality` of each face."""
        return self._process("quality-assessment-estimator", picture, objects)

    @operation
    def template_extractor(self, picture: Picture | Sample, objects: Iterable[Object | Members] = ()) -> Call[Sample]:
        """`template` of each face."""
        return self._process("template-extractor", picture, objects)

    @operation
    def verify_matcher(self, one: Object | bytes, other: Object | bytes) -> Call[Verification]:
        """How alike two faces are, each an object with a template, or a template. Raises ValueError without one."""
        pair = [self.version.template(_template(face)) for face in (one, other)]
        return self._call(
            "verify-matcher",
            lambda: {"objects": pair},
            lambda answer: Verification(answer.members["verification"]),
        )

    @operation
    def draw(self, sample: Sample) -> Call[bytes]:
        """A JPEG of the picture, at most 1,280 pixels wide, with what the sample says drawn on it."""
        return Call("POST", path("draw", self.version.name), lambda answer: answer.body, partial(encode, sample.json))

    def _process(
        self, service: str, picture: Picture | Sample, objects: Iterable[Object | Members] = ()
    ) -> Call[Sample]:
        return self._call(
            service,
            lambda: self._document(picture, [_members(one) for one in objects]),
            lambda answer: self.version.sample(answer.members),
        )

    def _call(self, service: str, document: Callable[[], Members], read: Callable[[Answer], Any]) -> Call[Any]:
        return Call("POST", path(service, self.version.name, "process", "sample"), read, lambda: encode(document()))

    def _document(self, picture: Picture | Sample, objects: list[Members]) -> Members:
        document = picture.json if isinstance(picture, Sample) else self.version.image(picture)
        return {**document, "objects": objects} if objects else document


def _checked(array: Array) -> Array:
    """Raises ValueError."""
    match array.shape:
        case (_, _, 3) if str(array.dtype) == "uint8":
            return array
    raise ValueError(f"expected uint8 of (height, width, 3), got {array.dtype} of {tuple(array.shape)}")


def _members(given: Object | Mapping[str, Any]) -> Members:
    return given.json if isinstance(given, Object) else dict(given)


def _template(face: Object | bytes) -> bytes:
    """Raises ValueError."""
    template = face.template if isinstance(face, Object) else face
    if template is None:
        raise ValueError(f"expected an object with a template, got {face!r}: ask template_extractor for it first")
    return template


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _png(array: Array) -> bytes:
    """Version 1 takes files alone."""
    from PIL import Image

    height, width, _ = array.shape
    file = io.BytesIO()
    Image.frombytes("RGB", (width, height), array.tobytes()).save(file, "PNG")
    return file.getvalue()


V1: Final = Version(
    "v1",
    file=lambda data: {"$image": _base64(data)},
    array=lambda array: {"$image": _base64(_png(array))},
    template=lambda template: {"class": "face", "$template": _base64(template)},
    sample=SampleV1,
)
V2: Final = Version(
    "v2",
    file=lambda data: {"_image": {"blob": _base64(data), "format": "IMAGE"}},
    array=lambda array: {
        "_image": {
            "blob": _base64(array.tobytes()),
            "format": "NDARRAY",
            "dtype": "uint8",
            "shape": list(array.shape),
        }
    },
    template=lambda template: {"class": "face", "template": {TEMPLATE: {"blob": _base64(template)}}},
    sample=Sample,
)
