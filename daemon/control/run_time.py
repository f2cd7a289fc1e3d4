"""What a stream that is added at run time may be: whoever adds one is not whoever runs the daemon."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from daemon.control.credentials import PUBLIC_OPTIONS, REFERENCE
from daemon.control.networks import Networks
from daemon.control.settings import RunTimeSettings, StreamSettings, with_defaults
from daemon.errors import AddressRefused, InvalidDocument, Problem, SourceError
from daemon.sources import make_source
from daemon.sources.base import Feed, Source
from daemon.sources.url import Url, as_address, meant_scheme, parsed
from daemon.wire.codec import Members
from daemon.work.privacy import StreamPrivacySettings

Contradictions = Callable[[str, StreamSettings], Iterable[Problem]]
Explained = Callable[[ValidationError], Iterable[Problem]]

ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
ID_EXPECTED = (
    "Expected an id of up to 64 letters, digits, . _ or -, that begins with a letter, a digit or _; another writing "
    "goes into `name`"
)
SECRET = re.compile(r"\$\{secret:([A-Za-z0-9_][A-Za-z0-9._-]{0,252})\}")
MOST_SECRET_BYTES = 4096
JUDGING_S = 3.0  # for a name, before a stream is taken; it is judged at each connection
KEYS = frozenset(
    (
        *("name", "labels", "paused"),
        *("source", "username", "password", "transport", "open_timeout", "read_timeout", "first_picture_timeout"),
        *("ffmpeg_options", "fps", "keyframes_only", "hardware", "masks", "motion", "mounted", "isolate"),
        *("chain", "processors", "privacy", "regions", "zones", "lines", "tracking"),
        *("sinks", "topic", "emit", "image", "weight", "window"),
    )
)
"""What may be set. A key that the daemon learns later is not among them until somebody has thought about it."""
AT_MOST: Mapping[str, float] = {
    "open_timeout": 60,
    "read_timeout": 60,
    "first_picture_timeout": 600,
    "weight": 100,
    "window": 64,
}
LOGIN = ("username", "password")
OF_THE_FILE = {*LOGIN, "ffmpeg_options"}
"""Defaults that would go to an address of another's choice."""
CONTROL = re.compile(r"[\x00-\x20\x7f]")
OPTION = re.compile(r"[A-Za-z0-9+_.-]{1,64}")
PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsp,rtp,srtp,udp,tcp,tls",
    "http": "http,tcp",
    "https": "https,http,tls,tcp",
}
"""That FFmpeg may use on the way."""
FORMATS = (
    "rtsp,data,mjpeg,mpjpeg,jpeg_pipe,png_pipe,webp_pipe,bmp_pipe,mov,matroska,webm,avi,flv,ogg,mpegts,mpeg,h264,hevc"
)
"""That name no other address."""
OF_HLS = "hls,aac,mp3,ac3,eac3,webvtt"


class RunTime:
    """Reads such settings, and makes the sources of them."""

    def __init__(
        self,
        settings: RunTimeSettings,
        defaults: BaseModel,
        explained: Explained,
        contradictions: Contradictions,
        networks: Networks,
    ) -> None:
        """`explained`: mistakes in the file's words; `contradictions`: of settings that are right by themselves."""
        self.defaults = defaults
        self._settings = settings
        self._explained = explained
        self._contradictions = contradictions
        self._networks = networks

    def accept(self, stream: str, members: Members) -> StreamSettings:
        """Blocks while it reads secrets. Raises InvalidDocument, whose problems have the keys of what was sent."""
        if problems := list(self._refused(stream, members)):
            raise InvalidDocument(problems)
        defaults = self.defaults.model_dump(exclude_unset=True, exclude=OF_THE_FILE)
        try:
            settings = StreamSettings.model_validate(with_defaults(defaults, self._with_secrets(members)))
        except ValidationError as err:
            raise InvalidDocument(list(self._explained(err))) from None
        if problems := [
            *_too_much(settings),
            *_weaker(settings, self.defaults),
            *self._contradictions(stream, settings),
        ]:
            raise InvalidDocument(problems)
        return settings

    async def judge(self, settings: StreamSettings) -> None:
        """Raises InvalidDocument for an address that may not be called; one that can't be told now may be later."""
        try:
            await self.called(settings, JUDGING_S)
        except AddressRefused as err:
            raise InvalidDocument([Problem(("source",), str(err), "address_refused")]) from err
        except SourceError:
            pass

    async def called(self, settings: StreamSettings, timeout: float) -> StreamSettings:
        """With the address that was judged in the place of its name, and FFmpeg held to it. Raises SourceError."""
        url = parsed(settings.source)
        if url is None:
            raise AddressRefused("expected a camera's address, got a path")
        address = await self._networks.address(url.host, timeout)
        options = settings.ffmpeg_options | self._held(url)
        return settings.model_copy(update={"source": url.at(address), "ffmpeg_options": options})

    def source(self, settings: StreamSettings, name: str) -> Source:
        return _Judged(self, settings, name)

    def _held(self, url: Url) -> dict[str, str]:
        options = {
            "protocol_whitelist": PROTOCOLS[url.scheme],
            "format_whitelist": f"{FORMATS},{OF_HLS}" if self._settings.hls else FORMATS,
            "max_redirects": "0",
        }
        if url.scheme in ("https", "rtsps"):
            options["verifyhost"] = url.host
        if url.scheme in ("http", "https"):
            options["headers"] = f"Host: {url.authority}\r\n"
        return options

    def _refused(self, stream: str, members: Members) -> Iterator[Problem]:
        if not ID.fullmatch(stream):
            yield Problem(("id",), ID_EXPECTED, "string_pattern_mismatch")
        for key in members.keys() - KEYS:
            yield Problem((key,), "Unknown key, or one that can't be set at run time", "extra_forbidden")
        yield from self._refused_source(members.get("source"))
        yield from _refused_options(members.get("ffmpeg_options"))
        yield from self._refused_sinks(members)

    def _refused_source(self, source: object) -> Iterator[Problem]:
        if not isinstance(source, str):
            return
        url, schemes = parsed(source), self._settings.schemes
        if url is None or url.scheme not in schemes:
            yield Problem(("source",), _other_scheme(source, schemes), "scheme_refused")
        elif CONTROL.search(source):  # they would begin a line of their own in the request
            yield Problem(("source",), "Expected no blanks and control characters: write them as %XX", "source_refused")

    def _refused_sinks(self, members: Members) -> Iterator[Problem]:
        """A wrong type is told by the settings' own model."""
        topics, sinks = self._settings.topics, members.get("sinks")
        named = sinks if isinstance(sinks, list) else []
        for index, sink in enumerate(named):
            if sink not in topics:
                known = ", ".join(topics) or "no sink, as http.run_time.topics has none"
                yield Problem(("sinks", index), f"Expected {known}, got {str(sink)[:100]}", "sink_refused")
        for key, topic in _topics(members):
            if not named or not all(topic in topics.get(str(sink), ()) for sink in named):
                message = f"Expected a topic that http.run_time.topics has for each sink in `sinks`, got {topic[:100]}"
                yield Problem(key, message, "topic_refused")

    def _with_secrets(self, members: Members) -> Members:
        found = {key: self._secret(key, members[key]) for key in LOGIN if _is_reference(members.get(key))}
        return {**members, **found}

    def _secret(self, key: str, reference: str) -> str:
        folder, match = self._settings.secrets_dir, SECRET.fullmatch(reference)
        if match is None:
            raise InvalidDocument([Problem((key,), "Expected ${secret:NAME}, or no ${", "secret_refused")])
        if folder is None:
            message = "Expected no ${secret:NAME}: http.run_time.secrets_dir is not set"
            raise InvalidDocument([Problem((key,), message, "secret_refused")])
        try:
            return _content(folder / match[1])
        except (OSError, UnicodeError) as err:
            why = err.strerror if isinstance(err, OSError) else "no text in UTF-8"
            message = f"The secret {match[1]} can't be read: {why}"
            raise InvalidDocument([Problem((key,), message, "secret_missing")]) from None


class _Judged:
    """A source whose address is judged at each connection, and called as it was judged."""

    def __init__(self, run_time: RunTime, settings: StreamSettings, name: str) -> None:
        self._run_time = run_time
        self._settings = settings
        self._name = name

    async def run(self, feed: Feed) -> None:
        settings = await self._run_time.called(self._settings, self._settings.open_timeout)
        await make_source(settings, self._name).run(feed)


def _other_scheme(source: str, schemes: Sequence[str]) -> str:
    url, known = parsed(source), ", ".join(f"{scheme}://" for scheme in schemes)
    if url is not None:
        return f"Expected {known}, got {url.scheme}://{meant_scheme(url.scheme, schemes)}"
    if "rtsp" in schemes and (meant := as_address(source)) is not None:
        return f"{meant.removeprefix('rtsp://')} is no address: did you mean {meant}?"
    return f"Expected {known}, got a path"


def _refused_options(options: object) -> Iterator[Problem]:
    for name, value in options.items() if isinstance(options, dict) else ():
        if name not in PUBLIC_OPTIONS:
            known = ", ".join(sorted(PUBLIC_OPTIONS))
            yield Problem(("ffmpeg_options", str(name)), f"Expected one of {known}", "option_refused")
        elif not isinstance(value, str) or not OPTION.fullmatch(value):
            yield Problem(("ffmpeg_options", name), "Expected text of letters, digits, + _ . or -", "option_refused")


def _topics(members: Members) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(topic := members.get("topic"), str):
        yield ("topic",), topic
    match members:
        case {"tracking": {"events": {"topic": str(topic)}}}:
            yield ("tracking", "events", "topic"), topic


def _too_much(settings: StreamSettings) -> Iterator[Problem]:
    for key, most in AT_MOST.items():
        if (getattr(settings, key) or 0) > most:
            yield Problem((key,), f"Expected {most:g} at most, where it is set at run time", "less_than_equal")


def _weaker(settings: StreamSettings, defaults: BaseModel) -> Iterator[Problem]:
    """What the file says of privacy is the least for those who may add streams."""
    own, least = settings.privacy, getattr(defaults, "privacy", StreamPrivacySettings())
    shown = set(own.excepted) - set(least.excepted)
    weaker = {
        "hide": least.hide is not None and own.hide not in (least.hide, "bodies"),
        "except": least.hide is not None and bool(shown),
        "templates": own.templates and not least.templates,
    }
    for key in (key for key, is_weaker in weaker.items() if is_weaker):
        message = f"Expected no less than the file's privacy.{key}, which is the least for streams at run time"
        yield Problem(("privacy", key), message, "privacy_refused")


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and REFERENCE in value


def _content(path: Path) -> str:
    """Without the end of the last line."""
    with path.open("rb") as file:
        return file.read(MOST_SECRET_BYTES).decode("utf-8").rstrip("\r\n")
