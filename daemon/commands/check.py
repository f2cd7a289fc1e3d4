"""`visaged check`: builds everything that `visaged run` would, and starts none of it."""

import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from daemon.config.explain import Mistake
from daemon.config.load import refusal
from daemon.config.model import Config
from daemon.errors import SourceError
from daemon.http.services.catalogue import services
from daemon.http.services.endpoints import answers
from daemon.sources.folder import pictures_in
from daemon.sources.open import expect_device
from daemon.sources.url import scheme_of
from daemon.work.plan import Plan
from models.store import ModelStore
from processors.chain import Chain
from processors.matcher import Matcher
from processors.registry import build_chain
from sinks.file import FileSettings


def main(config: Config, path: Path) -> int:
    """Raises ConfigError or ModelError. Which models are for research only the store itself warns of."""
    if mistakes := list(_absent(config)):
        raise refusal(path, mistakes)
    models = built(config).used
    parts = [
        _count(len(config.streams), "stream"),
        _count(len(config.consumers), "consumer"),
        _count(len(config.sinks), "sink"),
        _count(len(services(config.http.liveness_module)) if config.http else 0, "service"),
        _count(len(models), "model"),
    ]
    if research := [manifest.name for manifest in models if manifest.use == "research-only"]:
        parts.append(f"{len(research)} of them for research only")
    sys.stdout.write(f"{path}: ok, {', '.join(parts)}\n")
    return 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def built(config: Config) -> ModelStore:
    """The models, after the chains of all streams, consumers and services have taken theirs."""
    models = ModelStore(config.models.directory, config.models.provider)

    def chain(names: Sequence[str]) -> Chain:
        return build_chain(names, config.processor_settings(), models)

    for work in (*config.streams.values(), *config.consumers.values()):
        Plan(work, config.processors, models)
    if config.http is not None:
        for service in services(config.http.liveness_module).values():
            list(answers(service, chain, lambda: Matcher(models), config.http))
    return models


def _absent(config: Config) -> Iterator[Mistake]:
    """What this machine lacks of that which the configuration names."""
    if config.http is not None:
        try:
            socket.getaddrinfo(config.http.host, config.http.port)
        except (OSError, UnicodeError):
            yield ("http", "host"), f"expected an address or a name of this machine, got {config.http.host}"
    for name, stream in config.streams.items():
        path = Path(stream.source)
        if stream.hardware is not None:
            try:
                expect_device(stream.hardware)
            except SourceError as err:
                yield ("streams", name, "hardware"), str(err)
        if scheme_of(stream.source):
            continue
        if path.is_dir():
            try:
                pictures_in(path)
            except SourceError as err:
                yield ("streams", name, "source"), str(err)
        elif not path.exists():
            yield ("streams", name, "source"), f"expected a video, a picture or a folder, found none at {path}"
    written: dict[Path, str] = {}
    for name, sink in config.sinks.items():
        if not isinstance(sink, FileSettings):
            continue
        key, path = ("sinks", name, "path"), sink.path.resolve()
        if not path.parent.is_dir():
            yield key, f"expected a file in a folder that is there, got {sink.path}"
        if path.is_dir():
            yield key, f"expected a file, got the folder {sink.path}"
        if (other := written.setdefault(path, name)) != name:
            yield key, f"expected a file of its own, got {sink.path}, which sink {other} writes"
