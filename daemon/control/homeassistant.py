"""Shows the streams in Home Assistant, over MQTT: docs/outputs.md.

What is to be in the broker is worked out anew each time, and what differs from what is there is published: so a stream
that is added, changed, paused or removed, a broker that has forgotten all, and a Home Assistant that has just started
are one case. It has a connection of its own, whose end the broker tells of (the will).
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping

from daemon.control.settings import StreamSettings
from daemon.control.wanted import Wanted
from daemon.errors import VisagedError
from daemon.flow.stream import Stream
from daemon.flow.supervisor import Supervisor
from daemon.flow.watched import Look, Watched, Watches
from daemon.wire import homeassistant
from daemon.wire.homeassistant import (
    OFF,
    OFFLINE,
    ON,
    ONLINE,
    PICTURE,
    RUNNING,
    SAID,
    SET,
    STATE,
    STATUS,
    Counted,
    Device,
    Picture,
)
from daemon.wire.v2 import TRACK_SCHEMA
from daemon.work.places.settings import classes_of
from daemon.work.present import present
from daemon.work.settings import found_by
from sinks.base import SinkError
from sinks.mqtt_client import Connection, Message
from sinks.mqtt_settings import HomeAssistantSettings, MqttSettings

log = logging.getLogger(__name__)

INTERVAL_S = 0.5
FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 30.0
GOODBYE_S = 2.0
PICTURE_S = 5.0
"""Between two pictures of a stream, at least."""
AT_WORK = frozenset({"running", "starving"})
UNKNOWN = b"?"  # something is there, and it is not ours any more

Snapshot = Callable[[Look], Awaitable[bytes]]


class HomeAssistant:
    """Belongs to the event loop's thread."""

    def __init__(
        self,
        settings: MqttSettings,
        wanted: Wanted,
        supervisors: Mapping[str, Supervisor[Stream]],
        watches: Watches,
        snapshot: Snapshot,
        version: str,
    ) -> None:
        self.error: str | None = "not connected yet"
        """Why nothing is shown; None: all is."""
        self._settings = settings
        self._options = settings.home_assistant or HomeAssistantSettings()
        self._wanted = wanted
        self._supervisors = supervisors
        self._watches = watches
        self._snapshot = snapshot
        self._version = version
        self._base = f"{settings.topic}/homeassistant"
        self._mark = homeassistant.mark(settings.topic)
        self._there: dict[str, bytes] = {}
        """What is retained in the broker, by topic, as far as it is known."""
        self._shown: dict[str, _Shown] = {}
        self._commands: list[tuple[str, bool]] = []
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Until it is cancelled."""
        delay = FIRST_DELAY_S
        while True:
            try:
                await self._show()
            except SinkError as err:
                delay = FIRST_DELAY_S if self.error is None else min(delay * 2, LONGEST_DELAY_S)
                if self.error != str(err):
                    log.warning("Home Assistant: %s; trying again", err)
                self.error = str(err)
            except Exception as err:
                log.exception("Home Assistant: a fault of ours")  # nothing else ends for it
                self.error = repr(err)
            await asyncio.sleep(delay)

    async def _show(self) -> None:
        """Until the connection is lost. Raises SinkError."""
        settings, status = self._settings, f"{self._base}/{STATUS}"
        connection = Connection(
            settings,
            f"{settings.client_id}-home-assistant",
            session_expiry=settings.session_expiry if self._options.command else 0,
            will=Message(status, OFFLINE, retain=True),
            on_message=self._hear,
        )
        self._there.clear()
        try:
            await connection.open()
            await connection.subscribe(self._topics())
            await self._publish(connection, Message(status, ONLINE, retain=True))
            log.info("Home Assistant: streams are shown by %s", settings.address)
            self.error = None
            await self._keep(connection)
        finally:
            with contextlib.suppress(SinkError, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    if not connection.lost.is_set():
                        await self._publish(connection, Message(status, OFFLINE, retain=True))
            await connection.close()

    def _topics(self) -> list[str]:
        prefix = self._options.discovery_prefix
        commands = [f"{self._base}/+/{SET}"] if self._options.command else []
        return [f"{prefix}/{STATUS}", f"{prefix}/device/+/config", *commands]

    async def _keep(self, connection: Connection) -> None:
        while not connection.lost.is_set():
            self._changed.clear()
            await self._obey()
            await self._look()
            for message in self._due():
                await self._publish(connection, message)
                self._there[message.topic] = message.payload
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_S):
                    await self._changed.wait()
        raise connection.failure

    async def _publish(self, connection: Connection, message: Message) -> None:
        reason = await connection.answered(connection.publish(message))
        if reason.is_failure:
            raise SinkError(f"{self._settings.address}: {message.topic}: {reason}".lower(), retriable=True)

    def _hear(self, message: Message) -> None:
        *above, last = message.topic.split("/")
        if message.topic == f"{self._options.discovery_prefix}/{STATUS}":
            if message.payload == ONLINE:  # it has just started: everything is told again
                self._there = {topic: UNKNOWN for topic, payload in self._there.items() if payload}
        elif last == "config" and above[-1].startswith(self._mark):
            self._there[message.topic] = message.payload
            if message.payload:  # of what was shown before, by this process or another
                for level in SAID:
                    self._there.setdefault(f"{self._base}/{above[-1]}/{level}", UNKNOWN)
        elif last == SET and self._options.command and not message.retain:  # a retained one is of long ago
            if message.payload in (ON, OFF):
                self._commands.append((above[-1], message.payload == ON))
            else:
                log.warning("Home Assistant: expected ON or OFF at %s, got something else", message.topic)
        self._changed.set()

    async def _obey(self) -> None:
        commands, self._commands = self._commands, []
        for device, running in commands:
            for stream in [stream for stream in self._wanted.entries if self._id(stream) == device]:
                log.info("Home Assistant: %s %s", "resume" if running else "pause", stream)
                try:
                    await self._wanted.pause(stream, paused=not running)
                except VisagedError as err:
                    log.warning("Home Assistant: %s: %s", stream, err)

    async def _look(self) -> None:
        """At all streams."""
        entries = self._wanted.entries
        self._shown = {stream: self._shown.get(stream) or _Shown() for stream in entries}
        for stream, shown in self._shown.items():
            watched = self._watches.streams.get(stream)
            is_at_work = stream in self._supervisors and self._supervisors[stream].state in AT_WORK
            shown.see(watched if is_at_work else None, self._options.hold)
            if self._options.snapshot and shown.look is not None and shown.is_picture_due():
                try:
                    shown.picture = await self._snapshot(shown.look)
                except Exception as err:  # noqa: BLE001  # a picture that cannot be made is not shown
                    log.warning("Home Assistant: no picture of %s: %r", stream, err)

    def _due(self) -> Iterator[Message]:
        """What is to be published, so that the broker has what it is to have."""
        wanted = dict(self._retained())
        for topic, payload in wanted.items():
            before = self._there.get(topic, b"")
            if before == payload:
                continue
            if topic.endswith("/config") and (farewell := homeassistant.farewell(before, payload)) is not None:
                yield Message(topic, farewell, retain=True)
            yield Message(topic, payload, retain=True)
        for topic, payload in list(self._there.items()):
            if payload and topic not in wanted:
                yield Message(topic, b"", retain=True)

    def _retained(self) -> Iterator[tuple[str, bytes]]:
        for stream, entry in self._wanted.entries.items():
            settings, shown = entry.built.settings, self._shown.get(stream)
            if settings is None or shown is None:
                continue
            device = self._device(stream, settings)
            above = f"{self._base}/{device.id}"
            yield (
                f"{self._options.discovery_prefix}/device/{device.id}/config",
                device.discovery(self._base, self._version),
            )
            yield f"{above}/{STATUS}", ONLINE if shown.is_at_work else OFFLINE
            yield f"{above}/{STATE}", device.state(shown.counts, shown.present)
            if device.has_switch:
                yield f"{above}/{RUNNING}", OFF if entry.built.paused else ON
            if device.picture == "bytes" and shown.picture is not None:
                yield f"{above}/{PICTURE}", shown.picture
            elif device.picture == "url" and shown.url is not None:
                yield f"{above}/{PICTURE}", shown.url.encode()

    def _device(self, stream: str, settings: StreamSettings) -> Device:
        found = found_by(settings.chain)
        counted: list[Counted] = [(None, label) for label in sorted(found)]
        counted += [(zone.name, label) for zone in settings.zones for label in classes_of(zone, found)]
        events = None if settings.tracking is None else settings.tracking.events
        has_urls = events is not None and events.image_url
        picture: Picture = "bytes" if self._options.snapshot else "url" if has_urls else None
        return Device(self._id(stream), settings.name or stream, counted, picture, self._options.command)

    def _id(self, stream: str) -> str:
        return f"{self._mark}{homeassistant.slug(stream)}"


class _Shown:
    """What is known of a stream."""

    def __init__(self) -> None:
        self.is_at_work = False
        self.look: Look | None = None
        self.counts: Mapping[Counted, int] = {}
        self.present: set[Counted] = set()
        self.picture: bytes | None = None
        self.url: str | None = None
        self._seen: dict[Counted, float] = {}
        self._told = 0  # events that were read
        self._pictured_at = -PICTURE_S
        self._has_come = False

    def see(self, watched: Watched | None, hold: float) -> None:
        """`watched`: None: it does not run."""
        now, before = time.monotonic(), self.counts
        self.is_at_work = watched is not None
        self.look = None if watched is None else watched.look
        self.counts = {} if self.look is None else present(self.look.sample)
        self._seen |= {counted: now for counted, number in self.counts.items() if number}
        self.present = {counted for counted, at in self._seen.items() if now - at <= hold or self.counts.get(counted)}
        self._has_come |= any(number > before.get(counted, 0) for counted, number in self.counts.items())
        if watched is not None:
            self._read(watched)

    def is_picture_due(self) -> bool:
        """Whether somebody has come. Asked once."""
        now = time.monotonic()
        if not self._has_come or now - self._pictured_at < PICTURE_S:
            return False
        self._has_come, self._pictured_at = False, now
        return True

    def _read(self, watched: Watched) -> None:
        """The URL of the last picture of a track."""
        ring = watched.rings.get(TRACK_SCHEMA[0])
        if ring is None or ring.end == self._told:
            return
        for event in ring.since(max(self._told, ring.end - 1)):
            self.url = homeassistant.image_url(event.value) or self.url
        self._told = ring.end
