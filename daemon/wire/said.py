"""What a document says of its objects, as results: to be drawn, which needs no more of them than what people read."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from daemon.wire.members import MEASURES
from daemon.wire.version import Part, Received, Size, Version, validated
from processors.age import Age
from processors.emotion import EMOTIONS, Emotions
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.quality import Quality
from processors.tracker import Predicted
from processors.types import Confidence, Object, TrackId, Zones

Share = Annotated[float, Field(ge=0, le=1)]
UNTOLD: Final[dict[str, Any]] = {name: kind() for name, kind in MEASURES.items()}
"""Of the quality the total alone is drawn."""
Years = Annotated[str, StringConstraints(pattern=r"^\d{1,3}$")]


class _Verdict(Part):
    confidence: Share
    value: bool | str


class _Emotion(Part):
    confidence: Share
    emotion: str


class _Quality(Part):
    total_score: Share


class _MeasuresOfV1(Part):
    total_score: int = Field(alias="totalScore", ge=0, le=100)


class _QualityOfV1(Part):
    qaa: _MeasuresOfV1

    @property
    def total_score(self) -> float:
        return self.qaa.total_score / 100


class _Said(Part):
    """Of both versions, which differ in casing and the name of the mask."""

    label: str = Field("face", alias="class")
    confidence: Share | None = None
    track_id: str | None = None
    gender: str | None = None
    age: Years | None = None
    emotions: list[_Emotion] | None = None
    liveness: _Verdict | None = None
    has_medical_mask: _Verdict | None = None
    mask: _Verdict | None = None
    quality: _Quality | _QualityOfV1 | None = None
    zones: list[str] | None = None
    predicted: bool = False

    def results(self) -> Iterator[object]:
        if self.confidence is not None:
            yield Confidence(self.confidence)
        if self.track_id is not None:
            yield TrackId(self.track_id)
        if self.gender is not None:
            yield Gender(male=float(self.gender.lower() == "male"))
        if self.age is not None:
            yield Age(float(self.age))
        if self.emotions is not None:
            scores = {said.emotion.lower(): said.confidence for said in self.emotions}
            yield Emotions(tuple(scores.get(name, 0.0) for name in EMOTIONS))
        if self.liveness is not None:
            yield Liveness(self.liveness.confidence, real=str(self.liveness.value).lower() == "real")
        if (mask := self.has_medical_mask or self.mask) is not None:
            yield Mask(mask.confidence, worn=mask.value is True)
        if self.quality is not None:
            yield Quality(**UNTOLD | {"total_score": self.quality.total_score})
        if self.zones is not None:
            yield Zones(tuple(self.zones))
        if self.predicted:
            yield Predicted()


class _Objects(Part):
    objects: dict[int, _Said]


def said(version: Version, received: Received, size: Size) -> list[Object]:
    """The objects that have a place on the picture. Raises InvalidDocument."""
    placed = {place: members for place, members in enumerate(received.objects) if members.get("bbox") is not None}
    faces, words = version.faces(placed), validated(_Objects, {"objects": placed}).objects
    return [_object(faces[place].to_object(size), words[place]) for place in placed]


def _object(face: Object, words: _Said) -> Object:
    obj = face.copy()
    obj.label = words.label
    for result in words.results():
        obj.put(result)
    return obj
