import numpy as np
import pytest

from daemon.commands.evaluate.metrics import (
    angle_errors,
    auc,
    confusion,
    curve,
    equal_error_rate,
    mean,
    proportion,
    tpr_at_fpr,
)

ACCEPT = np.array([0.9, 0.8, 0.7, 0.4])
REFUSE = np.array([0.6, 0.5, 0.3, 0.2])


def test_proportion() -> None:
    figure = proportion(30, 40)
    assert figure.value == 0.75
    assert figure.error == pytest.approx(0.0685, abs=0.002)


@pytest.mark.parametrize("hits", [0, 5])
def test_a_proportion_of_few_is_never_certain(hits: int) -> None:
    error = proportion(hits, 5).error
    assert error is not None
    assert error > 0.1


def test_mean_and_its_error() -> None:
    figure = mean(np.array([1.0, 2.0, 3.0, 4.0]))
    assert figure.value == 2.5
    assert figure.error == pytest.approx(np.sqrt(5 / 3) / 2)


def test_the_mean_of_one_has_no_error() -> None:
    assert mean(np.array([3.0])).error is None


def test_auc_counts_ordered_pairs() -> None:
    assert auc(ACCEPT, REFUSE).value == 14 / 16


def test_auc_counts_ties_by_half() -> None:
    assert auc(np.array([0.5, 0.7]), np.array([0.5, 0.1])).value == 3.5 / 4


def test_auc_of_constant_scores_is_chance() -> None:
    assert auc(np.ones(5), np.ones(3)).value == 0.5


def test_the_error_of_the_auc() -> None:
    """That of Hanley and McNeil agrees with what many draws show."""
    draw = np.random.default_rng(1)
    drawn = [auc(draw.normal(1, 1, 60), draw.normal(0, 1, 80)) for _ in range(400)]
    errors = [figure.error for figure in drawn if figure.error is not None]
    assert np.mean(errors) == pytest.approx(np.std([figure.value for figure in drawn]), rel=0.1)


@pytest.mark.parametrize(
    ("fpr", "expected"),
    [
        (0.0, 0.75),  # all above .6
        (0.24, 0.75),  # less than one of four is still none
        (0.25, 0.75),  # .6 may pass, so the threshold is above .5
        (0.5, 1.0),  # above .3
    ],
)
def test_tpr_at_fpr(fpr: float, expected: float) -> None:
    assert tpr_at_fpr(ACCEPT, REFUSE, fpr).value == expected


def test_tpr_at_fpr_does_not_cut_through_equal_scores() -> None:
    """Where the refused scores tie, the threshold that lets one pass would let both."""
    assert tpr_at_fpr(np.array([0.5, 0.6]), np.array([0.5, 0.5, 0.1, 0.1]), 0.25).value == 0.5


def test_tpr_at_fpr_allows_the_whole_number_that_the_product_is() -> None:
    """0.29 * 100 is 28.999999999999996."""
    refuse = np.arange(100.0)
    assert tpr_at_fpr(np.array([70.5]), refuse, 0.29).value == 1


def test_equal_error_rate() -> None:
    assert equal_error_rate(ACCEPT, REFUSE).value == 0.25


def test_equal_error_rate_of_what_is_apart_is_zero() -> None:
    assert equal_error_rate(np.array([3.0, 4.0]), np.array([1.0, 2.0])).value == 0


def test_equal_error_rate_between_steps() -> None:
    """From the threshold .5 on a third of the three is refused and a quarter of the four accepted: nearest there."""
    figure = equal_error_rate(np.array([0.4, 0.5, 0.9]), np.array([0.1, 0.2, 0.3, 0.6]))
    assert figure.value == pytest.approx(7 / 24)


def test_a_curve_rises_and_ends_at_one() -> None:
    drawn = np.random.default_rng(0)
    accept, refuse = drawn.normal(2, 1, 500), drawn.normal(0, 1, 5000)
    made = curve("x", accept, refuse)
    assert np.all(np.diff(made.fpr) > 0)
    assert np.all(np.diff(made.tpr) >= 0)
    assert (made.fpr[0], made.fpr[-1], made.tpr[-1]) == (0, 1, 1)
    at = int(np.argmin(np.abs(np.array(made.fpr) - 0.01)))
    assert made.tpr[at] == pytest.approx(tpr_at_fpr(accept, refuse, made.fpr[at]).value, abs=1e-6)


def test_confusion_has_a_row_for_each_labelled_class() -> None:
    made = confusion(("a", "b", "c"), np.array([0, 0, 1]), np.array([0, 1, 1]))
    assert made.counts == ((1, 1, 0), (0, 1, 0), (0, 0, 0))


def test_angles_differ_by_the_shorter_way() -> None:
    assert angle_errors(np.array([179.0, 10.0]), np.array([-179.0, 30.0])).tolist() == [2, 20]
