import pytest

from daemon.work.emission import Emission, Policy
from processors.types import Object, Sample
from sinks.base import Record
from tests.work.scenes import body, face, frame


def record(sample: Sample, run: str) -> Record:
    return Record(run, b"%d" % sample.frame.index)


NOBODY: list[Object] = []
SCENES = [NOBODY, [face(50)], [face(60)], [face(60), face(200)], [face(60), body(60)], [body(50), face(60)], NOBODY]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("every", [0, 1, 2, 3, 4, 5, 6]), ("objects", [1, 2, 3, 4, 5]), ("change", [0, 1, 3, 4, 6])],
)
def test_which_frames_make_a_document(policy: Policy, expected: list[int]) -> None:
    emission = Emission(record, policy, "run")
    told = [told for index, objects in enumerate(SCENES) for told in emission(Sample(frame(index), objects))]
    assert told == [Record("run", b"%d" % index) for index in expected]


def test_a_scene_says_what_a_change_is() -> None:
    emission = Emission(record, "change", "run")
    scenes = [{1}, {1}, {1, 2}, {2}, {2}]
    assert [bool(emission(Sample(frame(index)), scene)) for index, scene in enumerate(scenes)] == [
        True,
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(("policy", "in_order"), [("every", False), ("objects", False), ("change", True)])
def test_only_changes_need_an_order(policy: Policy, in_order: bool) -> None:
    assert Emission(record, policy, "run").in_order == in_order
