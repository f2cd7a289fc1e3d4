"""What the tasks make of observations, on cases small enough to count by hand."""

import numpy as np
import pytest

from daemon.commands.evaluate.boxes import Detections
from daemon.commands.evaluate.detection import Faced, report_bodies, report_faces, report_masked
from daemon.commands.evaluate.eyes import centre_square, report_eye_crops, report_open_eyes
from daemon.commands.evaluate.faces import (
    Decision,
    Grouped,
    Sexed,
    report_age,
    report_age_group,
    report_detected,
    report_emotion,
    report_gender,
    report_liveness,
)
from daemon.commands.evaluate.figures import Report
from daemon.commands.evaluate.geometry import OF_68, Posed, normalised_errors, report_landmarks, report_pose
from daemon.commands.evaluate.task import Context
from models.store import ModelStore
from processors.emotion import EMOTIONS
from processors.face_detector import FaceDetectorSettings
from processors.quality import QualityEstimatorSettings
from processors.types import LANDMARK_NAMES


@pytest.fixture
def context(store: ModelStore) -> Context:
    return Context(FaceDetectorSettings(), store)


def values(report: Report) -> dict[str, dict[str, float]]:
    return {row.group: {name: figure.value for name, figure in row.figures.items()} for row in report.rows}


def counts(report: Report) -> dict[str, int]:
    return {row.group: row.count for row in report.rows}


def test_faces_by_size(context: Context) -> None:
    """Two faces of 10 and 100 px; the small one is found at .3, below the threshold, and one at .9 is false."""
    wanted = np.array([[0.0, 0, 10, 10], [100, 100, 200, 200]])
    found = np.array([[300.0, 300, 340, 340], [100, 100, 200, 200], [0, 0, 10, 10]])
    report = report_faces(
        [Detections(found, np.array([0.9, 0.8, 0.3]), wanted, np.zeros((0, 4)))],
        context,
    )
    assert counts(report) == {"": 2, "8 to 16 px": 1, "64 to 128 px": 1}
    of = values(report)
    assert of[""]["AP50"] == pytest.approx(2 / 3)  # 1/2 and 2/3, the envelope 2/3 throughout
    assert of[""]["recall"] == 0.5
    assert of[""]["precision"] == 0.5
    assert (of[""]["false boxes"], of[""]["pictures with one"]) == (1, 1)
    assert of["8 to 16 px"]["AP50"] == 1
    assert of["8 to 16 px"]["recall"] == 0
    assert of["64 to 128 px"] == of["64 to 128 px"] | {"recall": 1, "precision": 1, "false boxes": 0}


def test_hand_drawn_squares_have_a_looser_overlap(context: Context) -> None:
    """IoU .45."""
    found = Detections(np.array([[0.0, 0, 10, 4.5]]), np.array([0.9]), np.array([[0.0, 0, 10, 10]]), np.zeros((0, 4)))
    whole = values(report_faces([found], context))[""]
    assert (whole["AP50"], whole["AP40"]) == (0, 1)
    assert (whole["recall"], whole["recall at IoU .4"]) == (0, 1)


def test_pictures_without_faces_have_no_recall(context: Context) -> None:
    empty = np.zeros((0, 4))
    report = report_faces([Detections(np.array([[0.0, 0, 9, 9]]), np.array([0.7]), empty, empty)], context)
    assert values(report) == {"": {"precision": 0, "false boxes": 1, "pictures with one": 1}}


def test_bodies_over_ten_overlaps(context: Context) -> None:
    """IoU .72 is a hit at .5, .55, .6, .65 and .7: five of ten."""
    found = Detections(np.array([[0.0, 0, 100, 72]]), np.array([0.9]), np.array([[0.0, 0, 100, 100]]), np.zeros((0, 4)))
    assert values(report_bodies([found], context))[""]["AP50:95"] == pytest.approx(0.5)


def test_masked_and_bare_faces_are_told_apart(context: Context) -> None:
    seen = [Faced(True, True), Faced(True, False), Faced(False, True)]
    report = report_masked(seen, context)
    assert values(report) == {"": {"recall": 2 / 3}, "masked": {"recall": 0.5}, "bare": {"recall": 1}}


def test_gender_by_gender_and_age(context: Context) -> None:
    seen = [
        Sexed("male", (40, 40), 0.9, "male"),
        Sexed("male", (10, 10), 0.2, "female"),
        Sexed("female", (18, 18), 0.1, "female"),
        Sexed("female", (17, 17), 0.1, "female"),
    ]
    report = report_gender(seen, context)
    assert {name: of["accuracy"] for name, of in values(report).items()} == {
        "": 0.75,
        "male": 0.5,
        "female": 1,
        "from 18 years": 1,
        "under 18 years": 0.5,
        "under 13 years": 0,
    }
    assert report.confusion is not None
    assert report.confusion.counts == ((1, 1), (0, 2))


def test_gender_by_age_groups(context: Context) -> None:
    """Who is 10 to 19 may be of age or not; the old are told apart by gender."""
    seen = [
        Sexed("female", (10, 19), 0.1, "female"),
        Sexed("female", (3, 9), 0.1, "female"),
        Sexed("female", (60, 69), 0.9, "male"),
        Sexed("male", (60, 69), 0.9, "male"),
        Sexed("male", (50, 59), 0.9, "male"),
    ]
    assert counts(report_gender(seen, context)) == {
        "": 5,
        "male": 2,
        "female": 3,
        "from 18 years": 3,
        "under 18 years": 1,
        "under 13 years": 1,
        "men from 60 years": 1,
        "women from 60 years": 1,
    }
    assert values(report_gender(seen, context))["women from 60 years"] == {"accuracy": 0}


def test_gender_without_ages_and_of_one_gender(context: Context) -> None:
    assert list(counts(report_gender([Sexed("male", None, 0.9, "male")], context))) == ["", "male"]


def test_age_by_group(context: Context) -> None:
    report = report_age([(12, 15), (13, 10), (80, 55), (75, 75)], context)
    assert counts(report) == {"": 4, "0 to 12 years": 1, "13 to 17 years": 1, "from 75 years": 2}
    of = values(report)
    assert of[""]["MAE"] == 31 / 4
    assert of[""]["bias"] == -25 / 4
    assert of[""]["over 20"] == 0.25
    assert of["from 75 years"]["MAE"] == 12.5


@pytest.mark.parametrize(("found", "outside"), [(49, -1), (50, 0), (59.9, 0), (60, 0), (62.5, 2.5), (0, -50)])
def test_years_outside_a_group(found: float, outside: float) -> None:
    """50 to 59: until the day before turning 60."""
    assert Grouped(50, 59, found).outside == outside


def test_age_groups(context: Context) -> None:
    seen = [Grouped(50, 59, 45), Grouped(50, 59, 55), Grouped(0, 2, 33), Grouped(0, 2, 1)]
    report = report_age_group(seen, context)
    assert counts(report) == {"": 4, "0 to 2 years": 2, "50 to 59 years": 2}
    of = values(report)
    assert of[""] == {"years outside": 35 / 4, "inside": 0.5, "bias": 25 / 4, "over 20": 0.25}
    assert of["50 to 59 years"] == {"years outside": 2.5, "inside": 0.5, "bias": -2.5, "over 20": 0}


def test_emotion_by_class(context: Context) -> None:
    angry, happy = EMOTIONS.index("angry"), EMOTIONS.index("happy")
    report = report_emotion([(angry, angry), (angry, happy), (happy, happy)], context)
    assert values(report) == {"": {"accuracy": 2 / 3}, "angry": {"recall": 0.5}, "happy": {"recall": 1}}
    assert report.confusion is not None
    assert report.confusion.counts[angry][happy] == 1


def test_detected_at_the_working_point() -> None:
    """One of two masks is taken at the working point; both score above the bare face."""
    seen = [Decision(True, 0.9, True), Decision(True, 0.4, False), Decision(False, 0.1, False)]
    assert values(report_detected(seen, 0.01))[""] == {"recall": 0.5, "FPR": 0, "recall at FPR 0.01": 1, "AUC": 1}


def test_masks_alone_have_a_recall_alone() -> None:
    assert values(report_detected([Decision(True, 0.9, True)], 0.01)) == {"": {"recall": 1}}


LIVE = [Decision(True, 0.9, True, "live"), Decision(True, 0.4, False, "live")]
ATTACKS = [
    Decision(False, 0.6, True, "screen"),
    Decision(False, 0.1, False, "print"),
    Decision(False, 0, False, "print"),
]


def test_liveness_by_attack(context: Context) -> None:
    of = values(report_liveness(LIVE + ATTACKS, context))
    assert of[""]["APCER"] == 1 / 3
    assert of[""]["BPCER"] == 0.5
    assert of[""]["AUC"] == 5 / 6
    assert of["screen"] == {"APCER": 1, "AUC": 0.5}
    assert of["print"] == {"APCER": 0, "AUC": 1}


def test_liveness_of_attacks_alone(context: Context) -> None:
    report = report_liveness(ATTACKS, context)
    assert values(report)[""] == {"APCER": 1 / 3}
    assert report.curves == ()


def test_liveness_over_clips(context: Context) -> None:
    """A clip whose frames disagree: its mean is .5, its minimum .1 and its 20 % quantile .26."""
    attack, live = (0.3, 0.3), (0.1, 0.9)
    seen = [Decision(False, score, False, "print", "a") for score in attack]
    seen += [Decision(True, score, True, "live", "b") for score in live]
    of = values(report_liveness(seen, context))
    assert of[""]["AUC"] == 0.5
    assert of["clips by mean"]["AUC"] == 1
    assert of["clips by minimum"]["AUC"] == 0
    assert of["clips by 20 % quantile"]["AUC"] == 0
    assert counts(report_liveness(seen, context))["clips by mean"] == 2


def test_landmarks_against_their_counterparts() -> None:
    """Outer corners 10 apart; all landmarks where they should be but for the chin, which is 5 off."""
    labelled = np.random.default_rng(0).uniform(0, 100, (68, 2))
    labelled[36], labelled[45] = (0, 0), (6, 8)
    found = np.full((21, 2), np.nan)
    for name, points in OF_68.items():
        found[LANDMARK_NAMES.index(name)] = labelled[list(points)].mean(axis=0)
    found[LANDMARK_NAMES.index("chin")] += (3, 4)
    errors = normalised_errors(found, labelled)
    assert errors[list(OF_68).index("chin")] == pytest.approx(0.5)
    assert errors.sum() == pytest.approx(0.5)


def test_landmarks_of_faces_that_were_not_found(context: Context) -> None:
    report = report_landmarks([np.full(19, 0.2), None, np.full(19, 0.04)], context)
    whole = values(report)[""]
    assert counts(report)[""] == 3
    assert whole["missed"] == 1 / 3
    assert whole["NME"] == pytest.approx(0.12)
    assert whole["over 0.1"] == 0.5
    assert values(report)["eye"]["NME"] == pytest.approx(0.12)


def test_no_face_found_at_all(context: Context) -> None:
    assert values(report_landmarks([None], context)) == {"": {"missed": 1}}


def posed(truth: tuple[float, float, float], found: tuple[float, float, float], presence: float = 1.0) -> Posed:
    return Posed(np.array(truth), np.array(found), presence)


def test_pose_by_yaw(context: Context) -> None:
    seen = [
        posed((10, 0, 0), (12, 1, 3)),
        posed((-20, 0, 0), (-16, 1, 3), presence=0.5),
        posed((90, 0, 179), (50, 1, -179), presence=0.1),
        Posed(np.array([-40.0, 0, 0]), None, 0.0),
    ]
    report = report_pose(seen, context)
    of = values(report)
    assert counts(report) | {"": 4, "|yaw| 0 to 15": 1, "|yaw| 15 to 30": 1, "|yaw| 0 to 30": 2} == counts(report)
    assert of["|yaw| 0 to 30"] == {"missed": 0, "yaw": 3, "pitch": 1, "roll": 3}
    assert of["|yaw| 30 to 45"] == {"missed": 1}
    assert of["|yaw| from 60"] == {"missed": 0, "yaw": 40, "pitch": 1, "roll": 2}
    assert of["presence from 0.99"]["yaw"] == 2
    assert "|yaw| 45 to 60" not in of


def test_signs_of_pose_where_they_are_clear(context: Context) -> None:
    """The second yaw has the wrong sign, but 5 degrees are not clear; of the pitches one of two is wrong."""
    seen = [posed((20, 15, 0), (10, 3, 0)), posed((5, -15, 0), (-5, 3, 0)), posed((80, 15, 0), (-80, -3, 0))]
    report = report_pose(seen, context)
    assert values(report)["angle from 10, |yaw| to 60"] == {"sign of yaw": 1, "sign of pitch": 0.5}


def test_open_eyes_of_good_portraits_alone(context: Context) -> None:
    report = report_open_eyes([(True, False), (), (True, True)], context)
    assert counts(report) == {"": 4}
    assert values(report) == {"": {"open called closed": 0.25}}
    assert values(report_open_eyes([()], context)) == {"": {}}


def test_crops_of_eyes_at_the_configured_openness(store: ModelStore) -> None:
    """At .7 the open eye of .6 is closed, and the closed one of .7 open."""
    seen = [(True, 0.9), (True, 0.6), (False, 0.7), (False, 0.1)]
    whole = values(report_eye_crops(seen, Context(QualityEstimatorSettings(eye_openness=0.7), store)))[""]
    assert whole == {"accuracy": 0.5, "open called closed": 0.5, "closed called open": 0.5, "AUC": 0.75}


def test_an_eye_is_looked_at_in_the_middle_of_its_crop() -> None:
    picture = np.zeros((4, 9, 3), np.uint8)
    picture[:, 2:6] = 1
    assert centre_square(picture).shape == (4, 4, 3)
    assert centre_square(picture).all()
