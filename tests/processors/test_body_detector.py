import numpy as np
import pytest

from models.store import ModelStore
from processors.arrays import resized
from processors.body_detector import BodyDetector, Scored, fused, movenet, nanodet
from processors.types import Box, Confidence, Floats, Frame, Image, Object, Pyramid, Sample
from tests.processors.pictures import PORTRAITS, portrait, scaled

every_portrait = pytest.mark.parametrize("name", PORTRAITS)


@pytest.fixture(scope="module")
def detector(store: ModelStore) -> BodyDetector:
    return BodyDetector(BodyDetector.Settings(), store)


def boxes_of(bodies: list[Object]) -> Floats:
    return np.array([body.box_xyxy for body in bodies]).reshape(-1, 4)


def scores_of(bodies: list[Object]) -> list[float]:
    return [body[Confidence].value for body in bodies]


def overlap(a: Floats, b: Floats) -> float:
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    both = max(width, 0) * max(height, 0)
    return float(both / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both))


def crowd(count: int) -> Image:
    """So many of the same person side by side."""
    return np.tile(resized(Pyramid(portrait("obama")), 304, 288), (1, count, 1))


def with_border(picture: Image, *, left: int = 0, top: int = 0, right: int = 0) -> Image:
    height, width = picture.shape[:2]
    canvas: Image = np.full((top + height, left + width + right, 3), 128, np.uint8)
    canvas[top:, left : left + width] = picture
    return canvas


@every_portrait
def test_portraits(detector: BodyDetector, name: str) -> None:
    """Head and shoulders, which fill the picture but for what is above the head."""
    picture = portrait(name)
    (body,) = detector.detect(Pyramid(picture))
    height, width = picture.shape[:2]
    assert body.label == "body"
    assert body[Confidence].value > 0.7
    assert overlap(body.box_xyxy, np.array([0, 0, width, height])) > 0.8


@pytest.mark.parametrize("count", [2, 3, 5])
def test_several_people(detector: BodyDetector, count: int) -> None:
    bodies = detector.detect(Pyramid(crowd(count)))
    assert len(bodies) == count
    assert scores_of(bodies) == sorted(scores_of(bodies), reverse=True)
    centres = sorted((boxes_of(bodies)[:, 0] + boxes_of(bodies)[:, 2]) / 2)
    np.testing.assert_allclose(centres, 152 + 304 * np.arange(count), atol=30)


@every_portrait
@pytest.mark.parametrize("scale", [0.4, 2.5])
def test_boxes_scale_with_the_picture(detector: BodyDetector, name: str, scale: float) -> None:
    (before,) = detector.detect(Pyramid(portrait(name)))
    (after,) = detector.detect(Pyramid(scaled(portrait(name), scale)))
    assert overlap(after.box_xyxy / scale, before.box_xyxy) > 0.9


@every_portrait
@pytest.mark.parametrize(("right", "down"), [(300, 0), (0, 300)])
def test_boxes_move_with_the_picture(detector: BodyDetector, name: str, right: int, down: int) -> None:
    """In pictures that are wide and high: each network has its own padding."""
    picture = with_border(portrait(name), left=right, top=down)
    (before,) = detector.detect(Pyramid(portrait(name)))
    after = max(detector.detect(Pyramid(picture)), key=lambda body: body[Confidence].value)
    assert overlap(after.box_xyxy - (right, down, right, down), before.box_xyxy) > 0.8


@pytest.mark.parametrize("picture", [np.zeros((300, 400, 3), np.uint8), np.full((480, 640, 3), 200, np.uint8)])
def test_nobody(detector: BodyDetector, picture: Image) -> None:
    assert detector.detect(Pyramid(picture)) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (31, 33), (417, 415), (1080, 1920)])
def test_any_shape(detector: BodyDetector, shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(8).integers(0, 256, (*shape, 3), np.uint8)
    for body in detector.detect(Pyramid(picture)):
        assert np.isfinite(body.box_xyxy).all()


def test_threshold(store: ModelStore, detector: BodyDetector) -> None:
    (body,) = detector.detect(Pyramid(portrait("obama")))
    score = body[Confidence].value
    for threshold, expected in ((score, 1), (np.nextafter(score, 2), 0)):
        strict = BodyDetector(BodyDetector.Settings(score_threshold=threshold), store)
        assert len(strict.detect(Pyramid(portrait("obama")))) == expected


def test_bodies_are_replaced_and_faces_stay(detector: BodyDetector) -> None:
    face, old = Object("face", np.array([0.0, 0, 9, 9])), Object("body", np.array([0.0, 0, 9, 9]))
    sample = Sample(Frame.of(portrait("obama")), [face, old])
    detector([sample])
    assert [obj.label for obj in sample.objects] == ["body", "face"]
    assert sample.objects[1] is face
    assert old not in sample.objects
    assert (detector.applies_to, detector.needs) == ("body", frozenset())
    assert detector.makes == {Box, Confidence}


def test_several_samples_are_as_one_by_one(detector: BodyDetector) -> None:
    samples = [Sample(Frame.of(portrait(name))) for name in PORTRAITS]
    detector(samples)
    for sample, name in zip(samples, PORTRAITS, strict=True):
        alone = detector.detect(Pyramid(portrait(name)))
        np.testing.assert_array_equal(boxes_of(sample.objects), boxes_of(alone))
        assert scores_of(sample.objects) == scores_of(alone)


@every_portrait
def test_without_the_second_network_it_is_nanodet_alone(store: ModelStore, name: str) -> None:
    alone = BodyDetector(BodyDetector.Settings(second_model=None, score_threshold=0.05), store)
    expected = nanodet(store.session("nanodet_g_416"), Pyramid(portrait(name)))
    np.testing.assert_array_equal(boxes_of(alone.detect(Pyramid(portrait(name)))), expected.boxes_xyxy)


@pytest.mark.parametrize("people", [1, 3, 6])
def test_in_8_bits_it_finds_the_same(store: ModelStore, people: int) -> None:
    picture = Pyramid(crowd(people))
    full, int8 = (nanodet(store.session(name), picture) for name in ("nanodet_g_416", "nanodet_g_416_int8"))
    sure = full.scores > 0.4
    assert sure.sum() >= people - 1
    for score, box in zip(full.scores[sure], full.boxes_xyxy[sure], strict=True):
        overlaps = np.array([overlap(box, other) for other in int8.boxes_xyxy])
        assert overlaps.max() > 0.9
        assert int8.scores[overlaps.argmax()] == pytest.approx(score, abs=0.1)


@every_portrait
def test_both_networks_agree(store: ModelStore, name: str) -> None:
    """That boxes of either are in the picture's pixels: a wide picture has other padding in each."""
    picture = with_border(portrait(name), right=700)
    found = [
        nanodet(store.session("nanodet_g_416"), Pyramid(picture)),
        movenet(store.session("people_movenet_multipose"), Pyramid(picture)),
    ]
    assert overlap(found[0].boxes_xyxy[0], found[1].boxes_xyxy[0]) > 0.7


def test_nanodet_is_decoded_as_by_a_loop_over_its_cells(store: ModelStore) -> None:
    picture = resized(Pyramid(crowd(3)), 416, 131)  # needs no scaling
    padded = np.zeros((160, 416, 3), np.float32)
    padded[:131] = picture
    net = (padded - np.array([103.53, 116.28, 123.675])) / np.array([57.375, 57.12, 58.395])
    outputs = store.session("nanodet_g_416").run({"input_1:0": net.astype(np.float32).transpose(2, 0, 1)[None]})
    by_cells = {array.shape[1:]: array[0] for array in outputs.values()}
    expected = []
    for stride in (8, 16, 32):
        columns, cells = 416 // stride, 416 * 160 // stride**2
        for cell, classes in enumerate(by_cells[cells, 80]):
            if classes[0] > 0.3:
                logits = by_cells[cells, 44][cell].reshape(4, 11)
                odds = np.exp(logits)
                left, top, right, bottom = stride * (odds * np.arange(11)).sum(axis=1) / odds.sum(axis=1)
                x, y = (cell % columns + 0.5) * stride, (cell // columns + 0.5) * stride
                expected.append((classes[0], x - left, y - top, x + right, y + bottom))
    found = nanodet(store.session("nanodet_g_416"), Pyramid(picture))
    best = max(expected)
    np.testing.assert_allclose(found.boxes_xyxy[0], best[1:], rtol=0, atol=0.01)
    assert found.scores[0] == pytest.approx(best[0], abs=1e-4)
    for score, box in zip(found.scores, found.boxes_xyxy, strict=True):
        if score > 0.31:
            assert min(np.abs(np.array(candidate[1:]) - box).max() for candidate in expected) < 0.01


class TestFused:
    """On boxes whose fusion can be computed by hand."""

    ONE = Scored(np.array([[0.0, 0, 100, 200]]), np.array([0.9]))
    NONE = Scored(np.zeros((0, 4)), np.zeros(0))

    def test_agreement_is_a_noisy_or_and_a_weighted_mean(self) -> None:
        other = Scored(np.array([[10.0, 0, 110, 200]]), np.array([0.5]))
        both = fused(self.ONE, other)
        assert both.scores == pytest.approx([1 - (1 - 0.8 * 0.9) * (1 - 0.8 * 0.5)])
        share = 0.5**2 / (0.9**2 + 0.5**2)
        np.testing.assert_allclose(both.boxes_xyxy, [[10 * share, 0, 100 + 10 * share, 200]])

    def test_order_of_the_networks_does_not_matter(self) -> None:
        other = Scored(np.array([[10.0, 0, 110, 200], [300, 0, 400, 200]]), np.array([0.5, 0.95]))
        one, two = fused(self.ONE, other), fused(other, self.ONE)
        np.testing.assert_allclose(one.boxes_xyxy, two.boxes_xyxy)
        np.testing.assert_allclose(one.scores, two.scores)

    def test_of_one_network_only_the_best_counts(self) -> None:
        twice = Scored(np.array([[0.0, 0, 100, 200], [0, 0, 100, 190]]), np.array([0.9, 0.8]))
        assert fused(twice, self.NONE).scores == pytest.approx([0.8 * 0.9])

    def test_apart_they_stay_by_descending_score(self) -> None:
        other = Scored(np.array([[300.0, 0, 400, 200]]), np.array([0.95]))
        both = fused(self.ONE, other)
        np.testing.assert_allclose(both.scores, [0.8 * 0.95, 0.8 * 0.9])
        np.testing.assert_allclose(both.boxes_xyxy[:, 0], [300, 0])

    def test_nothing(self) -> None:
        assert fused(self.NONE, self.NONE).boxes_xyxy.shape == (0, 4)
