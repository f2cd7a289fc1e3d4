from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from models.store import ModelStore
from processors.chain import Chain, Missing, requirements
from processors.registry import PROCESSORS, build_chain
from processors.types import (
    Box,
    Confidence,
    FaceMesh,
    FivePoints,
    Frame,
    Label,
    Landmarks,
    Object,
    Pose,
    Processor,
    Sample,
)


@dataclass(frozen=True, slots=True)
class Age:
    years: int


@dataclass
class Step:
    """Notes what it is called with; puts an Age, the number of its call."""

    needs: frozenset[type] = frozenset()
    makes: frozenset[type] = frozenset({Age})
    applies_to: Label = "face"
    calls: list[list[Object]] = field(default_factory=list)

    def __call__(self, samples: Sequence[Sample]) -> None:
        self.calls.append([obj for sample in samples for obj in sample.objects])
        for obj in self.calls[-1]:
            obj.put(Age(len(self.calls)))


def kinds(*types: type) -> frozenset[type]:
    return frozenset(types)


def face() -> Object:
    return Object("face", np.array([1.0, 1.0, 3.0, 3.0]))


def sample_of(*objects: Object) -> Sample:
    return Sample(Frame.of(np.zeros((4, 4, 3), np.uint8)), objects)


DETECT = Step(makes=kinds(Box, Confidence))
MESH = Step(needs=kinds(Box), makes=kinds(FaceMesh))
POSE = Step(needs=kinds(FaceMesh), makes=kinds(Pose))
BODIES = Step(makes=kinds(Box), applies_to="body")


@pytest.mark.parametrize(
    ("steps", "needs", "makes"),
    [
        ([], kinds(), kinds()),
        ([DETECT, MESH, POSE], kinds(), kinds(Box, Confidence, FaceMesh, Pose)),
        ([MESH, POSE], kinds(Box), kinds(FaceMesh, Pose)),
        ([POSE, MESH], kinds(Box, FaceMesh), kinds(FaceMesh, Pose)),
        ([MESH, DETECT], kinds(Box), kinds(Box, Confidence, FaceMesh)),
        ([BODIES, MESH], kinds(Box), kinds(Box, FaceMesh)),
        ([BODIES, DETECT, MESH], kinds(), kinds(Box, Confidence, FaceMesh)),
    ],
    ids=["none", "complete", "no detector", "order", "too late", "bodies are no faces", "both"],
)
def test_requirements(steps: list[Step], needs: frozenset[type], makes: frozenset[type]) -> None:
    assert requirements(steps) == (needs, makes)


def test_a_chain_is_a_processor_of_the_same_needs_and_makes() -> None:
    inner: Processor = Chain([MESH, POSE])
    outer = Chain([DETECT, inner])
    assert (inner.needs, inner.makes, inner.applies_to) == (kinds(Box), kinds(FaceMesh, Pose), "face")
    assert (outer.needs, outer.makes) == (kinds(), kinds(Box, Confidence, FaceMesh, Pose))


def test_a_chain_runs_its_processors_in_order_over_the_same_samples() -> None:
    order: list[str] = []

    class Named(Step):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def __call__(self, samples: Sequence[Sample]) -> None:
            order.append(self.name)
            super().__call__(samples)

    first, second = Named("first"), Named("second")
    a, b = face(), face()
    Chain([first, second])([sample_of(a), sample_of(b)])
    assert order == ["first", "second"]
    assert first.calls == second.calls == [[a, b]]


def test_an_empty_chain_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one processor"):
        Chain([])


def test_missing_runs_on_the_objects_of_its_label_that_lack_the_result() -> None:
    step = Step(needs=kinds(Box))
    lacking, other_lacking, has_it, body = face(), face(), face(), Object("body", np.zeros(4))
    has_it.put(Age(70))
    first, second = sample_of(has_it, lacking, body), sample_of(other_lacking)
    Missing(Age, step)([first, second])
    assert step.calls == [[lacking, other_lacking]]
    assert (lacking[Age], has_it[Age]) == (Age(1), Age(70))
    assert Age not in body
    assert first.objects == [has_it, lacking, body]


def test_missing_does_not_run_where_nothing_is_missing() -> None:
    step = Step()
    known = face()
    known.put(Age(70))
    Missing(Age, step)([sample_of(known), sample_of()])
    assert step.calls == []


def test_missing_has_the_needs_and_makes_of_its_processor() -> None:
    missing = Missing(FaceMesh, MESH)
    assert (missing.needs, missing.makes, missing.applies_to) == (MESH.needs, MESH.makes, "face")
    assert Chain([missing, POSE]).needs == kinds(Box)


def test_missing_refuses_a_processor_that_cannot_make_the_result() -> None:
    with pytest.raises(ValueError, match="expected a processor that makes Pose, got Step"):
        Missing(Pose, MESH)


def test_detector_and_fitter_need_nothing_from_outside(store: ModelStore) -> None:
    chain = build_chain(["face-detector", "face-fitter"], {}, store)
    assert chain.needs == kinds()
    assert chain.makes == kinds(Box, Confidence, FivePoints, FaceMesh, Landmarks, Pose)
    assert build_chain(["face-fitter"], {}, store).needs == kinds(Box)


def test_settings_reach_the_processor_of_their_name(store: ModelStore) -> None:
    strict = PROCESSORS["face-detector"].Settings(score_threshold=1.0)
    sample = sample_of(face())
    build_chain(["face-detector"], {"face-detector": strict}, store)([sample])
    assert sample.objects == []


@pytest.mark.parametrize("name", PROCESSORS)
def test_what_a_processor_says_as_a_class_holds_for_its_instances(name: str, store: ModelStore) -> None:
    """The configuration is checked by the classes, before any model is opened."""
    cls: Any = PROCESSORS[name]
    instance = cls(cls.Settings(), store)
    assert requirements([instance]) == requirements([cls])
    assert instance.applies_to == cls.applies_to
