import math

import numpy as np
import pytest

from daemon.work.shots import CLEARLY, NEARLY, SPACING, Shot, Shots, shot_score
from processors.age import Age
from processors.types import Confidence, FaceMesh, FivePoints, Object, Pose


def face(side: float = 112, *results: object) -> Object:
    obj = Object("face", np.array([0.0, 0.0, side, side]))
    for result in results:
        obj.put(result)
    return obj


MESH = np.zeros((468, 3))


class TestScore:
    def test_of_a_perfect_face(self) -> None:
        assert shot_score(face(112, Confidence(1.0), FaceMesh(MESH, 1.0), Pose(0, 0, 45))) == 1

    @pytest.mark.parametrize(
        ("obj", "score"),
        [
            (face(56), 0.5),
            (face(500), 1.0),
            (face(112, Confidence(0.7)), 0.7),
            (face(112, FaceMesh(MESH, 0.4)), 0.4),
            (face(112, Pose(60, 0, 0)), 0.5),
            (face(112, Pose(0, -60, 0)), 0.5),
            (face(112, Pose(120, 0, 0)), 0.0),
            (face(56, Confidence(0.5), Pose(60, 60, 0)), 1 / 16),
            (Object("body", np.array([0.0, 0.0, 64.0, 256.0])), 0.5),
            (Object("face", np.array([5.0, 5.0, 5.0, 9.0])), 0.0),
        ],
    )
    def test_of_what_is_worse(self, obj: Object, score: float) -> None:
        assert shot_score(obj) == pytest.approx(score)


def points(yaw: float, roll: float = 0) -> FivePoints:
    """Of a face 60 pixels from eye to eye with a nose of 30, in degrees, in parallel projection."""
    across, out = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
    xy = np.array([[-30 * across, -30], [30 * across, -30], [30 * out, 5], [-20 * across, 30], [20 * across, 30]])
    turn = math.radians(roll)
    return FivePoints(200 + xy @ [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])


class TestScoreByFivePoints:
    @pytest.mark.parametrize("roll", [0, 40])
    @pytest.mark.parametrize("yaw", [0, 30, -60])
    def test_is_the_cosine_of_the_yaw(self, yaw: float, roll: float) -> None:
        assert shot_score(face(112, points(yaw, roll))) == pytest.approx(math.cos(math.radians(yaw)))

    def test_is_not_asked_where_there_is_a_pose(self) -> None:
        assert shot_score(face(112, points(60), Pose(0, 0, 0))) == 1

    def test_of_points_that_are_one_is_none(self) -> None:
        assert shot_score(face(112, FivePoints(np.zeros((5, 2))))) == 0


def taken(scores: list[float], most: int = 3, every: float = 0.1) -> list[int]:
    """Which looks of a track are worth the work, one every so many seconds."""
    shots = Shots(most)
    indices = []
    for index, score in enumerate(scores):
        if shots.wants(score, index * every):
            shots.add(Shot(score, {}), index * every)
            indices.append(index)
    return indices


class TestWants:
    def test_the_first_look_and_then_as_many_as_are_pooled_some_time_apart(self) -> None:
        assert taken([0.8] * 100) == [0, 5, 10]

    def test_nothing_more_while_none_is_clearly_better(self) -> None:
        assert taken([0.8, *[0.8 * CLEARLY - 0.001] * 50], most=1) == [0]

    def test_a_clearly_better_one_at_once(self) -> None:
        assert taken([0.5, 0.61, 0.62], most=1) == [0, 1]

    def test_a_face_that_comes_near_is_looked_at_as_often_as_it_gets_better(self) -> None:
        scores = [0.1 + 0.9 * index / 250 for index in range(250)]
        assert len(taken(scores, most=1)) <= math.log(10, CLEARLY) + 1
        assert len(taken(scores)) <= 3 * math.log(10, CLEARLY)

    def test_none_that_is_far_worse_however_few_there_are(self) -> None:
        assert taken([1.0, *[NEARLY - 0.01] * 100]) == [0]

    def test_better_ones_take_the_place_of_the_worst_some_time_apart(self) -> None:
        shots = Shots(2)
        shots.add(Shot(0.5, {}), 0)
        shots.add(Shot(0.9, {}), 1)
        assert not shots.wants(0.5 * CLEARLY, 1 + SPACING)
        assert not shots.wants(0.7, 1 + SPACING - 0.01)
        assert shots.wants(0.7, 1 + SPACING)

    def test_faces_without_a_score_are_not_looked_at_for_ever(self) -> None:
        assert taken([0.0] * 100) == [0, 5, 10]


class TestPool:
    def test_the_best_few_speak(self) -> None:
        shots = Shots(2)
        assert shots.add(Shot(0.2, {Age: Age(90.0)}), 0)
        assert shots.results == {Age: Age(90.0)}
        assert shots.add(Shot(0.8, {Age: Age(30.0)}), 1)
        assert not shots.add(Shot(0.7, {Age: Age(40.0)}), 2)
        assert shots.results == {Age: Age(35.0)}

    def test_of_equals_the_first_stays_the_best(self) -> None:
        shots = Shots(2)
        shots.add(Shot(0.5, {}), 0)
        assert not shots.add(Shot(0.5, {}), 1)
