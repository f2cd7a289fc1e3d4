"""Assesses the quality of a face's picture: the contract's 29 members."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from configs.section import Section
from models.store import ModelStore
from processors.emotion import EMOTIONS, Emotions
from processors.mask import Mask
from processors.quality import detail, geometry
from processors.quality.eyes import EyeClassifier, MeshRefiner, Sides, openness
from processors.quality.face import canonical_face, cutout
from processors.quality.light import evenness
from processors.quality.picture import (
    People,
    PersonSegmenter,
    Watermark,
    WatermarkDetector,
    background_gradient,
    uniformity,
)
from processors.quality.total import Natives, Total, worst_defect
from processors.types import Box, Confidence, FaceMesh, Label, Object, Pose, Pyramid, Sample

SURE = 1.0
"""The detector's confidence in a face that comes without one."""
DETAILED_EYES = 30.0
"""Pixels between the eyes from which a face's darkest parts are to be seen."""
NEUTRAL = EMOTIONS.index("neutral")


@dataclass(frozen=True, slots=True)
class Quality:
    """The contract's 29 members, in its order: scores are floats of 0..1, all measures whole.

    Scores are in hundredths, as both versions print them, so that no boolean contradicts its score. Of the measures,
    the rotation is in degrees, the eyes' distance and the margins in pixels, the dynamic range in grey levels (0..255).
    """

    total_score: float
    is_sharp: bool
    sharpness_score: float
    is_evenly_illuminated: bool
    illumination_score: float
    no_flare: bool
    is_left_eye_opened: bool
    left_eye_openness_score: float
    is_right_eye_opened: bool
    right_eye_openness_score: float
    is_rotation_acceptable: bool
    max_rotation_deviation: int
    not_masked: bool
    not_masked_score: float
    is_neutral_emotion: bool
    neutral_emotion_score: float
    is_eyes_distance_acceptable: bool
    eyes_distance: int
    is_margins_acceptable: bool
    margin_outer_deviation: int
    margin_inner_deviation: int
    is_not_noisy: bool
    noise_score: float
    watermark_score: float
    has_watermark: bool
    dynamic_range_score: int
    is_dynamic_range_acceptable: bool
    background_uniformity_score: float
    is_background_uniform: bool


@dataclass(frozen=True, slots=True)
class WorstDefect:
    """The score, 0..1 in hundredths, of what spoils the face's picture most: total.worst_defect()."""

    score: float


class QualityEstimatorSettings(Section):
    """Each member is acceptable from its threshold on, the threshold itself included."""

    sharpness: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Score, 0 to 1, from which `is_sharp` is true. 0.5 is a blur of two pixels. A higher "
        "threshold is stricter. As all thresholds here it decides this one member alone: the scores stay as they are, "
        "and no face is left out.",
    )
    illumination: float = Field(
        0.4, ge=0, le=1, description="Score, 0 to 1, from which `is_evenly_illuminated` is true."
    )
    flare: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Largest flare, 0 to 1, with which `no_flare` is true. Flare is the share of the face that is "
        "burnt out (without the mask, if it wears one), plus what stray light adds to its darkest parts (a share of "
        "white) where the face is sharp, 30 pixels between the eyes or more, and has its whites.",
    )
    eye_openness: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Score, 0 to 1, from which `is_left_eye_opened` and `is_right_eye_opened` are true.",
    )
    rotation: int = Field(
        15,
        ge=0,
        le=180,
        description="Largest angle of the head about any axis, in degrees, with which `is_rotation_acceptable` is "
        "true.",
    )
    neutral_emotion: float = Field(
        0.35, ge=0, le=1, description="Probability, 0 to 1, from which `is_neutral_emotion` is true."
    )
    eyes_distance: int = Field(
        60,
        ge=0,
        description="Distance of the eyes, in pixels, from which `is_eyes_distance_acceptable` is true.",
    )
    inner_margin: float = Field(
        0.6,
        ge=0,
        le=1,
        description="Minimum height of a face, as a share (0 to 1) of the picture's height. `is_margins_acceptable` is "
        "false for lower ones. The default is the specification's and strict: one portrait of four is as close, of "
        "webcams' faces one of ten, and hardly any of a camera that sees a room. 0.5 takes nine of ten portraits, 0.4 "
        "also two thirds of the webcams' faces. `margin_inner_deviation` is how many pixels a face lacks a side.",
    )
    outer_margin: float = Field(
        0.9,
        ge=0,
        le=1,
        description="Maximum height and width of a face, as a share (0 to 1) of the picture's. `is_margins_acceptable` "
        "is false for larger ones, and for faces that the picture's border cuts off.",
    )
    noise: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Score, 0 to 1, from which `is_not_noisy` is true. 0.8 is noise of six grey levels, 0.5 of nine. "
        "Most faces have one to two, sharp photographs up to six.",
    )
    watermark: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Probability, 0 to 1, from which `has_watermark` is true. It is looked for on the portrait about "
        "the face, three face sizes wide and high.",
    )
    dynamic_range: int = Field(
        128,
        ge=0,
        le=255,
        description="Range of a face's brightness, in grey levels (0 to 255), from which "
        "`is_dynamic_range_acceptable` is true.",
    )
    background_uniformity: float = Field(
        0.7, ge=0, le=1, description="Score, 0 to 1, from which `is_background_uniform` is true."
    )


class QualityEstimator:
    """Measures after ISO/IEC 29794-5:2025, as its reference implementation OFIQ 1.1 takes them, and others beside.

    Mask and emotion are those of the services, so that these never disagree with the quality of the same face.
    """

    applies_to: ClassVar[Label] = "face"
    needs: ClassVar[frozenset[type]] = frozenset({Box, FaceMesh, Pose, Mask, Emotions})
    makes: ClassVar[frozenset[type]] = frozenset({Quality, WorstDefect})
    Settings: ClassVar = QualityEstimatorSettings

    def __init__(self, settings: QualityEstimatorSettings, models: ModelStore) -> None:
        self._settings = settings
        self._watermarks = WatermarkDetector(models)
        self._people = PersonSegmenter(models)
        self._refine = MeshRefiner(models)
        self._eyes = EyeClassifier(models)
        self._blur = detail.Blur(models.path("quality_sharpness"))
        self._total = Total(models.path("quality_unified"))

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            faces = [obj for obj in sample.objects if obj.label == self.applies_to]
            if not faces:
                continue
            pyramid = sample.frame.pyramid
            if People not in sample:
                sample.put(self._people(pyramid))
            if not all(Watermark in face for face in faces):
                for face, mark in zip(faces, self._watermarks(pyramid, [each.box_xyxy for each in faces]), strict=True):
                    face.put(mark)
            for face in faces:
                measures = self.measured(pyramid, face, sample[People])
                face.put(self.assess(pyramid.size(), face, *measures))
                face.put(WorstDefect(hundredths(worst_defect(measures[0]))))

    def assess(
        self, size: tuple[int, int], face: Object, natives: Natives, eyes: Sides, background: float | None
    ) -> Quality:
        """`size` of the picture: width and height; the others as measured() has them."""
        width, height = size
        limits, box = self._settings, face.box_xyxy
        mask, light = face[Mask], natives.light

        sharpness = hundredths(detail.sharpness_score(natives.blur))
        detailed = sharpness >= limits.sharpness and natives.eyes_distance >= DETAILED_EYES
        illumination = hundredths(evenness(light))
        left_eye, right_eye = map(hundredths, eyes)
        rotation = geometry.worst_angle(natives.pose)
        neutral = hundredths(face[Emotions].probabilities[NEUTRAL])
        eyes_distance = round(natives.eyes_distance)
        inner = round(geometry.inner_margin(box, height, limits.inner_margin))
        outer = round(geometry.outer_margin(box, width, height, limits.outer_margin))
        noise = hundredths(detail.noise_score(natives.noise))
        mark = hundredths(face[Watermark].probability)
        dynamic_range = round(light.dynamic_range)
        background_score = hundredths(uniformity(background))
        return Quality(
            total_score=hundredths(self._total(natives)),
            is_sharp=sharpness >= limits.sharpness,
            sharpness_score=sharpness,
            is_evenly_illuminated=illumination >= limits.illumination,
            illumination_score=illumination,
            no_flare=light.flare(detailed) <= limits.flare,
            is_left_eye_opened=left_eye >= limits.eye_openness,
            left_eye_openness_score=left_eye,
            is_right_eye_opened=right_eye >= limits.eye_openness,
            right_eye_openness_score=right_eye,
            is_rotation_acceptable=abs(rotation) <= limits.rotation,
            max_rotation_deviation=rotation,
            not_masked=not mask.worn,
            not_masked_score=hundredths(1 - mask.probability),
            is_neutral_emotion=neutral >= limits.neutral_emotion,
            neutral_emotion_score=neutral,
            is_eyes_distance_acceptable=eyes_distance >= limits.eyes_distance,
            eyes_distance=eyes_distance,
            is_margins_acceptable=inner == 0 and outer == 0,
            margin_outer_deviation=outer,
            margin_inner_deviation=inner,
            is_not_noisy=noise >= limits.noise,
            noise_score=noise,
            watermark_score=mark,
            has_watermark=mark >= limits.watermark,
            dynamic_range_score=dynamic_range,
            is_dynamic_range_acceptable=dynamic_range >= limits.dynamic_range,
            background_uniformity_score=background_score,
            is_background_uniform=background_score >= limits.background_uniformity,
        )

    def measured(self, pyramid: Pyramid, face: Object, people: People) -> tuple[Natives, Sides, float | None]:
        """Natives, the openness of the eyes, the background's gradient."""
        refined = self._refine(pyramid, face[FaceMesh])
        points = refined.points_xy
        eyes = Sides(*map(openness, self._eyes(pyramid, points), refined.blink))
        noise = detail.noise(cutout(pyramid, points, detail.NOISE_EYES))
        natives = Natives(
            confidence=face[Confidence].value if Confidence in face else SURE,
            presence=face[FaceMesh].presence,
            blur=self._blur(cutout(pyramid, points, detail.SHARPNESS_EYES), noise),
            noise=noise,
            light=canonical_face(pyramid, points).light(face[Mask].worn),
            eyes=min(eyes),
            mouth=geometry.mouth_closed(geometry.openings(points).mouth),
            eyes_distance=geometry.eyes_distance(points),
            pose=face[Pose],
        )
        return natives, eyes, background_gradient(pyramid, points, people)


def hundredths(score: float) -> float:
    return round(score, 2)
