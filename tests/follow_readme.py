"""Follows README.md and docs/five-minutes.md word by word on a fresh clone, and holds them to what they promise.

    python3 -m tests.follow_readme [PAGE...]

The clone is of the last commit. Its commands come from the pages themselves, and are run in their order by a shell;
SCENES says what each is to show. A simulated camera and the demo's broker stand in for the addresses of the pages.
It needs git, curl, a package index, the ports 8080, 8081, 8554 and 19092 of 127.0.0.1, and 5 minutes.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(?:sh|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORTS = (8080, 8081, 8554, 19092)
CTRL_C_S = 40
"""More than `stop_timeout`."""
ENDED_WELL = (0, 128 + signal.SIGINT, -signal.SIGINT)
"""After Ctrl-C."""
STAND_INS = {
    "192.0.2.10/stream1": "127.0.0.1:8554/faces",
    "192.0.2.10/1": "127.0.0.1:8554/faces",
    "192.0.2.11/h264": "127.0.0.1:8554/faces",
    "broker.example:9092": "127.0.0.1:19092",
}
"""For what the reader has."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a reader does with a block of a page: runs it, or writes it into a file."""

    begins: str = ""
    """The block's first line begins so."""
    shows: str = ""
    """A regular expression for its output."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """URLs, and a regular expression for what each answers soon after."""
    makes: tuple[str, ...] = ()
    """Files that are not empty then."""
    within: float = 120
    """Seconds."""
    terminal: str = "first"
    """Where it is run. What runs there gets Ctrl-C before."""
    goes_on: bool = False
    """Whether it runs until then."""
    file: str = ""
    """Where a block of YAML goes, in the place of its keys."""
    then: str = ""
    """What is run where no block says it."""
    before: "Sequence[Step]" = ()
    """What makes what the reader has, and a fresh clone has not."""
    without: tuple[str, ...] = ()
    """Commands that begin so are left out."""


CAMERA_AND_BROKER = Step(
    then="""\
.venv/bin/python -c '
import asyncio
from daemon.commands.demo.broker import embedded_broker
from daemon.simulator.camera import serve
from daemon.simulator.clip import drawn_clip

async def main():
    async with embedded_broker(19092):
        await serve({"faces": drawn_clip()}, "127.0.0.1", 8554, None)

asyncio.run(main())'
""",
    shows="rtsp://",
    terminal="of the camera",
    goes_on=True,
)
PICTURES = Step(
    then="""\
mkdir folder && cp daemon/simulator/pictures/obama.jpg photo.jpg && cp photo.jpg folder/
.venv/bin/python -c '
import cv2
photo = cv2.imread("photo.jpg")
clip = cv2.VideoWriter("clip.mp4", cv2.VideoWriter_fourcc(*"mp4v"), 25, photo.shape[1::-1])
for _ in range(10):
    clip.write(photo)
clip.release()'
""",
    terminal="second",
)
HTTP = "http://127.0.0.1:8080"
OWN = "http://127.0.0.1:8081"
SCENES: Mapping[str, Sequence[Step]] = {
    "README.md": (
        Step(
            "python3 -m venv",
            shows=r"(?s)page +http://127.0.0.1:8080/.* camera frame \d+: face",
            answers={f"{HTTP}/": "visaged"},
            within=600,
            goes_on=True,
        ),
        Step("# mine.yaml", file="mine.yaml"),
        Step(
            "visaged check mine.yaml",
            shows=r'(?s)mine.yaml: ok.*"stream":\{"id":"entrance"',
            before=(CAMERA_AND_BROKER,),
            answers={f"{HTTP}/status": '"acknowledged":[1-9]', f"{HTTP}/metrics": "visaged_stream_frames"},
            goes_on=True,
        ),
        Step(
            "streams:",
            file="two.yaml",
            then="visaged check two.yaml && visaged run two.yaml",
            shows=r"(?s)entrance: frames are coming.*",
            answers={f"{HTTP}/status": r'"sinks":\{"events":.*"acknowledged":[1-9]'},
            goes_on=True,
        ),
        Step("visaged run configs/http.yaml", shows="HTTP on", goes_on=True),
        Step("curl -s -F image=@photo.jpg", shows="'class': 'face'", terminal="second", before=(PICTURES,)),
        Step(
            "visaged process photo.jpg",
            shows=r'(?s)"bbox".*cores.*yunet_2023mar_dyn.*',
            makes=("out/photo.jpg", "out/clip.mp4"),
            terminal="second",
            without=(
                "visaged find",  # it asks all of the network
                "visaged evaluate",  # FOLDER stands for labelled pictures, of which a clone has none
            ),
        ),
        Step("tests/run", without=("tests/run",)),  # it is run by itself
    ),
    "docs/five-minutes.md": (
        Step("python3 -m venv", shows=r"visaged \d+\.\d+", within=600),
        Step("visaged demo", shows=r"camera frame \d+: face", answers={f"{HTTP}/": "visaged"}, goes_on=True),
        Step("visaged probe", shows=r"(?s)h264, 1280x720.*recommended: ", terminal="second"),
        Step("# mine.yaml", file="mine.yaml"),
        Step(
            "visaged check mine.yaml",
            shows=r'(?s)mine.yaml: ok.*"event":"appeared"',
            answers={f"{OWN}/": "visaged"},
            terminal="second",
            goes_on=True,
        ),
        Step("curl -s http", shows='"entrance"', makes=("now.jpg", "found.json"), terminal="third"),
        Step("curl -sN", shows='"event": ?"(updated|appeared)"', terminal="third", goes_on=True),
        Step("python -c", shows=r"ages: \[\d", terminal="third"),
        Step("clusters:", file="mine.yaml"),
        Step("visaged run mine.yaml", shows="entrance: frames are coming", terminal="second", goes_on=True),
        Step("pip install", shows='"event": "appeared"', terminal="third", goes_on=True),
    ),
}


class StepFailed(Exception):
    """A page does not keep what it promises; why not."""


class Terminal:
    """Runs one command at a time, as one who types: what runs gets Ctrl-C before the next."""

    def __init__(self, folder: Path, output: Path) -> None:
        self._folder = folder
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.press_ctrl_c()

    def run(self, script: str) -> None:
        self.press_ctrl_c()
        activate = ". .venv/bin/activate\n" if (self._folder / ".venv").exists() else ""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", activate + script],
                cwd=self._folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def text(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace")

    def status(self) -> int | None:
        return self._process.poll() if self._process else None

    def expect_files(self, names: Sequence[str]) -> None:
        """Raises StepFailed."""
        for name in names:
            if not (self._folder / name).is_file() or not (self._folder / name).stat().st_size:
                raise StepFailed(f"expected something in the file {name}, got nothing:\n{self.text()}")

    def press_ctrl_c(self) -> None:
        """Raises StepFailed where it does not end by that, or not well."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGINT)
        try:
            status = process.wait(CTRL_C_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise StepFailed(f"expected an end within {CTRL_C_S} s of Ctrl-C, got none:\n{self.text()}") from None
        if status not in ENDED_WELL:
            raise StepFailed(f"expected a good end after Ctrl-C, got status {status}:\n{self.text()}")


def environment() -> dict[str, str]:
    """Without what belongs to the one who runs this."""
    ours = ("VISAGED", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def blocks(page: str) -> list[str]:
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def steps(page: str) -> Iterator[tuple[Step, str]]:
    """Each step with its block. Raises ValueError where the page has others."""
    for step, block in zip(SCENES[page], blocks(page), strict=True):
        if not block.startswith(step.begins):
            raise ValueError(f"{page}: expected a block that begins with {step.begins!r}, got {block!r}")
        yield step, block


def with_stand_ins(text: str) -> str:
    for name, stand_in in STAND_INS.items():
        text = text.replace(name, stand_in)
    return text


def write(path: Path, block: str) -> None:
    """Puts the block in the place of its keys, if the file is there, or of all."""
    there = path.read_text(encoding="utf-8") if path.exists() else ""
    keys = re.findall(r"^\w+:", block, re.MULTILINE)
    first = min((there.index(f"\n{key}") + 1 for key in keys if f"\n{key}" in there), default=0)
    path.write_text(there[:first] + with_stand_ins(block), encoding="utf-8")


def commands(step: Step, block: str) -> str:
    """Nothing, where the block is a file's."""
    if step.file:
        return ""
    return with_stand_ins("".join(line for line in block.splitlines(True) if not line.startswith(step.without)))


def follow(page: str, folder: Path) -> None:
    """Raises StepFailed."""
    with contextlib.ExitStack() as stack:
        terminals: dict[str, Terminal] = {}

        def terminal(name: str) -> Terminal:
            if name not in terminals:
                terminals[name] = stack.enter_context(Terminal(folder, folder.with_name(f"{name}.output")))
            return terminals[name]

        for step, block in steps(page):
            began = time.monotonic()
            if step.file:
                write(folder / step.file, block)
            if script := step.then or commands(step, block):
                terminal(step.terminal).press_ctrl_c()
                for one in step.before:
                    run(terminal(one.terminal), one.then, one)
                run(terminal(step.terminal), script, step)
            print(f"{page}: {step.begins}: {time.monotonic() - began:.0f} s", flush=True)


def run(terminal: Terminal, script: str, step: Step) -> None:
    """Until it has shown and answered what it promises, and ended if it is to end. Raises StepFailed."""
    terminal.run(script)
    end = time.monotonic() + step.within
    while time.monotonic() < end:
        status = terminal.status()
        shown = re.search(step.shows, terminal.text()) is not None
        if status is not None and (status or step.goes_on or not shown):
            break
        if shown and (step.goes_on or status == 0) and all(answered(*one) for one in step.answers.items()):
            return terminal.expect_files(step.makes)
        time.sleep(0.5)
    raise StepFailed(
        f"{step.begins}: expected /{step.shows}/ and {dict(step.answers)} within {step.within} s, got status "
        f"{terminal.status()} and\n{terminal.text()[-4000:]}"
    )


def answered(url: str, expected: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:
        return re.search(expected, response.read().decode()) is not None
    return False


def main() -> int:
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                sys.exit(f"expected the ports {', '.join(map(str, PORTS))} of 127.0.0.1 to be free, got one at {port}")
    with tempfile.TemporaryDirectory(prefix="visaged-reader-") as name:
        for page in sys.argv[1:] or SCENES:
            folder = Path(name) / Path(page).stem / "visaged"
            folder.parent.mkdir()
            subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
            try:
                follow(page, folder)
            except StepFailed as err:
                sys.exit(f"{page}: {err}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
