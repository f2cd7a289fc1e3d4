"""`visaged probe`: what a camera sends, and what looking at it costs on this machine."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.password import text_of
from daemon.commands.cost import SHARE, Cost, cores_for, measure
from daemon.commands.output import print_json, print_table
from daemon.config.explain import explained
from daemon.config.load import load
from daemon.config.model import Config
from daemon.control.credentials import apart
from daemon.control.settings import StreamSettings
from daemon.errors import ConfigError
from daemon.sources import make_source
from daemon.sources.probe import Decoded, Probed, by_keyframes, decoded, of_all_frames, probe
from daemon.sources.url import misread, redacted
from daemon.wire.codec import Members
from daemon.work.settings import mistakes_of_chain

STREAM = "probed"
KEYFRAMES_S = 10.0  # for a second keyframe
DECODING_S = 3.0
BESIDE_S = 1.0  # beyond the time-outs of the source itself, which say more
SHOWN_RATES = (1.0, 2.0, 5.0, 10.0, 25.0)


@dataclass(frozen=True, slots=True)
class Found:
    """What a camera sends, and what it costs."""

    probed: Probed
    cost: Cost | None
    """None: its rate is not known."""

    def recommended(self, cameras: int) -> float | None:
        return None if self.cost is None else self.cost.recommended(cores_for(cameras))

    def figures(self, cameras: int) -> dict[str, Any]:
        cost = None if self.cost is None else self.cost.figures() | {"cores": _cores(self.cost)}
        return {**self.probed.figures(), "cost": cost, "recommended_fps": self.recommended(cameras)}


def main(settings: StreamSettings, *, chain: Sequence[str], config: Config, cameras: int, json: bool) -> int:
    """Raises ConfigError, SourceError and ModelError."""
    found = look(settings, chain, config)
    if json:
        print_json(found.figures(cameras))
        return 0
    sys.stdout.write(f"{redacted(settings.source)}\n{video(found.probed)}\n")
    if found.cost is not None:
        _print_cost(found.cost, redacted(settings.source))
        sys.stdout.write(f"\n{advice(found, cameras)}\n")
    return 0


def with_camera(source: str, username: str | None = None, password: str | None = None, stream: str = STREAM) -> Config:
    """A configuration of this stream, and of what the environment says. Raises ConfigError."""
    login = {"username": username, "password": password}
    given = {"source": source} | {key: value for key, value in login.items() if value is not None}
    expect_camera(given)
    return load(None, {"streams": {stream: apart(given)}, "sinks": {"out": {"type": "stdout"}}})


def expect_camera(given: Members) -> None:
    """`source` and maybe a login. Raises ConfigError without the name of a stream, which nobody has given."""
    source = given["source"]
    try:
        StreamSettings.model_validate(apart(given))
    except ValidationError as err:
        told = (filter(None, (redacted(source), *map(str, one.loc), one.msg)) for one in explained(err))
        raise ConfigError("\n".join(map(": ".join, told))) from None
    if (wrong := misread(source)) is not None:
        raise ConfigError(wrong)


def password_of(path: Path) -> str:
    """Raises ConfigError."""
    try:
        return text_of(str(path))
    except OSError as err:
        raise ConfigError(f"--password-file: cannot read {path}: {err.strerror}") from None
    except ValueError:
        raise ConfigError(f"--password-file: cannot read {path}: expected text in UTF-8") from None


def look(settings: StreamSettings, chain: Sequence[str], config: Config) -> Found:
    """Says on standard error what it does. Raises ConfigError, SourceError and ModelError."""
    if mistakes := list(mistakes_of_chain(chain)):
        raise ConfigError("\n".join(f"--chain: {mistake}" for mistake in mistakes))
    probed, all_frames = asyncio.run(_read(settings))
    rate = probed.fps or all_frames.fps
    if rate is None:
        return Found(probed, None)
    _say(f"measuring {', '.join(chain)}")
    return Found(
        Probed(probed.codec, probed.size, rate, probed.keyframe_interval), measure(all_frames, rate, chain, config)
    )


async def _read(settings: StreamSettings) -> tuple[Probed, Decoded]:
    """One connection after the other: some cameras allow a single one."""
    shown = settings.source
    within = settings.open_timeout + settings.first_picture_timeout + BESIDE_S
    _say(f"reading {redacted(shown)}, for {KEYFRAMES_S + DECODING_S:g} s at most once it answers")
    probed = await probe(make_source(by_keyframes(settings), STREAM), shown, within, KEYFRAMES_S)
    return probed, await decoded(make_source(of_all_frames(settings), STREAM), shown, within, DECODING_S)


def video(probed: Probed) -> str:
    """In a line, for people."""
    width, height = probed.size or (0, 0)
    parts = [probed.codec or "pictures", f"{width}x{height}"]
    if probed.fps is not None:
        parts.append(f"{probed.fps:.3g} frames per second")
    if probed.keyframe_interval is not None:
        parts.append(f"a keyframe every {probed.keyframe_interval:.3g} s")
    elif probed.codec is not None:
        parts.append(f"no second keyframe within {KEYFRAMES_S:g} s")
    return ", ".join(parts)


def advice(found: Found, cameras: int) -> str:
    """What to set `fps` to, or what else to do."""
    fps = found.recommended(cameras)
    of_these = "this camera" if cameras == 1 else f"{cameras} such cameras"
    if fps is None or found.cost is None:
        return (
            f"recommended: less video. Even 1 frame per second of {of_these} takes more than {SHARE:.0%} of the cores: "
            "take the camera's second, smaller stream, or keyframes_only: true"
        )
    return f"recommended: fps: {fps:.3g}, for {of_these} on {cores_for(1) / SHARE:.0f} cores"


def _print_cost(cost: Cost, shown: str) -> None:
    ms = cost.figures()
    sys.stdout.write("\n")
    print_table(
        [
            ("CPU", "ms", "of"),
            ("decode", f"{ms['decode_ms']:.2f}", "each frame of the camera"),
            ("picture", f"{ms['picture_ms']:.2f}", "each frame that is looked at"),
            *(
                (name, f"{look['empty']:.2f}", f"the same; {look['person']:.2f} more for each person in it")
                for name, look in ms["processors_ms"].items()
            ),
        ]
    )
    sys.stdout.write("\n")
    print_table([("fps", "cores, with one person"), *((fps, f"{cores:.2f}") for fps, cores in _cores(cost).items())])


def _cores(cost: Cost) -> dict[str, float]:
    """By frames per second, with one person in the picture."""
    rates = [fps for fps in SHOWN_RATES if fps < cost.rate]
    return {f"{fps:.3g}": round(cost.cores(fps), 3) for fps in (*rates, cost.rate)}


def _say(what: str) -> None:
    sys.stderr.write(f"visaged: {what}\n")
    sys.stderr.flush()
