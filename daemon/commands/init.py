"""`visaged init`: writes a configuration that runs, for one camera. It never writes over a file."""

import contextlib
import getpass
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.commands import check
from daemon.commands.probe import Found, advice, expect_camera, look, password_of, video, with_camera
from daemon.config.load import load
from daemon.config.model import Config
from daemon.control.settings import StreamSettings
from daemon.errors import ConfigError, CredentialsRefused, SourceError
from daemon.sources.url import redacted
from daemon.wire.codec import encode

STREAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
OWN = 0o600
ALL = 0o644
TOPIC = "visaged"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the configuration is to have; `source` None: it is asked for."""

    source: str | None
    username: str | None
    password_file: Path | None
    stream: str
    chain: Sequence[str]
    fps: float | None
    broker: str | None
    """host:port of Kafka; None: documents go to standard output."""
    topic: str
    offline: bool
    """Whether the camera is left alone."""


def main(path: Path, wishes: Wishes) -> int:
    """Raises ConfigError, SourceError and ModelError; then nothing was written."""
    _expect_new(path)
    if not STREAM.fullmatch(wishes.stream):
        raise ConfigError(f"--stream: expected letters, digits, `_`, `.` and `-`, got {wishes.stream!r}")
    asks = wishes.source is None
    if asks:
        wishes = _asked(wishes)
    settings, found = _looked_at(_config(wishes), wishes, asks=asks)
    if asks and found is not None and wishes.fps is None:
        wishes = replace(wishes, fps=_asked_fps(found))
    files = [*_secrets(path, wishes, settings), (path, _text(path, wishes, settings, found), ALL)]
    with contextlib.ExitStack() as undo:
        for place, text, mode in files:
            _write(place, text, mode)
            undo.callback(place.unlink)
        check.main(load(path), path)
        undo.pop_all()
    _tell(path, [place for place, _, _ in files[:-1]])
    return 0


def _expect_new(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise ConfigError(f"{path}: is there already, and is not written over: name another file")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: expected a file in a folder that is there")


def _asked(wishes: Wishes) -> Wishes:
    if not sys.stdin.isatty():
        raise ConfigError("--source: expected the address of a camera, as there is no terminal to ask at")
    source = _asked_source()
    broker = wishes.broker or _ask("Kafka broker for the documents, HOST:PORT (nothing: print them): ") or None
    return replace(wishes, source=source, broker=broker)


def _asked_source() -> str:
    while True:
        source = _ask("Address of the camera (rtsp://HOST/PATH), or a video file: ")
        try:
            expect_camera({"source": source})
        except ConfigError as err:
            sys.stderr.write(f"{err}\n")
        else:
            return source


def _asked_fps(found: Found) -> float | None:
    recommended = found.recommended(1)
    sys.stderr.write(f"{advice(found, 1)}\n")
    while True:
        answer = _ask(
            f"Frames per second to look at (nothing: {'all' if recommended is None else f'{recommended:g}'}): "
        )
        with contextlib.suppress(ValueError):
            return float(answer) if answer else recommended
        sys.stderr.write(f"expected a number, got {answer}\n")


def _ask(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise ConfigError("no answer: nothing was written")
    return line.strip()


def _config(wishes: Wishes) -> Config:
    password = None if wishes.password_file is None else password_of(wishes.password_file)
    return with_camera(wishes.source or "", wishes.username, password, wishes.stream)


def _looked_at(config: Config, wishes: Wishes, *, asks: bool) -> tuple[StreamSettings, Found | None]:
    """What the camera sends; with `asks`, it is asked for a login that it takes, and whether to go on without it."""
    while True:
        settings = config.streams[wishes.stream]
        if wishes.offline:
            return settings, None
        try:
            return settings, look(settings, wishes.chain, config)
        except CredentialsRefused as err:
            if not asks:
                raise
            sys.stderr.write(f"{err}\n")
            username = _ask("User name at the camera: ")
            password = getpass.getpass("Password: ", sys.stderr)
            config = with_camera(settings.source, username, password, wishes.stream)
        except SourceError as err:
            if not asks:
                raise SourceError(f"{err}; with --offline the configuration is written without asking it") from None
            sys.stderr.write(f"{err}\n")
            if _ask("Write the configuration all the same (y/n)? ").lower() not in ("y", "yes"):
                raise
            return settings, None


def _secrets(path: Path, wishes: Wishes, settings: StreamSettings) -> Iterator[tuple[Path, str, int]]:
    if settings.password is not None and wishes.password_file is None:
        yield _beside(path, wishes, "password"), f"{settings.password.get_secret_value()}\n", OWN
    if redacted(settings.source) != settings.source:
        yield _beside(path, wishes, "source"), f"{settings.source}\n", OWN


def _beside(path: Path, wishes: Wishes, what: str) -> Path:
    return path.absolute().with_name(f"{path.stem}.{wishes.stream}.{what}")


def _text(path: Path, wishes: Wishes, settings: StreamSettings, found: Found | None) -> str:
    return "\n".join(
        [
            "# Written by `visaged init`.",
            f"#   visaged check --connect {path.name}   looks for mistakes, and whether camera and broker answer",
            f"#   visaged run {path.name}               runs it; http://127.0.0.1:8080/ shows what it sees",
            "#   visaged schema                 has every key, with its default and meaning",
            "",
            "streams:",
            f"  {_scalar(wishes.stream)}:",
            *(f"    {line}" for line in _stream(path, wishes, settings, found)),
            "",
            *_sinks(wishes),
            "",
        ]
    )


def _stream(path: Path, wishes: Wishes, settings: StreamSettings, found: Found | None) -> Iterator[str]:
    if found is not None:
        yield f"# {video(found.probed)}"
    if redacted(settings.source) == settings.source:
        yield f"source: {_scalar(settings.source)}"
    else:
        secret = _beside(path, wishes, "source")
        yield "# The address, which has a secret in it, is in a file that you alone may read."
        yield f"source: {encode(f'${{file:{secret}}}').decode()}"
    if settings.username is not None:
        yield f"username: {_scalar(settings.username)}"
    if settings.password is not None:
        given = wishes.password_file
        yield "# The file with the password of that user: read again at each connection."
        yield f"password_file: {_scalar(str(given.absolute() if given else _beside(path, wishes, 'password')))}"
    yield from _fps(wishes, found)
    yield "# What is looked for, in this order: docs/processors.md has all there is."
    yield f"chain: {encode(list(wishes.chain)).decode()}"
    yield "# Follow people from frame to frame, and tell when they come and go (docs/tracks.md):"
    yield "#tracking: {}"


def _fps(wishes: Wishes, found: Found | None) -> Iterator[str]:
    cost = None if found is None else found.cost
    fps = wishes.fps
    if fps is None and found is not None:
        fps = found.recommended(1)
    yield "# Frames per second that are looked at, evenly; without it all are. The others are skipped."
    if fps is not None and cost is not None:
        yield f"# {fps:.3g} of them took {cost.cores(fps):.2f} of a core here."
    yield f"fps: {fps:.4g}" if fps is not None else "#fps: 5"


def _sinks(wishes: Wishes) -> Sequence[str]:
    if wishes.broker is None:
        return (
            "sinks:",
            "  # Each frame's document, as a line of JSON on standard output. docs/outputs.md has what else there is.",
            "  out:",
            "    type: stdout",
        )
    return (
        "clusters:",
        "  own:",
        f"    bootstrap_servers: {_scalar(wishes.broker)}",
        "",
        "sinks:",
        "  # Each frame's document, as a record of this topic. docs/outputs.md has what else there is.",
        "  kafka:",
        "    type: kafka",
        f"    topic: {_scalar(wishes.topic)}",
    )


def _scalar(text: str) -> str:
    """As it is: JSON is YAML, and ${ would stand for what is elsewhere."""
    return encode(text.replace("${", "$${")).decode()


def _write(path: Path, text: str, mode: int) -> None:
    """A new file, which had this mode from the beginning. Raises ConfigError."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path}: is there already, and is not written over: nothing was written") from None
    except OSError as err:
        raise ConfigError(f"{path}: cannot be written: {err.strerror}") from err


def _tell(path: Path, secrets: Sequence[Path]) -> None:
    for secret in secrets:
        sys.stdout.write(f"{secret}: you alone may read it\n")
    sys.stdout.write(f"now: visaged run {path}\n")
