import numpy as np
import pytest

from processors import templates
from processors.age import Age
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.pooling import pooled
from processors.quality import Quality
from processors.template_extractor import Template
from processors.types import Pose

MODEL = bytes(range(16))


def template(*vector: int) -> Template:
    embedding = np.zeros(templates.DIMENSIONS, np.int8)
    embedding[: len(vector)] = vector
    return Template(templates.pack(embedding, MODEL))


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([Age(20.0), Age(30.0), Age(34.0)], Age(28.0)),
        ([Gender(0.2), Gender(0.9)], Gender(0.55)),
        ([Mask(0.9, True), Mask(0.1, False), Mask(0.8, True)], Mask(0.8, True)),
        ([Mask(0.9, True), Mask(0.1, False)], Mask(0.1, False)),
        ([Liveness(0.9, True), Liveness(0.3, False), Liveness(0.8, True)], Liveness(0.3, False)),
        ([Pose(1, 2, 3), Pose(4, 5, 6)], Pose(1, 2, 3)),
        ([template(127, 0), template(0, 127)], template(127, 127)),
        ([template(127, 0), template(0, 1)], template(127, 127)),  # by their directions
        ([template(127, 0), template(0, 0)], template(127, 0)),  # one that saw nobody has no say
        ([template(0, 0), template(0, 0)], template(0, 0)),
    ],
)
def test_the_answer_of_several_looks(looks: list[object], expected: object) -> None:
    kind = type(expected)
    assert pooled([{kind: look} for look in looks]) == {kind: expected}


@pytest.mark.parametrize("look", [Age(20.0), Gender(0.2), Mask(0.9, True), Liveness(0.9, True), template(127, 5)])
def test_of_one_look_the_answer_is_its_own(look: object) -> None:
    assert pooled([{type(look): look}]) == {type(look): look}


def test_a_look_may_lack_what_others_have() -> None:
    assert pooled([{Age: Age(20.0)}, {Gender: Gender(0.5)}, {Age: Age(40.0)}]) == {
        Age: Age(30.0),
        Gender: Gender(0.5),
    }


def test_no_looks_say_nothing() -> None:
    assert pooled([]) == {}


def test_quality_is_that_of_the_best_look() -> None:
    best, other = object.__new__(Quality), object.__new__(Quality)
    assert pooled([{Quality: best}, {Quality: other}])[Quality] is best


def test_templates_of_two_models_are_refused() -> None:
    other = Template(templates.pack(np.ones(templates.DIMENSIONS, np.int8), bytes(16)))
    with pytest.raises(templates.WrongModel):
        pooled([{Template: template(1)}, {Template: other}])
