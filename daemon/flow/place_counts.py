"""How many are and were in a stream's zones, and have crossed its lines."""

from collections.abc import Collection, Mapping

ZoneOf = tuple[str, str]
"""A zone and a class."""
WayOf = tuple[str, str, str]
"""A line, a direction and a class."""


class PlaceCounts:
    """Counted by one worker at a time; which figures there are changes with a run alone, so that any thread may read.

    All but `now` only grow, from run to run.
    """

    def __init__(self) -> None:
        self.now: Mapping[ZoneOf, int] = {}
        """Who is there now."""
        self.entered: dict[ZoneOf, int] = {}
        self.crossed: dict[WayOf, int] = {}

    def begin(self, now: Collection[ZoneOf], entered: Collection[ZoneOf], crossed: Collection[WayOf]) -> None:
        """A run begins, with these figures. Nobody is there any more; what was counted by the same name goes on."""
        self.now = dict.fromkeys(now, 0)
        self.entered = {key: self.entered.get(key, 0) for key in entered}
        self.crossed = {key: self.crossed.get(key, 0) for key in crossed}
