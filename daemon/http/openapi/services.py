"""What the services take and answer: made from what each emits, and from what the versions read and write."""

from collections.abc import Mapping, Set
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, NotRequired, get_type_hints

from pydantic import BaseModel, Field, WithJsonSchema, create_model

from daemon.http.openapi.operation import Content, Operation
from daemon.http.services.catalogue import Comparison, Detection, Estimation, Service
from daemon.http.widths import DISPLAY_WIDTH
from daemon.wire import v1, v2
from daemon.wire.blob import ArrayBlob, ImageBlob
from daemon.wire.codec import Members, parse
from daemon.wire.members import WithVerification, of_table
from daemon.wire.v1 import V1
from daemon.wire.v2 import V2
from daemon.wire.version import Document, Face, Version, members_of
from processors.types import Label

CONTRACT: Final = Path(__file__).parent / "contract"
"""The specification's own examples."""
FORM: Final = "multipart/form-data"
REFUSED: Final = frozenset({400})


class ImageForm(BaseModel):
    """Other fields are ignored."""

    image: Annotated[
        str,
        WithJsonSchema({"type": "string", "contentMediaType": "application/octet-stream"}),
        Field(description="a picture's file: JPEG, PNG, BMP or WebP"),
    ]


class _Sent(NamedTuple):
    """How a version writes what it is sent."""

    documents: tuple[type[Document], ...]
    face: type[Face]
    with_template: type[BaseModel]
    image: Mapping[str, Any]
    """In an answer, the members that the picture comes back in."""


_V1_IMAGE: Mapping[str, Any] = {v1.IMAGE: NotRequired[str]}
SENT: Final = {
    V1.name: _Sent((v1.DocumentV1,), v1.FaceV1, v1.TemplateOfFaceV1, _V1_IMAGE),
    V2.name: _Sent(
        (v2.DocumentV2, v2.ArrayDocumentV2, v1.DocumentV1),
        v2.FaceV2,
        v2.TemplateOfFaceV2,
        {v2.IMAGE: NotRequired[ImageBlob | ArrayBlob], **_V1_IMAGE},
    ),
}
OTHERS: Final[Mapping[Label, Any]] = {
    "face": of_table("NoFace", {"class": NotRequired[Annotated[Any, WithJsonSchema({"not": {"const": "face"}})]]}),
    "body": of_table("NoBody", {"class": NotRequired[Annotated[Any, WithJsonSchema({"not": {"const": "body"}})]]}),
}
"""Objects that a service does not work on: they come back as they came."""


class ServiceRequests:
    """Of one service in one version. `module` is liveness's."""

    def __init__(self, name: str, service: Service, version: Version, module: str) -> None:
        self._name = name
        self._words = name.replace("-", " ").capitalize()
        self._title = "".join(map(str.capitalize, name.split("-"))) + version.name.upper()
        self._service = service
        self._version = version
        self._module = module

    def of_sample(self) -> Operation:
        """POST .../process/sample."""
        kind, examples = _taken(self._service, self._version), self._printed("request")
        taken = Content(kind, examples=examples, refused={400: self._errors()})
        return Operation(f"{self._words} of a picture in JSON", {200: self._answer()}, REFUSED, takes=[taken])

    def of_image(self) -> Operation:
        """POST .../process/image."""
        taken = Content(ImageForm, (FORM,), refused={400: self._errors()})
        return Operation(f"{self._words} of a picture's file", {200: self._answer()}, REFUSED, takes=[taken])

    @property
    def _examples(self) -> Path:
        of_module = CONTRACT / self._name / self._module
        return of_module if of_module.is_dir() else CONTRACT / self._name

    def _answer(self) -> Content:
        kind = of_table(f"{self._title}Answer", _answered(self._title, self._service, self._version))
        return Content(kind, examples=self._printed("response"))

    def _printed(self, kind: str) -> Mapping[str, object]:
        return {
            f"{self._name}-{self._version.name}-{kind}": parse(
                (self._examples / f"{self._version.name}.{kind}.json").read_bytes()
            )
        }

    def _errors(self) -> Mapping[str, object]:
        return {
            f"{self._name}-{path.stem}": parse(path.read_bytes())
            for path in sorted(self._examples.glob("error-*.json"))
        }


def of_drawing(version: Version) -> Operation:
    """POST /draw/..."""
    picture = Content(media_types=("image/jpeg",), description="the picture, with what the document says drawn on it")
    taken = Content(_any_of(SENT[version.name].documents))
    return Operation("Draw what a document says on its picture", {200: picture}, REFUSED, [DISPLAY_WIDTH], [taken])


def _taken(service: Service, version: Version) -> Any:
    match service:
        case Detection():
            return _any_of(SENT[version.name].documents)
        case Estimation():
            return FACES[version.name]
        case Comparison():
            return PAIRS[version.name]


def _faces(version: Version) -> Any:
    """A picture with objects, the faces of which are worked on."""
    sent, name = SENT[version.name], version.name.upper()
    also: Any = {"class": (Literal["face"], ...)}
    objects: Any = list[_any_of([create_model(f"SentFace{name}", __base__=sent.face, **also), OTHERS["face"]])]  # type: ignore[misc]
    return _any_of(
        create_model(f"FacesOn{document.__name__}In{name}", __base__=document, objects=(objects, ...))
        for document in sent.documents
    )


def _pair(version: Version) -> Any:
    """Two templates, and what else there is."""
    objects: Any = list[SENT[version.name].with_template]  # type: ignore[misc]
    return create_model(f"Pair{version.name.upper()}", objects=(objects, Field(min_length=2)))


def _any_of(kinds: Any) -> Any:
    return reduce(or_, kinds)


FACES: Final = {version.name: _faces(version) for version in (V1, V2)}
PAIRS: Final = {version.name: _pair(version) for version in (V1, V2)}


def _answered(title: str, service: Service, version: Version) -> Mapping[str, Any]:
    if isinstance(service, Comparison):
        return {"objects": list[Members], **get_type_hints(WithVerification)}
    if isinstance(service, Estimation):
        kinds = [_object(f"{title}Face", "face", service.emits, version), OTHERS["face"]]
    else:
        ways = {f"{title}Found": version}
        if version is V2 and service.v2_of_v1_image is not V2:
            ways[f"{title}FoundOnV1Image"] = service.v2_of_v1_image
        found = [_object(way, service.label, service.emits, of, {"id": int}) for way, of in ways.items()]
        kinds = [*found, OTHERS[service.label]]
    return {**SENT[version.name].image, "objects": list[_any_of(kinds)]}  # type: ignore[misc]


def _object(title: str, label: Label, emits: Set[type], version: Version, also: Mapping[str, Any] | None = None) -> Any:
    """With all that the service emits."""
    made = [write for kind, write in version.members.items() if kind in emits]
    return of_table(title, {**(also or {}), "class": Literal[label], **members_of(made, always=True)})
