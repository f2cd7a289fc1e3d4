import random

import pytest

from daemon.receipts import Counts, Ending, Receipt

ACKNOWLEDGED, SKIPPED, DROPPED, FAILED = Ending


def test_a_receipt_ends_with_the_answer_of_its_sink() -> None:
    counts = Counts()
    endings: list[tuple[Ending, str]] = []
    acknowledged, skipped, dropped, failed, last = (
        counts.open(lambda *ending: endings.append(ending)) for _ in range(5)
    )
    assert (counts.received, counts.pending) == (5, 5)
    acknowledged.acknowledge()
    skipped.skip("still")
    dropped.drop("overload")
    failed.fail("DamagedImage")
    assert endings == [(ACKNOWLEDGED, ""), (SKIPPED, "still"), (DROPPED, "overload"), (FAILED, "DamagedImage")]
    assert counts.acknowledged == 1
    assert (dict(counts.skipped), dict(counts.dropped), dict(counts.failed)) == (
        {"still": 1},
        {"overload": 1},
        {"DamagedImage": 1},
    )
    assert (counts.received, counts.pending) == (5, 1)
    last.acknowledge()
    assert (counts.received, counts.acknowledged, counts.pending) == (5, 2, 0)


def answer(receipt: Receipt, ending: Ending, reason: str = "") -> None:
    if ending is ACKNOWLEDGED:
        receipt.acknowledge()
    elif ending is SKIPPED:
        receipt.skip(reason)
    elif ending is DROPPED:
        receipt.drop(reason)
    else:
        receipt.fail(reason)


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
        (FAILED, counts.failed["FAILED"]),
    ):
        assert ended.count(kind) == count > 0
