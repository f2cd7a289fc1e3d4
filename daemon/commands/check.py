"""`visaged check`: builds everything that `visaged run` would, and starts none of it."""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from daemon.commands.store import model_store
from daemon.config.explain import Mistake
from daemon.config.load import refusal
from daemon.config.model import Config
from daemon.errors import SourceError
from daemon.http.services.catalogue import services
from daemon.http.services.endpoints import answers
from daemon.sources.folder import pictures_in
from daemon.sources.open import expect_device
from daemon.sources.url import misread, redacted, scheme_of
from daemon.work.plan import Plan
from models.store import ModelStore
from processors.chain import Chain
from processors.matcher import Matcher
from processors.registry import build_chain
from sinks.file import FileSettings


def main(config: Config, path: Path, *, connect: bool = False) -> int:
    """1 if brokers or cameras refuse us, which are asked with `connect` alone. Raises ConfigError or ModelError.

    Which models are for research only the store itself warns of.
    """
    if mistakes := list(_absent(config)):
        raise refusal(path, mistakes)
    models = built(config).used
    if connect and (refused := _refusals(config)):
        sys.stderr.write(f"{refusal(path, refused)}\n")
        return 1
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


def _refusals(config: Config) -> list[Mistake]:
    from daemon.commands.connect import refusals  # with aiokafka, which only those load who use it

    return asyncio.run(refusals(config, lambda note: sys.stdout.write(f"{note}\n")))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def built(config: Config) -> ModelStore:
    """The models, after the chains of all streams, consumers and services have taken theirs."""
    models = model_store(config)

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
            yield (
                ("streams", name, "source"),
                misread(stream.source)
                or f"expected a video, a picture or a folder, found none at {redacted(stream.source)}",
            )
    for name, sink in config.sinks.items():
        if isinstance(sink, FileSettings) and (wrong := _unwritable_file(sink.path)):
            yield ("sinks", name, "path"), wrong
    if config.state_dir is not None and (wrong := _unwritable_folder(config.state_dir)):
        yield ("state_dir",), wrong


def _unwritable_file(path: Path) -> str | None:
    """Takes no lock, and leaves no file behind."""
    if path.is_dir():
        return f"expected a file, got the folder {path}"
    if not path.parent.is_dir():
        return f"expected a file in a folder that is there, got {path}"
    if path.exists():
        return None if os.access(path, os.W_OK) else f"expected a file to write to, got {path}: Permission denied"
    return _unwritable_folder(path.parent)


def _unwritable_folder(path: Path) -> str | None:
    """A folder that is not there is made by `run`: what is above it counts."""
    if path.exists() and not path.is_dir():
        return f"expected a folder, got the file {path}"
    there = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there):
            return None
    except OSError as err:
        return f"expected a folder to write to, got {path}: {err.strerror}"
