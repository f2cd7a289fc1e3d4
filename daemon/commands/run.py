"""Builds everything from the configuration, starts it, and stops it in the order that loses nothing."""

import asyncio
import contextlib
import contextvars
import faulthandler
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from daemon.commands.store import model_store
from daemon.commands.systemd import Systemd
from daemon.config.contradictions import contradictions_of, keeps_shots
from daemon.config.explain import explained
from daemon.config.load import changed_keys
from daemon.config.model import Config
from daemon.control.build import Builder
from daemon.control.networks import Networks
from daemon.control.reconciler import Reconciler
from daemon.control.registry import FileRegistry
from daemon.control.run_time import RunTime
from daemon.control.settings import RunTimeSettings
from daemon.control.wanted import Wanted
from daemon.errors import ConfigError, EngineStuck
from daemon.flow.delivery import Delivery
from daemon.flow.engine import Engine
from daemon.flow.overview import Overview
from daemon.flow.receipts import summary
from daemon.flow.spans import Attributes, messaging
from daemon.flow.supervisor import Supervisor
from daemon.flow.timing import Timing
from daemon.flow.watched import Watches
from daemon.history.history import History
from daemon.history.settings import NAME as HISTORY
from daemon.history.urls import ShotUrls
from daemon.http.access.sessions import kept_secret
from daemon.http.history import Past
from daemon.http.metrics import Metrics
from daemon.http.served import Requests
from daemon.http.server import HttpServer
from daemon.http.services.catalogue import services
from daemon.http.services.listing import Listing
from daemon.http.settings import HttpSettings
from daemon.http.streams.events import Events
from daemon.http.streams.pictures import Form, Pictures, Snapshots
from daemon.http.streams.processors import add_processors
from daemon.http.streams.rest import Streams
from daemon.http.streams.video import Video
from daemon.http.web.summary import Summary
from daemon.kafka.settings import EXACTLY_ONCE
from daemon.logs import ABOUT, about, log_to_stderr
from daemon.prepare import prepare
from daemon.status import VERSION, Status
from daemon.traces.settings import NAME as TRACES
from daemon.work.documents import form_of
from daemon.work.plan import Plan
from daemon.work.settings import WorkSettings
from daemon.work.state import StateDir
from models.errors import ModelError
from processors.chain import Chain
from processors.matcher import Matcher
from processors.quality import QualityEstimatorSettings
from processors.registry import build
from sinks import SinkSettings, make_sink
from sinks.base import SinkError
from sinks.kafka_settings import KafkaSettings, cluster_of
from sinks.mqtt_settings import MqttSettings

if TYPE_CHECKING:
    from daemon.control.homeassistant import HomeAssistant
    from daemon.kafka.consumer import Consumer
    from daemon.traces.traces import Traces

log = logging.getLogger(__name__)

FLUSH_SHARE = 0.5  # of stop_timeout, at least, is the sinks' and the requests'
TRACES_S = 2.0  # that the last traces may take: a receiver that hangs is no reason to stop late
ENGINE_SHARE = 0.1  # of it is for the last work of the workers
LAST_S = 5.0  # after stop_timeout the process ends, whatever is left
ONE_SIGNAL_S = 1.0  # in which a second signal is the first again, as of a supervisor that tells the group as well
STOPPING = (signal.SIGTERM, signal.SIGINT)
QUALITY = "quality-assessment-estimator"
REGISTRY = "streams.json"  # in state_dir
HOME_WIDTH = 1280  # of the pictures in Home Assistant, at most
SHOT_SECRET = "shot-secret"  # noqa: S105  # its name there
READ_AGAIN = (
    ("streams",),
    ("defaults",),
    ("http", "keys"),
    ("http", "hosts"),
    ("http", "tls", "certificate"),
    ("http", "tls", "key"),
)
"""Of the configuration, at SIGHUP."""
CLOSING_S = 4.0  # that a sink whose broker is away may take to close, when its time to write is over


def main(config: Config, read: Callable[[], Config]) -> int:
    """Runs until SIGTERM or SIGINT, or until all that was to be read has been.

    A second signal, more than a second after the first, ends at once. At SIGHUP `read` is called for the configuration
    as it is now.
    """
    prepare()
    log_to_stderr(config.log.level, config.log.format)
    faulthandler.enable()  # systemd's watchdog ends a hung process by SIGABRT: the journal then has what hung
    others = threading.enumerate()
    asyncio.run(_run_until_signal(config, read))
    _end_where_threads_are_left(others)
    return 0


async def _run_until_signal(config: Config, read: Callable[[], Config]) -> None:
    stop, app = asyncio.Event(), App(config, read, Systemd(os.environ))
    stopping_since = math.inf

    def on_signal(number: signal.Signals) -> None:
        nonlocal stopping_since
        if time.monotonic() - stopping_since > ONE_SIGNAL_S:
            log.warning("%s again: ending at once", number.name)
            os._exit(128 + number)
        if not stop.is_set():
            stopping_since = time.monotonic()
            _end_at_the_latest(config.stop_timeout + LAST_S)
            log.info("%s: stopping; once more, after a second, ends at once", number.name)
            stop.set()

    loop, context = asyncio.get_running_loop(), contextvars.copy_context()  # or it were of a request at hand

    def heard(number: int, _: FrameType | None) -> None:
        loop.call_soon_threadsafe(on_signal, signal.Signals(number), context=context)

    def told_to_read(_: int, __: FrameType | None) -> None:
        loop.call_soon_threadsafe(app.read_soon, context=context)

    handlers = {signal.SIGHUP: told_to_read} | dict.fromkeys(STOPPING, heard)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    try:
        await app.run(stop)
    finally:
        for number in handlers:  # the first again must not kill the process as it ends, without a loop
            signal.signal(number, signal.SIG_IGN)


def _end_at_the_latest(seconds: float) -> None:
    """A thread that nothing can call back, as one that writes to a dead disk, keeps no process from ending."""

    def end() -> None:
        log.error("the stop has not ended in %g s: ending at once", seconds)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _end_where_threads_are_left(others: Sequence[threading.Thread]) -> None:
    """At once: a thread that comes back from a library of C++ to a Python that is ending brings the process down.

    `others`: those that are not the daemon's.
    """
    left = [one.name for one in threading.enumerate() if one not in others and not isinstance(one, threading.Timer)]
    if left:
        log.warning("ended without the threads %s, whose work does not end", ", ".join(left))
        sys.stdout.flush()
        os._exit(0)


class App:
    """The daemon of a configuration. Belongs to the event loop's thread."""

    def __init__(
        self, config: Config, read: Callable[[], Config] | None = None, systemd: Systemd | None = None
    ) -> None:
        """`read`: gives the configuration as it is when it is called; None: it stays as it is.

        `systemd` is told what the daemon does; None: nobody is.
        """
        self._config = config
        self._read = read
        self._systemd = systemd or Systemd({})
        self._to_read = asyncio.Event()
        self._models = model_store(config)
        self._workers = config.engine.workers or os.cpu_count() or 1
        self._engine = Engine(self._workers, config.engine.hang_timeout)
        self._aside = self._engine.lane(
            "shots",
            share=config.engine.shots_share,
            at_once=max(self._workers - 1, 1),  # a frame finds a worker
        )
        self._traces = self._made_traces()
        tracer = None if self._traces is None else self._traces.tracer
        self._deliveries = {
            name: Delivery(
                name,
                make_sink(sink, config.clusters),
                linger=sink.linger,
                in_use_timeout=config.stop_timeout,
                takes=sink.takes,
                form=form_of(sink),
                destination=_destination(sink),
            )
            for name, sink in config.sinks.items()
        }
        self._state = None if config.state_dir is None else StateDir(config.state_dir)
        self._watches = Watches()
        self._history: History | None = None
        if config.history is not None and config.state_dir is not None:
            self._history = History(config.state_dir, config.history)
        self._shot_urls = _shot_urls(config)
        self._queues = self._deliveries | ({} if self._history is None else {HISTORY: self._history.delivery})
        shown = self._queues | ({} if self._traces is None else {TRACES: self._traces.delivery})
        builder = Builder(
            self._engine,
            self._aside,
            self._models,
            config.processors,
            self._deliveries,
            self._folder("tracks", "streams"),
            self._watches if config.http is not None or _shown_at(config) else None,
            self._history,
            self._shot_urls if keeps_shots(config) else None,
            tracer,
        )
        at_run_time = RunTimeSettings() if config.http is None else config.http.run_time
        self._networks = Networks(at_run_time.networks)
        self._run_time = RunTime(
            at_run_time,
            config.defaults,
            explained,
            partial(contradictions_of, sinks=config.sinks, shots=keeps_shots(config)),
            self._networks,
        )
        registry = None if config.state_dir is None else FileRegistry(config.state_dir / REGISTRY)
        self._reconciler = Reconciler(builder, config.stop_timeout * (1 - FLUSH_SHARE))
        self._wanted = Wanted(builder, self._reconciler, registry, self._run_time, at_run_time.max_streams)
        self._consumers: dict[str, Supervisor[Consumer]] = {}
        self._http_timing = Timing()
        self.overview = Overview(
            self._engine,
            self._reconciler.supervisors,
            self._consumers,
            shown,
            self._http_timing,
            self._watches,
        )
        self._homes = self._made_homes()
        self.status = Status(self.overview, self._history, self._homes)
        self._stopping: asyncio.Event | None = None
        self._loaded = False
        self._deadline = math.inf  # of the stop (time.monotonic()), which all its steps share
        self.http: HttpServer | None = None
        if config.http is not None:
            served = services(config.http.liveness_module)
            requests = Requests()
            self.http = HttpServer(
                config.http,
                self._engine,
                services=served,
                chain_of=self.chain,
                matcher_of=lambda: Matcher(self._models),
                status=self.status,
                metrics=Metrics(self.overview, self._history, self._homes, requests).answer,
                why_unready=self._why_unready,
                state_dir=config.state_dir,
                watches=self._watches,
                requests=requests,
                tracer=tracer,
            )
            Streams(self._wanted, self._run_time, self.overview, self.status.stream).add_to(self.http.routes)
            add_processors(self.http.routes)
            quality = config.processor_settings().get(QUALITY) or QualityEstimatorSettings()
            Listing(served, quality.model_dump()).add_to(self.http.routes)
            Summary(self._wanted, self.overview, self.status.stream, has_history=self._history is not None).add_to(
                self.http.routes
            )
            expect, pictures, long_answers = self._wanted.entry, Pictures(self.http.lane), self.http.long_answers
            Events(self._watches, expect, long_answers).add_to(self.http.routes)
            Snapshots(self._watches, expect, pictures, self.http.place).add_to(self.http.routes)
            Video(self._watches, expect, pictures, long_answers).add_to(self.http.routes)
            Past(self._history, self._shot_urls, self.http.place).add_to(self.http.routes)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set, or every stream has ended where HTTP is off. Once.

        Raises SinkError when a sink refuses for good, EngineStuck when models hang time and again, ModelError,
        ConfigError and StateInUse before anything has been read.
        """
        async with contextlib.AsyncExitStack() as cleanup:
            cleanup.callback(self._systemd.close)
            if self._state is not None:
                cleanup.callback(self._state.release)  # last: workers write to it
            cleanup.push_async_callback(self._close_engine)
            cleanup.callback(self._networks.close)
            self._stopping = stop
            if self.http is not None:
                await self.http.start()
                cleanup.push_async_callback(self._stop_http)
            if self._state is not None:
                await self._state.hold(self._config.stop_timeout, stop)
            if self._config.state_dir is not None and self._shot_urls.signed is not None:
                self._shot_urls.secret = await asyncio.to_thread(kept_secret, self._config.state_dir / SHOT_SECRET)
            consumers = await asyncio.to_thread(self._plans, self._config.consumers)
            cleanup.push_async_callback(self._wanted.close)
            await self._wanted.begin(self._config.streams)
            self._consumers |= {name: self._supervised_consumer(name, plan) for name, plan in consumers.items()}
            self._loaded = True
            if self.http is not None:
                log.info("HTTP on %s", self.http.url)
            self._systemd.ready("running")
            try:
                await self._carry(stop)
            except BaseExceptionGroup as group:
                if known := group.subgroup((SinkError, EngineStuck)):
                    raise _first(known) from None
                raise
            finally:
                self._report()

    def chain(self, names: Sequence[str]) -> Chain:
        built = build(names, self._config.processor_settings(), self._models)
        return Chain([self._http_timing.timed(name, one) for name, one in zip(names, built, strict=True)])

    def _why_unready(self) -> str | None:
        if self._stopping is not None and self._stopping.is_set():
            return "The daemon is stopping"
        if not self._loaded:
            return "The models of the streams are being loaded"
        if self._config.http is None or not self._config.http.ready_needs_consumers:
            return None
        unready = [name for name, supervisor in self._consumers.items() if not supervisor.stream.is_ready]
        return f"Consumers that are not at work: {', '.join(unready)}" if unready else None

    def _left(self) -> float:
        """Seconds until the stop's deadline; where an error stops the daemon there is none yet."""
        return max(min(self._deadline - time.monotonic(), self._config.stop_timeout), 0.0)

    async def _stop_http(self) -> None:
        if self.http is not None:
            with contextlib.suppress(TimeoutError):  # what is not answered then ends with the process
                async with asyncio.timeout(self._left()):
                    await self.http.stop()

    async def close(self) -> None:
        """Of one that is not run."""
        await self._engine.close()

    async def _close_engine(self) -> None:
        await self._engine.close(self._left() + ENGINE_SHARE * self._config.stop_timeout)

    def read_soon(self) -> None:
        """The configuration, in a thread; asked for again meanwhile, once more after that."""
        self._to_read.set()

    async def _read_when_told(self, read: Callable[[], Config]) -> None:
        while True:
            await self._to_read.wait()
            self._to_read.clear()
            self._systemd.reloading()
            try:
                await self._read_again(await asyncio.to_thread(read))
            except (ConfigError, ModelError) as err:
                log.error("SIGHUP: nothing was changed, as the configuration has mistakes:\n%s", err)
                self._systemd.ready("running as before: the configuration has mistakes, which the log names")
            else:
                self._systemd.ready("running")

    async def _read_again(self, config: Config) -> None:
        """Raises ConfigError and ModelError, and has changed nothing then."""
        for name, stream in config.streams.items():
            if new := [sink for sink in stream.sinks or () if sink not in self._deliveries]:
                raise ConfigError(f"streams.{name}.sinks: a new sink needs a restart: {', '.join(new)}")
        self._run_time.defaults = config.defaults
        await self._wanted.read_again(config.streams, partial(self._reconfigure_http, config.http))
        for key in changed_keys(self._config, config):
            if not any(key[: len(read)] == read for read in READ_AGAIN):
                log.warning("SIGHUP: %s has changed: that needs a restart", ".".join(key))
        log.info("SIGHUP: the configuration was read again: %d streams", len(config.streams))

    async def _reconfigure_http(self, settings: HttpSettings | None) -> None:
        """Raises ConfigError, and has changed nothing then."""
        if self.http is not None and settings is not None:
            await self.http.reconfigure(settings)

    def _folder(self, *below: str) -> Path | None:
        """In state_dir."""
        return None if self._config.state_dir is None else self._config.state_dir.joinpath(*below)

    def _plans(self, settings: Mapping[str, WorkSettings]) -> Mapping[str, Plan]:
        journals, processors = self._folder("tracks", "consumers"), self._config.processors
        return {name: Plan(work, processors, self._models, journals) for name, work in settings.items()}

    def _sinks_of(self, settings: WorkSettings) -> Sequence[Delivery]:
        return [self._deliveries[sink] for sink in settings.sinks or self._deliveries]

    def _supervised_consumer(self, name: str, plan: Plan) -> "Supervisor[Consumer]":
        sinks, consumer = self._sinks_of(self._config.consumers[name]), self._consumer(name, plan)

        def obstacles() -> list[str]:
            return [consumer.error] if consumer.error else _obstacles(sinks)

        return Supervisor(consumer, obstacles)

    def _made_homes(self) -> "Mapping[str, HomeAssistant]":
        """By the sinks whose brokers they are reached by."""
        brokers = _shown_at(self._config)
        if not brokers:
            return {}
        from daemon.control.homeassistant import HomeAssistant  # with paho-mqtt, which only those load who use it

        pictures = Pictures(self._engine.lane("home assistant"))
        return {
            name: HomeAssistant(
                settings,
                self._wanted,
                self._reconciler.supervisors,
                self._watches,
                lambda look: pictures.jpeg(look, Form(HOME_WIDTH, draw=False)),
                VERSION,
            )
            for name, settings in brokers.items()
        }

    def _made_traces(self) -> "Traces | None":
        if self._config.traces is None:
            return None
        from daemon.traces.traces import Traces  # with opentelemetry, which only those load who use it

        return Traces(self._config.traces, VERSION)

    def _consumer(self, name: str, plan: Plan) -> "Consumer":
        from daemon.kafka.at_least_once import AtLeastOnce  # with aiokafka, which only those load who use it
        from daemon.kafka.consumer import Consumer
        from daemon.kafka.transaction import ExactlyOnce

        settings = self._config.consumers[name]
        cluster = cluster_of(settings.cluster, self._config.clusters)
        sinks = settings.sinks or tuple(self._config.sinks)

        def make_guarantee() -> AtLeastOnce | ExactlyOnce:
            if settings.delivery == EXACTLY_ONCE:
                topics = [sink for sink in map(self._config.sinks.get, sinks) if isinstance(sink, KafkaSettings)]
                return ExactlyOnce(settings, cluster, topics, [self._deliveries[sink].counts for sink in sinks])
            return AtLeastOnce(name, settings, cluster, [self._deliveries[sink] for sink in sinks])

        return Consumer(
            name,
            settings,
            cluster,
            make_work=lambda stream, run, partition: plan.work(stream, run, place=f"{name}/{partition}"),
            make_guarantee=make_guarantee,
            lane=self._engine.lane(name, settings.weight),
            window=settings.window or self._workers,
            timing=plan.timing,
            tracer=None if self._traces is None else self._traces.tracer,
        )

    async def _carry(self, stop: asyncio.Event) -> None:
        """Runs streams and sinks; the sinks outlive the streams, which end first at a stop."""
        async with asyncio.TaskGroup() as sinks:
            watching = [
                sinks.create_task(self._engine.watch()),
                sinks.create_task(self.overview.run()),
                sinks.create_task(self._systemd.feed_watchdog()),
            ]
            if self._read is not None:
                watching.append(sinks.create_task(self._read_when_told(self._read)))
            writing = [sinks.create_task(delivery.run()) for delivery in self._deliveries.values()]
            if self._history is not None:
                writing.append(sinks.create_task(self._history.run()))
            if self._traces is not None:
                sinks.create_task(self._traces.delivery.run())
            showing = [sinks.create_task(home.run()) for home in self._homes.values()]
            async with asyncio.TaskGroup() as streams:
                consuming = [streams.create_task(_consume(name, one)) for name, one in self._consumers.items()]
                reconciling = streams.create_task(self._reconciler.run())
                await self._until_stopped(stop, [*consuming, streams.create_task(self._reconciler.until_idle())])
                self._systemd.stopping(self._config.stop_timeout + LAST_S)
                if self.http is not None:
                    self.http.long_answers.close()
                self._deadline = time.monotonic() + self._config.stop_timeout * (1 - ENGINE_SHARE)
                for task in showing:
                    task.cancel()
                self._reconciler.stop()
                for consumer in self._consumers.values():
                    consumer.stop()
                _, late = await asyncio.wait(
                    [*consuming, reconciling], timeout=self._config.stop_timeout * (1 - FLUSH_SHARE)
                )
                for task in late:
                    task.cancel()
            await asyncio.gather(self._stop_http(), self._close_sinks(writing))
            if self._traces is not None:
                # Last: what the sinks have answered ends traces.
                await self._traces.delivery.close(min(self._left(), TRACES_S))
            for task in watching:
                task.cancel()

    async def _close_sinks(self, writing: Sequence["asyncio.Task[None]"]) -> None:
        to_write = max(self._left() - CLOSING_S, self._left() / 2)
        closing = [asyncio.create_task(delivery.close(to_write)) for delivery in self._queues.values()]
        if not closing:
            return
        _, late = await asyncio.wait(closing, timeout=self._left())
        if late:
            log.error("%d of %d sinks have not closed in time", len(late), len(closing))
            for task in writing:
                task.cancel()
        await asyncio.gather(*closing)

    def _report(self) -> None:
        """What became of everything, for those whom /status can no longer tell."""
        streams = {name: one.stream.counts for name, one in self._reconciler.supervisors.items()}
        consumers = {name: one.stream.counts for name, one in self._consumers.items()}
        records = {name: delivery.counts for name, delivery in self.overview.sinks.items()}
        for label, noun, counted in (
            ("stream", "frames", streams),
            ("consumer", "frames", consumers),
            ("sink", "records", records),
        ):
            for name, counts in counted.items():
                level = logging.WARNING if counts.dropped or counts.failed else logging.INFO
                with about(**{label: name}):
                    log.log(level, "%s: %s", name, summary(counts, noun))

    async def _until_stopped(self, stop: asyncio.Event, running: Sequence["asyncio.Task[None]"]) -> None:
        stopped = asyncio.create_task(stop.wait())
        try:
            if self.http is not None:
                await stopped
            while not stopped.done() and not all(task.done() for task in running):
                unfinished = [task for task in running if not task.done()]
                await asyncio.wait([stopped, *unfinished], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()


async def _consume(name: str, consumer: "Supervisor[Consumer]") -> None:
    ABOUT.set({"consumer": name})
    await consumer.run()


def _shown_at(config: Config) -> Mapping[str, MqttSettings]:
    """The brokers by which Home Assistant is shown the streams, by the names of their sinks."""
    brokers = {name: sink for name, sink in config.sinks.items() if isinstance(sink, MqttSettings)}
    return {name: sink for name, sink in brokers.items() if sink.home_assistant is not None}


def _shot_urls(config: Config) -> ShotUrls:
    base = "" if config.http is None else config.http.public_url or ""
    shots = None if config.history is None else config.history.shots
    return ShotUrls(base, None if shots is None else shots.signed)


def _destination(sink: SinkSettings) -> Attributes:
    match sink:
        case KafkaSettings():
            return messaging("kafka", "send", sink.topic)
        case MqttSettings():
            return messaging("mqtt", "send")
    return {}


def _obstacles(sinks: Iterable[Delivery]) -> list[str]:
    return [obstacle for sink in sinks if (obstacle := sink.obstacle)]


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error
