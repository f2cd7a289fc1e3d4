"""What a run leaves on the disk is what docs/privacy.md says, file by file."""

import asyncio
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from daemon.commands.store import MEASUREMENTS
from daemon.simulator.camera import Camera
from daemon.simulator.clip import Scene, make_clip
from models.measurements import Measurements
from tests.controlled import Serve, camera, clip, door, serve
from tests.http.access.calls import KEYS, bearer, settings_of

__all__ = ["camera", "clip", "serve"]  # fixtures are found by their names here

PAGE = Path(__file__).parents[2] / "docs" / "privacy.md"
ROW = re.compile(r"^\| `([^`]+)` \|.*\| (0600|as the umask says) \|$", re.MULTILINE)
TRACKING = {"confirmed_after": 1, "events": {"image": True}}


def told() -> dict[str, str]:
    """The patterns of the page's table, and who may read such a file."""
    return dict(ROW.findall(PAGE.read_text(encoding="utf-8").partition("## What is stored")[2]))


def files(folder: Path) -> dict[str, int]:
    """Names from the folder, and their modes; of a sink's beside it."""
    names = {path: str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    names = {path: name for path, name in names.items() if path.suffix != ".new"}  # for a moment, as the page says
    names |= {path: f"SINK/{path.name}" for path in folder.parent.glob("out*")}
    return {name: path.stat().st_mode & 0o777 for path, name in names.items()}


async def test_every_file_that_a_run_leaves_is_told(
    serve: Serve, camera: Camera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, state = tmp_path / "clip.mp4", tmp_path / "state"
    await asyncio.to_thread(make_clip, source, Scene(width=320, height=180, fps=5, seconds=2))
    elsewhere = [tmp_path / name for name in ("home", "temporary", "here")]
    for folder in elsewhere:
        folder.mkdir()
    monkeypatch.setenv("HOME", str(elsewhere[0]))
    monkeypatch.setenv("TMPDIR", str(elsewhere[1]))
    monkeypatch.chdir(elsewhere[2])
    filed = {"source": str(source), "chain": ["face-detector"], "tracking": TRACKING, "image": "full"}
    sink = {"type": "file", "path": tmp_path / "out.jsonl", "rotate": {"bytes": 20_000}}
    seen: dict[str, int] = {}

    async def look() -> bool:
        seen.update(await asyncio.to_thread(files, state))
        return all(any(fnmatchcase(name, pattern) for name in seen) for pattern in told())

    async with serve(
        keys={role: settings_of(key, [role]) for role, key in KEYS.items()},
        streams={"filed": filed},
        sinks={"out": sink},
        history={"days": 1, "shots": {"signed": 60}},
    ) as call:
        await asyncio.to_thread(Measurements(state / MEASUREMENTS).of, ("net",) * 5, "net", lambda: 1.0)  # type: ignore[arg-type]
        added = await call("PUT", "/streams/door", door(camera, tracking=TRACKING), **bearer(KEYS["control"]))
        assert added.status == 201, added.body
        for _ in range(150):
            if await look():
                break
            await asyncio.sleep(0.1)
    await look()
    patterns = told()
    for name, mode in seen.items():
        (pattern,) = [pattern for pattern in patterns if fnmatchcase(name, pattern)]
        assert patterns[pattern] != "0600" or mode == 0o600, (name, oct(mode))
    assert [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in seen)] == []
    assert [list(folder.iterdir()) for folder in elsewhere] == [[], [], []]
