"""Measures of light on arrays whose values are known."""

import numpy as np
import pytest

from processors.quality import light
from processors.quality.light import Counts, Grey, Light
from processors.types import Image


def counts(**of_level: int) -> Counts:
    """counts(l0=3, l255=1): so many pixels have these levels."""
    made = np.zeros(256, np.int64)
    for name, number in of_level.items():
        made[int(name[1:])] = number
    return made


NOTHING = counts()


@pytest.mark.parametrize(
    ("bgr", "expected"),
    [
        ((0, 0, 0), 0),
        ((255, 255, 255), 255),
        ((255, 0, 0), round(0.0722 * 255)),
        ((0, 255, 0), round(0.7152 * 255)),
        ((0, 0, 255), round(0.2126 * 255)),
        ((128, 128, 128), round(255 * ((128 / 255 + 0.055) / 1.055) ** 2.4)),
        ((10, 10, 10), round(10 / 12.92)),
    ],
)
def test_luminance_is_of_linear_light(bgr: tuple[int, int, int], expected: int) -> None:
    assert light.luminance(np.full((3, 5, 3), bgr, np.uint8)).tolist() == [[expected] * 5] * 3


def test_a_histogram_counts_the_region_alone() -> None:
    levels = np.array([(0, 7, 7), (255, 7, 3)], np.uint8)
    region = np.array([(True, True, True), (True, False, False)])
    assert (light.histogram(levels, region) == counts(l0=1, l7=2, l255=1)).all()
    assert not light.histogram(levels, np.zeros((2, 3), bool)).any()


def test_dark_and_bright_are_shares_up_to_25_and_from_247() -> None:
    luminances = counts(l0=1, l25=2, l26=4, l246=8, l247=16, l255=1)
    assert light.dark(luminances) == 3 / 32
    assert light.bright(luminances) == 17 / 32
    assert light.dark(NOTHING) == light.bright(NOTHING) == 1


def test_bright_score_halves_at_a_hundredth() -> None:
    assert [light.bright_score(bright) for bright in (0, 0.01, 0.99)] == pytest.approx([1, 0.5, 0.01])


def test_mean_score_falls_towards_dark_and_bright() -> None:
    scores = [light.mean_score(np.bincount([level], minlength=256)) for level in range(0, 256, 5)]
    assert max(scores) == pytest.approx(scores[len(scores) // 2], abs=0.01)
    assert light.mean_score(counts(l51=1)) == pytest.approx(0.5, abs=1e-4)  # 0.2 of 255
    assert light.mean_score(counts(l204=1)) == pytest.approx(0.5, abs=1e-4)  # 0.8 of 255
    assert light.mean_score(counts(l0=1)) == pytest.approx(1 / (1 + np.exp(4)), rel=1e-4)


@pytest.mark.parametrize(("levels", "bits"), [(1, 0), (2, 1), (16, 4), (256, 8)])
def test_entropy_of_equally_frequent_levels(levels: int, bits: int) -> None:
    luminances = np.zeros(256, np.int64)
    luminances[:levels] = 3
    assert light.entropy(luminances) == pytest.approx(bits)


def test_entropy_of_nothing() -> None:
    assert light.entropy(NOTHING) == 0


@pytest.mark.parametrize("percent", [0, 0.1, 1, 37, 50, 99.9, 100])
def test_percentile_is_that_of_numpy(percent: float) -> None:
    pixels = np.random.default_rng(5).normal(120, 40, 997).clip(0, 255).astype(np.uint8)
    expected = np.percentile(pixels, percent)
    assert light.percentile(np.bincount(pixels, minlength=256), percent) == pytest.approx(expected)


def test_dynamic_range_leaves_a_thousandth_out_at_either_end() -> None:
    assert light.dynamic_range(counts(l0=1, l60=5000, l200=5000, l255=1)) == 140
    assert light.dynamic_range(counts(l0=100, l60=5000, l200=5000, l255=100)) == 255
    assert light.dynamic_range(NOTHING) == 0


def test_veil_is_how_far_the_blacks_are_lifted() -> None:
    assert light.veil(counts(l70=100)) == 0
    assert light.veil(counts(l121=100)) == pytest.approx(51 / 255)
    assert light.veil(counts(l10=2, l121=100)) == 0
    assert light.veil(NOTHING) == 0


class TestHotSpots:
    REGION = np.ones((100, 200), bool)

    def picture(self) -> Image:
        return np.full((100, 200, 3), 100, np.uint8)

    def test_large_ones_count_by_their_area(self) -> None:
        picture = self.picture()
        picture[10:20, 10:30] = 240
        picture[50:60, 50:60] = 255
        assert light.hot_spots(picture, self.REGION) == pytest.approx((200 + 100) / 20_000)

    def test_one_below_a_two_thousandth_does_not(self) -> None:
        picture = self.picture()
        picture[10:13, 10:13] = 255
        assert light.hot_spots(picture, self.REGION) == 0
        picture[13, 10] = 255  # ten pixels of 20,000
        assert light.hot_spots(picture, self.REGION) == pytest.approx(10 / 20_000)

    def test_a_bright_colour_is_none(self) -> None:
        picture = self.picture()
        picture[10:60, 10:60] = (255, 255, 239)
        assert light.hot_spots(picture, self.REGION) == 0

    def test_what_is_outside_the_region_does_not_count(self) -> None:
        picture = self.picture()
        picture[:, :100] = 255
        region = self.REGION.copy()
        region[:, :100] = False
        assert light.hot_spots(picture, region) == 0
        assert light.hot_spots(picture, np.zeros_like(region)) == 0


def test_overlap_of_histograms() -> None:
    assert light.overlap(counts(l3=5, l4=5), counts(l3=1, l4=1)) == 1
    assert light.overlap(counts(l3=3, l4=1), counts(l3=1, l9=1)) == 0.5
    assert light.overlap(counts(l3=1), counts(l4=1)) == 0
    assert light.overlap(counts(l3=1), NOTHING) == 0


def test_balance_is_darker_over_brighter() -> None:
    luminances: Grey = np.array([(60, 60, 20, 40)], np.uint8)
    left, right = np.array([(True, True, False, False)]), np.array([(False, False, True, True)])
    assert light.balance(luminances, left, right) == light.balance(luminances, right, left) == 0.5
    assert light.balance(luminances, left, np.zeros_like(right)) == 0
    assert light.balance(np.zeros_like(luminances), left, right) == 0


def lit(**values: float) -> Light:
    clean = {
        "dark": 0.0,
        "bright": 0.0,
        "mean_score": 1.0,
        "entropy": 7.5,
        "dynamic_range": 200.0,
        "overlap": 1.0,
        "balance": 1.0,
        "hot_spots": 0.0,
        "veil": 0.0,
        "white": 220.0,
    }
    return Light(**{**clean, **values})


def test_evenness_is_the_mean_of_cheeks_and_halves() -> None:
    assert light.evenness(lit()) == 1
    assert light.evenness(lit(overlap=0.0)) == 0.5
    assert light.evenness(lit(balance=0.15)) == 0.5
    assert light.evenness(lit(overlap=0.25, balance=0.375)) == pytest.approx((0.25**0.3 + 0.5) / 2)


def test_white_is_the_99th_percentile() -> None:
    assert light.white(counts(l90=980, l200=20)) == 200
    assert light.white(counts(l90=995, l200=5)) == 90


def test_flare_is_hot_spots_and_veil() -> None:
    assert lit(hot_spots=0.02, veil=0.3).flare(detailed=True) == pytest.approx(0.32)


@pytest.mark.parametrize(("white", "detailed"), [(189.0, True), (220.0, False)])
def test_a_veil_is_no_flare_where_whites_are_grey_or_detail_is_lost(white: float, detailed: bool) -> None:
    assert lit(hot_spots=0.02, veil=0.3, white=white).flare(detailed) == 0.02


def test_gradient_of_a_slope() -> None:
    """Scharr's kernels sum to 16 a side, over two pixels: 32 for each level a pixel."""
    slope = np.tile(np.arange(0, 120, 3, dtype=np.uint8), (30, 1))
    inner = np.zeros(slope.shape, bool)
    inner[2:-2, 2:-2] = True
    assert light.gradient(slope, inner) == pytest.approx(3 * 32)
    assert light.gradient(np.full_like(slope, 9), inner) == 0
