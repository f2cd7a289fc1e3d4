"""What is wanted: the streams of the file, and those that were added at run time, which the registry keeps."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from daemon.control.build import Builder, Built
from daemon.control.reconciler import Reconciler
from daemon.control.registry import Registry
from daemon.control.run_time import RunTime
from daemon.control.settings import StreamSettings
from daemon.errors import Conflict, InvalidDocument, Overloaded, PreconditionFailed, Problem, UnknownStream
from daemon.wire.codec import Members
from models.errors import ModelError

log = logging.getLogger(__name__)

T = TypeVar("T")
Origin = Literal["file", "run-time"]
NO_STATE_DIR = "Streams can be added at run time only where `state_dir` is set, as they are kept there: set it, restart"


@dataclass(frozen=True, slots=True)
class Entry:
    """A stream that is wanted."""

    stream: str
    origin: Origin
    members: Members
    """Its settings as they were given, with its password."""
    revision: str
    """Another after each change, and after a restart the same; of the file's streams another."""
    built: Built


@dataclass(frozen=True, slots=True)
class Condition:
    """What an entry must be like for a change to be made."""

    revisions: Collection[str] | None = None
    """One of these; None: whatever it is. "*" stands for all."""
    must_be_new: bool = False

    def expect(self, entry: Entry | None) -> None:
        """Raises PreconditionFailed."""
        if self.must_be_new and entry is not None:
            raise PreconditionFailed("Expected no such stream (If-None-Match: *), there is one")
        if self.revisions is None:
            return
        if entry is None:
            raise PreconditionFailed("Expected a stream (If-Match), there is none")
        if not {entry.revision, "*"} & set(self.revisions):
            raise PreconditionFailed("The stream has been changed since (If-Match): get it again")


ANY = Condition()
Edit = Callable[[Entry | None], Members]
"""What a stream's members are to be; raises InvalidDocument."""


class Wanted:
    """All of it, and the one place where it changes. One change at a time; for the event loop's thread.

    A change that has begun is made to its end, even if the one who asked is gone: the registry and what runs agree.
    """

    def __init__(
        self,
        builder: Builder,
        reconciler: Reconciler,
        registry: Registry | None,
        run_time: RunTime,
        most: int,
    ) -> None:
        """`most`: streams that run, the file's included."""
        self._builder = builder
        self._reconciler = reconciler
        self._registry = registry
        self._run_time = run_time
        self._most = most
        self._of_file: dict[str, Entry] = {}
        self._of_run_time: dict[str, Entry] = {}
        self._begun = False
        self._changing = asyncio.Lock()
        self._changes: set[asyncio.Task[Any]] = set()

    @property
    def entries(self) -> Mapping[str, Entry]:
        """By id; the file wins a clash. Raises Overloaded before begin() has ended."""
        if not self._begun:
            raise Overloaded("The models of the streams are being loaded")
        return self._all()

    @property
    def can_add(self) -> bool:
        """Whether there is a registry, which keeps what is added."""
        return self._registry is not None

    def entry(self, stream: str) -> Entry:
        """Raises UnknownStream, and Overloaded as entries does."""
        try:
            return self.entries[stream]
        except KeyError:
            raise UnknownStream(stream) from None

    async def begin(self, of_file: Mapping[str, StreamSettings]) -> None:
        """Once, before all else. Raises ModelError for a stream of the file, and ConfigError for the registry."""
        kept = {} if self._registry is None else await asyncio.to_thread(self._registry.load)
        await self._replace(of_file, kept)
        self._begun = True

    async def read_again(self, of_file: Mapping[str, StreamSettings], also: Callable[[], Awaitable[None]]) -> None:
        """The file's streams are to be these. `also`: what else is read again, once it is known that they can be.

        Raises ModelError, and what `also` raises, and has changed nothing then.
        """
        async with self._changing:
            kept = {stream: _stored(entry) for stream, entry in self._of_run_time.items()}
            await self._replace(of_file, kept, also)

    async def put(self, stream: str, edit: Edit, condition: Condition = ANY) -> tuple[Entry, bool]:
        """Adds a stream, or gives it other settings; whether it is new.

        Raises InvalidDocument, Conflict, PreconditionFailed and RegistryError.
        """
        return await self._whole(self._put(stream, edit, condition))

    async def remove(self, stream: str, condition: Condition = ANY) -> None:
        """Raises UnknownStream, Conflict, PreconditionFailed and RegistryError."""
        await self._whole(self._remove(stream, condition))

    async def pause(self, stream: str, *, paused: bool) -> None:
        """Pauses it or lets it go on. A stream of the file is then so until the file is read again.

        Raises UnknownStream, and what put() does.
        """
        if self.entry(stream).origin == "file":
            await self._whole(self._hold(stream, paused=paused))
        else:
            await self.put(stream, lambda before: _paused(stream, before, paused=paused))

    def restart(self, stream: str) -> Entry:
        """Raises UnknownStream, and Conflict where it is paused."""
        entry = self.entry(stream)
        if entry.built.paused:
            raise Conflict(f"{stream} is paused: resume it")
        self._reconciler.restart(stream)
        return entry

    async def close(self) -> None:
        """When changes that have begun are made."""
        await asyncio.gather(*self._changes, return_exceptions=True)

    def _all(self) -> Mapping[str, Entry]:
        return {**self._of_run_time, **self._of_file}

    async def _whole(self, change: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._made)
        return await asyncio.shield(task)

    def _made(self, change: asyncio.Task[Any]) -> None:
        self._changes.discard(change)
        if not change.cancelled():
            change.exception()  # the one who asked is told, if still there

    async def _put(self, stream: str, edit: Edit, condition: Condition) -> tuple[Entry, bool]:
        async with self._changing:
            registry, before = self._expect(stream, condition)
            members = edit(before)
            settings = await asyncio.to_thread(self._run_time.accept, stream, members)
            await self._run_time.judge(settings)
            built = await asyncio.to_thread(self._buildable, stream, settings, before)
            self._expect_room(stream, built)
            entry = Entry(stream, "run-time", members, secrets.token_hex(8), built)
            await asyncio.to_thread(registry.put, stream, _stored(entry))
            self._of_run_time[stream] = entry
            self._reconciler.want(stream, built)
            return entry, before is None

    async def _hold(self, stream: str, *, paused: bool) -> None:
        async with self._changing:
            entry = self._of_file.get(stream)
            if entry is None or entry.built.settings is None:
                raise UnknownStream(stream)
            settings = entry.built.settings.model_copy(update={"paused": paused})
            built, members = replace(entry.built, settings=settings), {**entry.members, "paused": paused}
            self._of_file[stream] = replace(entry, built=built, members=members, revision=secrets.token_hex(8))
            self._reconciler.want(stream, built)

    async def _remove(self, stream: str, condition: Condition) -> None:
        async with self._changing:
            self.entry(stream)
            registry, _ = self._expect(stream, condition)
            await asyncio.to_thread(registry.remove, stream)
            del self._of_run_time[stream]
            self._reconciler.want(stream, None)

    def _expect(self, stream: str, condition: Condition) -> tuple[Registry, Entry | None]:
        """That it may be changed."""
        before = self.entries.get(stream)
        if stream in self._of_file:
            raise Conflict(f"{stream} is a stream of the configuration file: change it there, then send SIGHUP")
        if self._registry is None:
            raise Conflict(NO_STATE_DIR)
        condition.expect(before)
        return self._registry, before

    def _expect_room(self, stream: str, built: Built) -> None:
        others = sum(not entry.built.paused for name, entry in self.entries.items() if name != stream)
        if not built.paused and others >= self._most:
            raise Conflict(f"{others} streams run, at most {self._most} may (http.run_time.max_streams)")

    def _buildable(self, stream: str, settings: StreamSettings, before: Entry | None) -> Built:
        """In a thread."""
        try:
            return self._builder.build(stream, settings, _built(before), self._run_time.source)
        except ModelError as err:
            raise InvalidDocument([Problem(("chain",), str(err), "model_error")]) from err

    async def _replace(
        self,
        of_file: Mapping[str, StreamSettings],
        kept: Mapping[str, Members],
        also: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        before = self._all()
        found = {
            stream: await asyncio.to_thread(self._filed, stream, settings, before.get(stream))
            for stream, settings in of_file.items()
        }
        again = {
            stream: await asyncio.to_thread(self._kept, stream, stored, self._of_run_time.get(stream))
            for stream, stored in kept.items()
        }
        if also is not None:
            await also()
        for stream in found.keys() & again.keys() - self._of_file.keys():
            log.warning("%s: the file has a stream of this id: the one that was added at run time waits", stream)
        self._of_file, self._of_run_time = found, again
        self._reconcile(before)

    def _reconcile(self, before: Mapping[str, Entry]) -> None:
        now = self._all()
        for stream in {**before, **now}:
            entry, was = now.get(stream), before.get(stream)
            if entry is not was:
                self._reconciler.want(stream, _built(entry))

    def _filed(self, stream: str, settings: StreamSettings, before: Entry | None) -> Entry:
        """In a thread. Raises ModelError."""
        if before is not None and before.origin == "file" and before.built.settings == settings:
            return before
        members = settings.model_dump(mode="json", exclude_unset=True)
        built = self._builder.build(stream, settings, _built(before))
        return Entry(stream, "file", members, secrets.token_hex(8), built)

    def _kept(self, stream: str, stored: Members, before: Entry | None) -> Entry:
        """In a thread. One that cannot be built is told, and stays: what it lacks may come back."""
        match stored:
            case {"settings": dict(members), "revision": str(revision)}:
                pass
            case _:
                members, revision = {}, secrets.token_hex(8)
        settings: StreamSettings | None = None
        try:
            settings = self._run_time.accept(stream, members)
            if before is not None and before.built.refusal is None and before.built.settings == settings:
                return before
            built = self._builder.build(stream, settings, _built(before), self._run_time.source)
        except (InvalidDocument, ModelError) as err:
            log.error("%s: cannot run, and was added at run time: %s", stream, err)
            built = self._builder.refuse(settings, str(err), _built(before))
        return Entry(stream, "run-time", members, revision, built)


def _paused(stream: str, before: Entry | None, *, paused: bool) -> Members:
    if before is None:
        raise UnknownStream(stream)
    return {**before.members, "paused": paused}


def _stored(entry: Entry) -> Members:
    return {"settings": entry.members, "revision": entry.revision}


def _built(entry: Entry | None) -> Built | None:
    return None if entry is None else entry.built
