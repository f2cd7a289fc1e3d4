"""The worked examples of docs/extending.md: whole files, changes of files, and a configuration."""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"
PACKAGES = ("daemon", "processors", "sinks", "configs")

BLOCK = re.compile(r"^`([\w/.]+)`, [^\n]*:\n\n```(python|diff|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    path: str
    """From the root."""
    kind: str
    text: str


def blocks() -> list[Block]:
    """Those that stand below the name of a file, in their order on the page."""
    return [Block(*match) for match in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]


def text_of(path: str) -> str:
    """Of a file that the page shows whole."""
    (text,) = [block.text for block in blocks() if block.path == path and block.kind != "diff"]
    return text


def changed(source: str, diff: str) -> str:
    """A source with the hunks of a diff in it. Each is found by its lines, as the page knows no line numbers."""
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        assert source.count(before) == 1, f"expected these lines once:\n{before}"
        source = source.replace(before, after)
    return source


def copy_with_examples(folder: Path) -> None:
    """visaged as it is when the page has been followed. The models are shared: their files are large."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "models").symlink_to(ROOT / "models")
    for block in blocks():
        path = folder / block.path
        if block.kind == "diff":
            path.write_text(changed(path.read_text(encoding="utf-8"), block.text), encoding="utf-8")
        else:
            assert not path.exists(), f"expected a new file, got {block.path}"
            path.write_text(block.text, encoding="utf-8")
