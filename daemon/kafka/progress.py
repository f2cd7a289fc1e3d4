"""Whether a partition moves, and how far it is behind: nothing that stands does so unseen."""

STALL_S = 7.0
"""Without a commit, or without an answer; it is looked at every other second, and so told within ten."""


class Progress:
    """Of one partition. Looks at numbers alone."""

    def __init__(self) -> None:
        self.lag: int | None = None
        """Offsets up to the end of what may be read that are not done; None: not known yet."""
        self.stall: str | None = None
        """Why nothing has moved for STALL_S seconds; None: it moves, or there is nothing to do."""
        self._waits_for: str | None = None
        self._since = 0.0

    def look(
        self, now: float, *, committed: int | None, pending: int, read: int, stable: int | None, end: int | None
    ) -> None:
        """`committed`: None while the partition is not open. `read`: the next offset that is asked for, behind control
        and aborted records. `stable`: the end of what may be read, `end`: of what is there; None: not known.
        """
        waits_for = _obstacle(committed, pending, read, stable, end)
        if waits_for != self._waits_for:
            self._waits_for, self._since = waits_for, now
        self.stall = waits_for if now - self._since >= STALL_S else None
        if committed is not None and stable is not None:
            self.lag = max(stable - (committed if pending else max(committed, read)), 0)


def _obstacle(committed: int | None, pending: int, read: int, stable: int | None, end: int | None) -> str | None:
    """What the partition waits for; the same words while it does not move."""
    if committed is None:
        return "it is not open yet: the brokers have not told where the group was"
    if pending:
        return f"offset {committed} has been worked on, or waits for a sink, for more than {STALL_S:g} s"
    if stable is not None and end is not None and read >= stable and stable < end:
        return (
            f"a transaction of another producer is open at offset {stable} and holds back {end - stable} offsets: "
            "that producer must end it, or kafka-transactions.sh abort it"
        )
    return None
