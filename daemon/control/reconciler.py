"""Makes what runs equal to what is wanted. Nothing else starts, stops, changes or pauses a stream."""

import asyncio
import contextvars
import logging

from daemon.control.build import Builder, Built
from daemon.flow.receipts import summary
from daemon.flow.stream import Stream
from daemon.flow.supervisor import Supervisor
from daemon.logs import ABOUT

log = logging.getLogger(__name__)


class Reconciler:
    """Belongs to the event loop's thread."""

    def __init__(self, builder: Builder, stop_timeout: float) -> None:
        """`stop_timeout`: seconds in which a stream that is stopped has handed its frames to the sinks."""
        self.supervisors: dict[str, Supervisor[Stream]] = {}
        """Of all that is wanted, and of what has not ended yet."""
        self._builder = builder
        self._stop_timeout = stop_timeout
        self._kept: dict[str, Kept] = {}
        self._group: asyncio.TaskGroup | None = None
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def is_idle(self) -> bool:
        """Whether everything that was wanted has come to its end by itself."""
        return all(supervisor.state == "ended" for supervisor in self.supervisors.values())

    def want(self, stream: str, built: Built | None) -> None:
        """It is to run like this; None: it is to be no more."""
        kept = self._kept.get(stream)
        if kept is not None:
            kept.want(built)
        elif built is not None:
            self._kept[stream] = kept = Kept(stream, built, self._builder, self._stop_timeout)
            self.supervisors[stream] = kept.supervisor
            self._start(kept)

    def restart(self, stream: str) -> None:
        """Its source is connected anew, also one that has ended. Raises KeyError where it is not wanted."""
        self._kept[stream].restart()

    async def run(self) -> None:
        """Until stop(), when all that ran has handed its frames to the sinks. Once."""
        async with asyncio.TaskGroup() as self._group:
            for kept in self._kept.values():
                self._start(kept)
            await self._stopping.wait()
            for kept in self._kept.values():
                kept.stop()

    def stop(self) -> None:
        self._stopping.set()
        self._changed.set()

    async def until_idle(self) -> None:
        """Until is_idle, or stop()."""
        while not (self.is_idle or self._stopping.is_set()):
            self._changed.clear()
            await self._changed.wait()

    def _start(self, kept: "Kept") -> None:
        if self._group is not None and not self._stopping.is_set():
            # A context of its own: the request that added the stream, and its trace, are not what the stream is about.
            self._group.create_task(self._keep(kept, self._group), context=contextvars.Context())

    async def _keep(self, kept: "Kept", group: asyncio.TaskGroup) -> None:
        ABOUT.set({"stream": kept.name})
        try:
            await kept.run(group, self._changed)
        finally:
            kept.lane.close()
            kept.stream.leave()
        if not self._stopping.is_set():  # else it is still to be seen how it ended
            del self._kept[kept.name], self.supervisors[kept.name]
            log.info("%s: removed: %s", kept.name, summary(kept.stream.counts, "frames"))


class Kept:
    """One stream: what is wanted of it, and what runs. Its figures go on through all changes."""

    def __init__(self, name: str, built: Built, builder: Builder, stop_timeout: float) -> None:
        self.name = name
        self.stream, self.lane = builder.stream(name, built)
        self.supervisor = Supervisor(self.stream, self._obstacles)
        self._stop_timeout = stop_timeout
        self._wanted: Built | None = built
        self._runs: Built | None = None
        """As it was started or last changed; None: it is stopped."""
        self._seen: Built | None = None
        """As those who watch it have it, also while it is stopped."""
        self._running: asyncio.Task[None] | None = None
        self._restart = self._stopping = False
        self._changed = asyncio.Event()
        self._show(built)

    def want(self, built: Built | None) -> None:
        self._wanted = built
        self._changed.set()

    def restart(self) -> None:
        self._restart = True
        self._changed.set()

    def stop(self) -> None:
        self._stopping = True
        self._changed.set()
        self.supervisor.stop()

    async def run(self, group: asyncio.TaskGroup, ended: asyncio.Event) -> None:
        """Until it is wanted no more, or stop(). `ended`: set when it comes to its end."""
        while not self._stopping:
            self._changed.clear()
            wanted = self._wanted
            if wanted is None:
                await self._halt()
                if self._wanted is None:
                    return
            elif await self._is_halted_for(wanted):
                self._start(wanted, group, ended)
            await self._changed.wait()
        await self._halt()

    async def _is_halted_for(self, wanted: Built) -> bool:
        """Makes what runs equal as far as that can be done without a new run; True where it takes one."""
        self._show(wanted)
        if wanted.paused:
            self.supervisor.pause()
            await self._halt()
            return False
        runs, anew, self._restart = self._runs, self._restart, False
        if runs is not None and not anew and wanted.has_source_of(runs):
            if not wanted.has_work_of(runs):
                self._change(wanted)
            self._runs = wanted
            return False
        await self._halt()
        return self._wanted is wanted and not self._stopping

    def _show(self, built: Built) -> None:
        if built.settings is not None:
            self.stream.title, self.stream.labels = built.settings.name, built.settings.labels

    def _change(self, built: Built) -> None:
        """What was made to be seen is forgotten where less may be seen now; it may be that nothing comes after it."""
        if self._seen is not None and not built.shows_as(self._seen):
            self.stream.forget()
        self._seen = built
        self.lane.weigh(built.weight)
        self.stream.show(built.figures)
        self.stream.change(built.work, built.outgoing, built.window)

    def _start(self, built: Built, group: asyncio.TaskGroup, ended: asyncio.Event) -> None:
        self._change(built)
        self.stream.source = built.source
        self.supervisor.resume()
        self._runs = built
        self._running = group.create_task(self.supervisor.run())
        self._running.add_done_callback(lambda _: ended.set())

    async def _halt(self) -> None:
        """What is under way goes to the sinks first; after `stop_timeout` it is dropped and counted."""
        if self._running is None:
            return
        self.supervisor.stop()
        _, late = await asyncio.wait([self._running], timeout=self._stop_timeout)
        if late:
            log.warning("%s: it has not ended in %g s: what is under way is dropped", self.name, self._stop_timeout)
            self._running.cancel()
            await asyncio.wait(late)
        self._running = self._runs = None

    def _obstacles(self) -> list[str]:
        sinks = () if self._runs is None else self._runs.sinks
        return [obstacle for sink in sinks if (obstacle := sink.obstacle)]
