"""Whether frames come and few documents do, and why: a stream that runs and gets nowhere says so."""

import logging
import time
from collections.abc import Iterable, Mapping

from daemon.flow.history import SHORT_S, Growth
from daemon.flow.pipeline import NOTHING_TO_TELL
from daemon.flow.receipts import ACKNOWLEDGED, Became, Counts

log = logging.getLogger(__name__)

STARVES = 0.5
RECOVERS = 0.25
"""Shares of dropped frames; two of them, so that a stream between them does not go to and fro."""
MOST_FAILED = 10
"""In 10 s without a document; fewer may be records that are no pictures."""


class Starvation:
    """Of a stream or a consumer. Told when it begins, and when it ends."""

    def __init__(self, name: str) -> None:
        self.reason: str | None = None
        """In words, with the figures of the last 10 s; None: it does not starve."""
        self._name = name
        self._since = 0.0

    def update(self, reason: str | None) -> None:
        before, self.reason = self.reason, reason
        if reason and not before:
            self._since = time.monotonic()
            log.warning("%s: starving: %s", self._name, reason)
        elif before and not reason:
            log.info("%s: starving no more, after %.0f s", self._name, time.monotonic() - self._since)


def reason_to_starve(counts: Counts, causes: Iterable[str], *, starving: bool) -> str | None:
    """From counts that have been sampled just now. `causes`: what may be behind it; `starving`: whether it was so far.

    A frame is looked at unless its source passes over it. It starves where more than half of those were dropped, or
    where there is no end to what has been under way for 10 s.
    """
    growth = counts.history.growth(SHORT_S)
    if growth is None:
        return None
    dropped, failed = (_reasons(growth, became) for became in ("dropped", "failed"))
    done = growth.by[ACKNOWLEDGED] + growth.by.get(("skipped", NOTHING_TO_TELL), 0)
    lost = sum(dropped.values())
    looked_at = done + lost + sum(failed.values())
    window = f"the last {growth.seconds:.0f} s"
    because = "; ".join(causes)
    if lost > looked_at * (RECOVERS if starving else STARVES):
        return f"{because}: {lost:.0f} of {looked_at:.0f} frames of {window} were dropped ({_listed(dropped)})"
    if done:
        return None
    if sum(failed.values()) >= MOST_FAILED:
        return f"no document in {window}: {sum(failed.values()):.0f} frames failed ({_listed(failed)})"
    if counts.pending_before(growth) > 0:
        return f"{because}: no document in {window}, {counts.pending} frames are under way"
    return None


def _reasons(growth: Growth[Became], became: str) -> Mapping[str, float]:
    return {reason: count for (how, reason), count in growth.by.items() if how == became and count}


def _listed(reasons: Mapping[str, float]) -> str:
    return ", ".join(f"{reason}: {count:.0f}" for reason, count in reasons.items())
