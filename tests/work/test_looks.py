from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pytest

from daemon.flow.receipts import LookCounts
from daemon.sources.settings import RegionSettings
from daemon.work.looks import Looking, Looks
from daemon.work.regions import InRegions, Regions
from processors.chain import Chain
from processors.tracker import Predicted, Track, Tracker, TrackerSettings
from processors.types import Box, Frame, Image, Label, Object, Sample
from tests.work.scenes import HEIGHT, START, WIDTH, box, frame

FPS = 8  # whose times are exact


class Walker:
    """Finds whoever walks to the right, by 30 pixels a frame; notes the frames, and fails on those of `broken`."""

    needs: ClassVar[frozenset[type]] = frozenset()
    makes: ClassVar[frozenset[type]] = frozenset({Box})

    def __init__(self, label: Label = "face", step: float = 30, size: float = 100) -> None:
        self.applies_to = label
        self.frames: list[int] = []
        self.broken: set[int] = set()
        self._step = step
        self._size = size

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            index = sample.frame.index
            if index in self.broken:
                raise ZeroDivisionError
            self.frames.append(index)
            found = Object(self.applies_to, box(100 + self._step * index, 100, self._size, self._size))
            sample.objects = [*(obj for obj in sample.objects if obj.label != self.applies_to), found]


def looking(*looks: Looks, counts: LookCounts | None = None, regions: Regions | None = None) -> Looking:
    return Looking(looks, Tracker(TrackerSettings()), counts or LookCounts(), regions)


def followed(work: Looking, frames: int, times: Sequence[float] | None = None) -> list[Sample]:
    samples = []
    for index in range(frames):
        at = index / FPS if times is None else times[index]
        sample = work.look(bare(index, at), index)
        work.follow(sample)
        samples.append(sample)
    return samples


def bare(index: int, at: float) -> Frame:
    return Frame(not_converted, width=WIDTH, height=HEIGHT, index=index, pts=at, captured_at=START + at)


def not_converted() -> Image:
    raise AssertionError("nothing is to be seen")


def predicted(samples: Sequence[Sample]) -> list[bool]:
    return [Predicted in obj for sample in samples for obj in sample.objects]


def test_a_look_on_every_nth_frame_and_predictions_between_of_the_same_track() -> None:
    walker = Walker()
    samples = followed(looking(Looks("face", walker, 3)), 7)
    assert walker.frames == [0, 3, 6]
    assert predicted(samples) == [False, True, True] * 2 + [False]
    assert {obj[Track].id for sample in samples for obj in sample.objects} == {1}
    assert [obj[Track].boxes for sample in samples for obj in sample.objects] == [1, 1, 1, 2, 2, 2, 3]
    for index in (4, 5):  # by the velocity that two looks show
        (obj,) = samples[index].objects
        assert obj.box_xyxy == pytest.approx(box(100 + 30 * index, 100, 100, 100), abs=12)


def test_those_at_faces_and_at_bodies_each_at_their_own_rate() -> None:
    faces, bodies, counts = Walker("face"), Walker("body"), LookCounts()
    samples = followed(looking(Looks("face", faces, 2), Looks("body", bodies, 3), counts=counts), 7)
    assert (faces.frames, bodies.frames) == ([0, 2, 4, 6], [0, 3, 6])
    assert all(sorted(obj.label for obj in sample.objects) == ["body", "face"] for sample in samples)
    assert (counts.looks, counts.predictions) == ({"face": 4, "body": 3}, {"face": 3, "body": 4})


def test_those_of_another_phase_come_between() -> None:
    """The first frame is looked at all the same, and none is farther from the last look than the others are."""
    walkers = [Walker() for _ in range(4)]
    for phase, walker in enumerate(walkers):
        followed(looking(Looks("face", walker, 3, phase)), 8)
    assert [walker.frames for walker in walkers] == [[0, 3, 6], [0, 1, 4, 7], [0, 2, 5], [0, 3, 6]]


def test_one_that_failed_is_made_up_for() -> None:
    walker, counts = Walker(), LookCounts()
    walker.broken = {3}
    work = looking(Looks("face", walker, 3), counts=counts)
    followed(work, 3)
    with pytest.raises(ZeroDivisionError):
        work.look(frame(3), 3)
    for index in (4, 5, 6):
        work.follow(work.look(frame(index), index))
    assert walker.frames == [0, 4, 6]
    assert counts.looks.total() + counts.predictions.total() == 6  # all but the one that was told of nothing


def test_none_is_farther_from_the_last_than_a_second() -> None:
    """As where `motion` has passed over frames: who comes with the next one is no prediction."""
    walker = Walker(step=0)
    followed(looking(Looks("face", walker, 10)), 6, times=[0, 0.1, 1.05, 1.1, 7, 7.1])
    assert walker.frames == [0, 2, 4]


def test_a_picture_of_another_size_is_looked_at() -> None:
    walker = Walker()
    work = looking(Looks("face", walker, 5))
    followed(work, 2)
    other = Frame(not_converted, width=WIDTH * 2, height=HEIGHT, index=2, pts=0.2, captured_at=START + 0.2)
    sample = work.look(other, 2)
    assert work.follow(sample) == (1,)
    assert (walker.frames, predicted([sample])) == ([0, 2], [False])


def test_auto_looks_until_a_track_is_confirmed_and_then_four_tenths_of_a_second_apart() -> None:
    walker = Walker(step=0)
    followed(looking(Looks("face", walker, None)), 13)
    assert walker.frames == [0, 1, 2, 6, 10]


def test_auto_looks_oftener_at_who_is_fast() -> None:
    walker = Walker(step=10)  # a size a second
    followed(looking(Looks("face", walker, None)), 12)
    assert walker.frames == [0, 1, 2, *range(5, 12, 3)]


def test_who_is_predicted_outside_the_regions_does_not_count() -> None:
    left = Regions(RegionSettings.model_validate({"include": [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]}))
    chain = Chain([Walker(), InRegions(left, "face")])
    samples = followed(looking(Looks("face", chain, 3), regions=left), 9)
    assert [len(sample.objects) for sample in samples] == [1] * 8 + [0]
    assert np.mean(samples[6].objects[0].box_xyxy[::2]) == 280
