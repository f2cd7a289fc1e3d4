"""Times that brokers do not take: a topic has bounds for how far from now its records may be dated.

A topic that takes any time may feed one that does not (message.timestamp.after.max.ms is an hour by default), and a
camera's clock may be a month ahead. Such a record goes with the present time, and its own in a header.
"""

import logging
import math
import time
from dataclasses import replace
from typing import Final

from sinks.base import Record

log = logging.getLogger(__name__)

ORIGINAL_TIMESTAMP: Final = "visaged-original-timestamp"
"""Milliseconds since 1970, where a record could not have its own time."""
NO_TIMESTAMP_S: Final = -0.001
"""Which Kafka takes for none, and any topic takes."""


class TimeLimits:
    """Of one topic, learned from its broker's refusals: as wide as it has not said otherwise."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._future = self._past = math.inf  # seconds from now
        self._takes_now = True

    def dated(self, record: Record) -> Record:
        """The record, or what is to be sent in its place: with a time that the broker takes, as far as is known."""
        now = time.time()
        if record.timestamp is None or -self._past < record.timestamp - now < self._future:
            return record
        header = (ORIGINAL_TIMESTAMP, b"%d" % round(record.timestamp * 1000))
        return replace(record, timestamp=now if self._takes_now else NO_TIMESTAMP_S, headers=(*record.headers, header))

    def learn(self, record: Record, sent: Record) -> bool:
        """Of a refusal of `sent`, which dated() has made of the record. Whether it may be taken another time."""
        if sent.timestamp == NO_TIMESTAMP_S or record.timestamp is None:
            return False
        if sent.timestamp != record.timestamp:
            log.warning("topic %s refuses the present time: is this machine's clock right?", self._topic)
            self._takes_now = False
            return True
        if self._future == self._past == math.inf:
            self._tell(record.timestamp)
        # By halves: the same record is nearer to now when it is sent again, and others are a little nearer.
        distance = (record.timestamp - time.time()) / 2
        if distance > 0:
            self._future = min(self._future, distance)
        else:
            self._past = min(self._past, -distance)
        return True

    def _tell(self, timestamp: float) -> None:
        log.warning(
            "topic %s refuses a record's time, %.0f s from now (message.timestamp.after.max.ms or "
            "message.timestamp.before.max.ms): such records go with the present time, and their own in the header %s",
            self._topic,
            timestamp - time.time(),
            ORIGINAL_TIMESTAMP,
        )
