import random
import time

import pytest

from daemon.flow.receipts import Counts, Ending, Ledger, Receipt

ACKNOWLEDGED, SKIPPED, DROPPED, HUNG, FAILED, IN_DOUBT = Ending


def test_a_receipt_ends_with_the_answer_of_its_sink() -> None:
    counts = Counts()
    endings: list[tuple[Ending, str]] = []
    acknowledged, skipped, dropped, hung, failed, in_doubt, last = (
        counts.open(lambda *ending: endings.append(ending)) for _ in range(7)
    )
    assert (counts.received, counts.pending) == (7, 7)
    acknowledged.acknowledge()
    skipped.skip("still")
    dropped.drop("overload")
    hung.hang("WorkerHung")
    failed.fail("DamagedImage")
    in_doubt.doubt("in doubt")
    assert endings == [
        (ACKNOWLEDGED, ""),
        (SKIPPED, "still"),
        (DROPPED, "overload"),
        (HUNG, "WorkerHung"),
        (FAILED, "DamagedImage"),
        (IN_DOUBT, "in doubt"),
    ]
    assert counts.acknowledged == 1
    assert (dict(counts.skipped), dict(counts.dropped), dict(counts.failed)) == (
        {"still": 1},
        {"overload": 1, "WorkerHung": 1},
        {"DamagedImage": 1, "in doubt": 1},
    )
    assert (counts.received, counts.pending) == (7, 1)
    last.acknowledge()
    assert (counts.received, counts.acknowledged, counts.pending) == (7, 2, 0)


def test_when_they_came_and_were_acknowledged_and_how_long_that_took() -> None:
    counts = Counts()
    assert (counts.received_at, counts.acknowledged_at, counts.latency.quantiles()) == (None, None, None)
    began = time.time()
    captured, unknown, dropped, ahead = (counts.open(captured_at=at) for at in (began - 2, None, began - 9, began + 9))
    assert counts.received_at == pytest.approx(began, abs=0.02)
    time.sleep(0.05)
    for receipt in (captured, unknown, ahead):
        receipt.acknowledge()
    dropped.drop("overload")
    assert counts.acknowledged_at == pytest.approx(began + 0.05, abs=0.04)
    quantiles = counts.latency.quantiles()
    assert quantiles is not None
    assert quantiles.p50 == pytest.approx(0.05, abs=0.04)
    assert quantiles.p95 == pytest.approx(2.05, abs=0.04)
    assert sum(counts.latency.histogram.read()[0]) == 3  # of what was acknowledged alone


def test_samples_are_of_what_became_of_them() -> None:
    counts = Counts()
    counts.sample()
    for ending in ("acknowledge", "acknowledge", "skip", "drop", "fail"):
        getattr(counts.open(), ending)(*["why"] * (ending != "acknowledge"))
    counts.sample()
    growth = counts.history.growth(10)
    assert growth is not None
    assert growth.by == {
        ("received", ""): 5,
        ("acknowledged", ""): 2,
        ("skipped", "why"): 1,
        ("dropped", "why"): 1,
        ("failed", "why"): 1,
    }


def answer(receipt: Receipt, ending: Ending, reason: str = "") -> None:
    if ending is ACKNOWLEDGED:
        receipt.acknowledge()
    elif ending is SKIPPED:
        receipt.skip(reason)
    elif ending is DROPPED:
        receipt.drop(reason)
    elif ending is HUNG:
        receipt.hang(reason)
    elif ending is FAILED:
        receipt.fail(reason)
    else:
        receipt.doubt(reason)


@pytest.mark.parametrize(
    ("answers", "ending", "dropped", "failed"),
    [
        ([(ACKNOWLEDGED, ""), (ACKNOWLEDGED, "")], ACKNOWLEDGED, {}, {}),
        ([(ACKNOWLEDGED, ""), (DROPPED, "a")], DROPPED, {"a": 1}, {}),
        ([(DROPPED, "a"), (ACKNOWLEDGED, "")], DROPPED, {"a": 1}, {}),
        ([(DROPPED, "a"), (DROPPED, "b")], DROPPED, {"a": 1}, {}),
        ([(FAILED, "a"), (ACKNOWLEDGED, ""), (DROPPED, "b")], FAILED, {}, {"a": 1}),
        ([(DROPPED, "a"), (ACKNOWLEDGED, ""), (FAILED, "b")], FAILED, {}, {"b": 1}),
        ([(FAILED, "a"), (FAILED, "b")], FAILED, {}, {"a": 1}),
        ([(SKIPPED, "a"), (DROPPED, "b")], DROPPED, {"b": 1}, {}),
        ([(HUNG, "a"), (DROPPED, "b")], HUNG, {"a": 1}, {}),
        ([(IN_DOUBT, "a"), (FAILED, "b")], IN_DOUBT, {}, {"a": 1}),
        ([(FAILED, "a"), (IN_DOUBT, "b")], IN_DOUBT, {}, {"b": 1}),
    ],
)
def test_of_several_answers_the_gravest_is_the_ending(
    answers: list[tuple[Ending, str]], ending: Ending, dropped: dict[str, int], failed: dict[str, int]
) -> None:
    counts = Counts()
    endings: list[Ending] = []
    receipt = counts.open(lambda ending, _: endings.append(ending))
    receipt.expect(len(answers))
    for how, reason in answers:
        assert (endings, counts.pending) == ([], 1)  # not before the last one
        answer(receipt, how, reason)
    assert (endings, counts.pending) == ([ending], 0)
    assert counts.acknowledged == (ending is ACKNOWLEDGED)
    assert (dict(counts.dropped), dict(counts.failed)) == (dropped, failed)


@pytest.mark.parametrize("answers", [1, 2])
def test_a_receipt_ends_once(answers: int) -> None:
    counts = Counts()
    receipt = counts.open()
    receipt.expect(answers)
    for _ in range(answers):
        receipt.acknowledge()
    for again in (receipt.acknowledge, lambda: receipt.drop("late"), lambda: receipt.fail("late")):
        with pytest.raises(RuntimeError, match="has ended"):
            again()
    assert (counts.received, counts.acknowledged, counts.pending) == (1, 1, 0)
    assert not counts.dropped
    assert not counts.failed


@pytest.mark.parametrize("answers", [0, -1])
def test_a_receipt_that_nobody_answers_is_refused(answers: int) -> None:
    receipt = Counts().open()
    with pytest.raises(ValueError, match=f"at least one answer, got {answers}"):
        receipt.expect(answers)
    receipt.acknowledge()


@pytest.mark.parametrize("seed", range(5))
def test_in_is_acknowledged_skipped_dropped_and_failed_at_every_moment(seed: int) -> None:
    choose = random.Random(seed)  # noqa: S311
    counts = Counts()
    open_answers: list[Receipt] = []
    ended: list[Ending] = []
    for _ in range(300):
        receipt = counts.open(lambda ending, _: ended.append(ending))
        receipt.expect(answers := choose.randint(1, 3))
        open_answers += [receipt] * answers
        choose.shuffle(open_answers)
        for _ in range(choose.randint(0, len(open_answers))):
            ending = choose.choice(list(Ending))
            answer(open_answers.pop(), ending, ending.name)
        assert counts.pending == len(set(map(id, open_answers)))
        assert counts.received == counts.pending + len(ended)
    for receipt in open_answers:
        receipt.acknowledge()
    for kind, count in (
        (ACKNOWLEDGED, counts.acknowledged),
        (SKIPPED, counts.skipped["SKIPPED"]),
        (DROPPED, counts.dropped["DROPPED"]),
        (HUNG, counts.dropped["HUNG"]),
        (FAILED, counts.failed["FAILED"]),
        (IN_DOUBT, counts.failed["IN_DOUBT"]),
    ):
        assert ended.count(kind) == count > 0


def test_a_receipt_says_how_many_answers_it_awaits() -> None:
    receipt = Counts().open()
    receipt.expect(2)
    receipt.acknowledge()
    assert receipt.awaited == 1
    receipt.acknowledge()
    assert receipt.awaited == 0


class TestLedger:
    def test_what_has_ended_is_taken_up_to_the_first_that_is_open(self) -> None:
        ledger = Ledger[str](10)
        for offset in (10, 11, 14):
            ledger.open(offset)
        ledger.end(11, "b")
        assert (list(ledger.take(9)), ledger.position, len(ledger)) == ([], 10, 3)
        ledger.end(10, "a")
        assert (list(ledger.take(9)), ledger.position, len(ledger)) == (["a", "b"], 12, 1)
        ledger.end(14, "c")
        assert (list(ledger.take(9)), ledger.position, len(ledger)) == (["c"], 15, 0)

    def test_no_more_is_taken_than_asked(self) -> None:
        ledger = Ledger[int](0)
        for offset in range(3):
            ledger.open(offset)
            ledger.end(offset, offset)
        assert (list(ledger.take(2)), ledger.position) == ([0, 1], 2)
        assert (list(ledger.take(2)), ledger.position) == ([2], 3)

    @pytest.mark.parametrize("offset", [3, 6])
    def test_offsets_ascend(self, offset: int) -> None:
        ledger = Ledger[int](5)
        if offset == 6:
            ledger.open(6)
        with pytest.raises(ValueError, match=f"expected an offset of {7 if offset == 6 else 5} or more, got {offset}"):
            ledger.open(offset)

    def test_a_record_ends_once_and_only_if_it_came(self) -> None:
        ledger = Ledger[int](0)
        ledger.open(0)
        ledger.end(0, 1)
        for offset in (0, 1):
            with pytest.raises(ValueError, match=f"expected the offset of an open record, got {offset}"):
                ledger.end(offset, 1)

    def test_in_whatever_order_they_end_they_are_taken_in_theirs(self) -> None:
        draw = random.Random(1)  # noqa: S311  # no secret
        ledger = Ledger[int](0)
        offsets = sorted(draw.sample(range(1000), 300))
        for offset in offsets:
            ledger.open(offset)
        taken: list[int] = []
        for offset in draw.sample(offsets, len(offsets)):
            ledger.end(offset, offset)
            taken += ledger.take(1000)
            assert taken == offsets[: len(taken)]
        assert (taken, ledger.position) == (offsets, offsets[-1] + 1)
