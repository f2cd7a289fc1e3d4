"""Looks at what a camera sends, before or beside the stream that is to read it."""

import time
from collections import deque

from daemon.control.build import MakeSource
from daemon.control.settings import StreamSettings
from daemon.errors import TooOften
from daemon.sources.probe import Probed, by_keyframes, probe
from daemon.sources.url import parsed

MOST = 6
WINDOW_S = 60.0
MOST_CLIENTS = 10_000
LONGEST_S = 20.0  # of each time-out
FURTHER_S = 10.0  # for a second keyframe
BESIDE_S = 1.0  # beyond a time-out of the source itself, which says more


class Checks:
    """One at a time of a host, and so many a minute of one who asks. For the event loop's thread."""

    def __init__(self) -> None:
        self._asked: dict[str, deque[float]] = {}
        self._hosts: set[str] = set()

    async def run(self, client: str, settings: StreamSettings, make: MakeSource) -> Probed:
        """Raises SourceError in an installer's words, and TooOften."""
        url = parsed(settings.source)
        host = "" if url is None else url.host.lower()
        self._expect(client, host)
        self._hosts.add(host)
        try:
            shorter = {name: min(getattr(settings, name), LONGEST_S) for name in ("open_timeout", "read_timeout")}
            looked_at = by_keyframes(settings).model_copy(update=shorter)
            within = looked_at.open_timeout + BESIDE_S
            return await probe(make(looked_at, "check"), settings.source, within, FURTHER_S)
        finally:
            self._hosts.discard(host)

    def _expect(self, client: str, host: str) -> None:
        """That it may be, and counts it."""
        now = time.monotonic()
        for other, times in list(self._asked.items()):
            while times and now - times[0] >= WINDOW_S:
                times.popleft()
            if not times:
                del self._asked[other]
        times = self._asked.get(client, deque())
        if len(times) >= MOST:
            raise TooOften(f"{MOST} checks a minute are made for one who asks", WINDOW_S - (now - times[0]))
        if len(self._asked) >= MOST_CLIENTS and client not in self._asked:
            raise TooOften("Too many ask for checks", WINDOW_S)
        if host in self._hosts:
            raise TooOften(f"{host} is being checked", LONGEST_S)
        times.append(now)
        self._asked[client] = times
