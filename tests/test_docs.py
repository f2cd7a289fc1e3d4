"""What the documents say can be checked: links lead somewhere, configurations load, the README is short."""

import argparse
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from daemon import cli
from daemon.config.explain import walk
from daemon.config.load import load
from daemon.config.model import Config
from tests.worked import PAGE, ROOT, blocks

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "models" / "README.md"])
README_LINES = 150

BESIDE = {
    "sinks": {"shown": {"type": "kafka", "topic": "shown"}},
    "clusters": {"own": {"bootstrap_servers": "broker.example:9092"}},
}
"""What a configuration that shows a part alone is loaded with."""
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
NAMES = re.compile(r"((?:`[\w.]+`(?:,| and)? )+)in `([\w/]+\.py)`")
"""E.g. "`one` and `Class.method` in `a/file.py`"."""
FILE = re.compile(r"`((?:daemon|processors|models|sinks|configs|tests|docs)/[\w./-]*)`")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = ("sh", "")
COMMAND = re.compile(r"(?:^|&& )(?:[\w./]+/)?visaged( [^|>&\n]*)", re.MULTILINE)
MENTIONED = re.compile(r"`visaged ([^`>]+)")
"""In a sentence, where arguments may be missing or in capitals."""
URL = re.compile(r"(?:127\.0\.0\.1:808[01]|\$URL)(/(?:[\w/-]|\.\w)*)")
KEY = re.compile(rf"`((?:{'|'.join(Config.model_fields)})\.[\w.-]+)[`:]")
FIGURES = {"engine.busy", "engine.busy_seconds", "http.processors"}
"""Of /status, which look like keys."""
MODULE = re.compile(r"python3? -m ((?:tests|daemon)[\w.]*)")
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def relative_links(path: Path) -> Iterator[tuple[Path, str]]:
    """The files that links lead to, and the headings in these: an empty one is the whole file."""
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" not in target:
            file, _, heading = target.partition("#")
            yield (path.parent / file if file else path), heading


def headings(path: Path) -> set[str]:
    """As GitHub's anchors have them."""
    texts = HEADING.findall(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    links = list(relative_links(path))
    assert [str(target) for target, _ in links if not target.exists()] == []
    assert [heading for target, heading in links if heading and heading not in headings(target)] == []


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        path = waiting.pop().resolve()
        if path not in reached and path.suffix == ".md":
            reached.add(path)
            waiting += [target for target, _ in relative_links(path)]
    assert set(DOCUMENTS) <= reached


def test_the_index_of_the_documents_names_all_of_them() -> None:
    index = ROOT / "docs" / "README.md"
    named = {target.resolve() for target, _ in relative_links(index)}
    assert {path for path in DOCUMENTS if path.parent == index.parent} - {index} <= named


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_are_named_are_there(path: Path) -> None:
    """Also modules, which a table may name without their ending; the examples' files are in a copy alone."""
    named = set(FILE.findall(path.read_text(encoding="utf-8"))) - {block.path for block in blocks()}
    assert {name for name in named if not (ROOT / name).exists() and not (ROOT / f"{name}.py").exists()} == set()


def test_names_are_in_the_files_in_which_they_are_said_to_be() -> None:
    missing = [
        f"{name} in {file}"
        for path in DOCUMENTS
        for names, file in NAMES.findall(path.read_text(encoding="utf-8"))
        for name in re.findall(r"[\w.]+", names.replace(" and ", " "))
        for part in name.split(".")
        if not re.search(rf"^ *(?:async def |def |class )?{part}\b", (ROOT / file).read_text("utf-8"), re.MULTILINE)
    ]
    assert missing == []


def configurations() -> Iterator[tuple[str, str]]:
    """But that of the worked examples, which tests/test_extending.py runs."""
    for path in DOCUMENTS:
        if path == PAGE:
            continue
        for number, text in enumerate(YAML.findall(path.read_text(encoding="utf-8"))):
            yield f"{path.name}-{number}", text


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in configurations()])
def test_configurations_load(text: str, tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(text, encoding="utf-8")
    load(path, BESIDE)


def test_commands_are_taken_as_they_are_shown() -> None:
    shown = {
        command
        for path in DOCUMENTS
        for language, block in FENCE.findall(path.read_text(encoding="utf-8"))
        if language in SHELL
        for command in COMMAND.findall(block)
    }
    assert len(shown) > 40
    assert [command for command in sorted(shown) if not taken(command)] == []


def taken(command: str) -> bool:
    try:
        cli._parser().parse_args(shlex.split(command, comments=True))
    except SystemExit as end:  # argparse's, also after --version
        return not end.code
    return True


def test_commands_and_options_that_are_mentioned_are_there() -> None:
    mentioned = {text for path in DOCUMENTS for text in MENTIONED.findall(path.read_text(encoding="utf-8"))}
    assert len(mentioned) > 40
    assert {text: unknown for text in mentioned if (unknown := unknown_in(text))} == {}


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("probe URL --cameras 4", []),
        ("streams list|show", []),
        ("streams tell", ["tell"]),
        ("stream", ["stream"]),
        ("check --conect", ["--conect"]),
    ],
)
def test_what_is_not_there_is_found(text: str, unknown: list[str]) -> None:
    assert unknown_in(text) == unknown


def unknown_in(text: str) -> list[str]:
    """The commands and options in words after `visaged` that there are not."""
    parser, unknown = cli._parser(), []
    for word in text.split():
        commands = commands_of(parser)
        if word.startswith("--"):
            unknown += [word] * (word not in parser._option_string_actions)
        elif commands and word.islower():
            unknown += [name for name in word.split("|") if name not in commands]
            parser = commands.get(word, parser)
    return unknown


def commands_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return next((a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)), {})


def test_modules_that_are_to_be_run_are_there() -> None:
    named = {name for path in DOCUMENTS for name in MODULE.findall(path.read_text(encoding="utf-8"))}
    assert len(named) > 10
    files = {name: ROOT / name.replace(".", "/") for name in named}
    assert [name for name, file in files.items() if not file.with_suffix(".py").exists() and not file.is_dir()] == []


def test_urls_of_the_daemon_are_answered() -> None:
    asked = {path for page in DOCUMENTS for path in URL.findall(page.read_text(encoding="utf-8"))}
    assert len(asked) > 10
    described = json.loads((ROOT / "docs" / "schemas" / "openapi.json").read_bytes())["paths"]
    routes = [re.compile(re.sub(r"\\{\w+\\}", r"[^/]+", re.escape(path))) for path in described]
    assert [path for path in sorted(asked) if not any(route.fullmatch(path) for route in routes)] == []


def test_keys_that_are_named_are_there() -> None:
    named = {key for path in DOCUMENTS for key in KEY.findall(path.read_text(encoding="utf-8"))} - FIGURES
    assert len(named) > 30
    assert [key for key in sorted(named) if walk(key.split("."))[1].kind is None] == []
