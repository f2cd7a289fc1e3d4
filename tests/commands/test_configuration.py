"""The page of the configuration: every key once, with what it takes."""

import re
from pathlib import Path

import pytest

from daemon.commands.configuration import page
from daemon.commands.schema import EXAMPLE_NAME, reference
from daemon.config.load import load
from sinks import SINKS
from tests.commands.test_schema import wholly_uncommented
from tests.worked import ROOT

PAGE = ROOT / "docs" / "configuration.md"
KEY = re.compile(r"^- \*\*`(\w+)`\*\*", re.MULTILINE)
EXAMPLE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_key_of_the_reference_is_on_it() -> None:
    keys = set(re.findall(r"^ *(?:- )?(\w+):", wholly_uncommented(reference()), re.MULTILINE))
    assert set(KEY.findall(page())) == keys - {*EXAMPLE_NAME.values(), *SINKS, "type"}


@pytest.mark.parametrize(
    ("title", "line"),
    [
        ("http", "- **`port`** (whole number, 0 to 65535, default `8080`): The port to listen on. 0: any free port."),
        ("http", "- **`tls`** ([section](#httptls) or `null`, default `null`): Encrypt connections"),
        ("engine", "- **`shots_share`** (number, above 0, below 1, default `0.05`): Share"),
        ("log", '- **`level`** (one of `debug`, `info`, `warning`, `error`, default `"info"`): The log'),
        ("http.keys.NAME", "- **`sha256`** (text, required): The SHA-256"),
        ("http.keys.NAME", "(list of any of `query`, `metrics`, `watch`, `templates`, `control`, required): What"),
        ("streams.NAME.regions", "- **`include`** (list of lists of [number, number], default `[]`): Polygons"),
        ("streams.NAME", "- **`zones`** (list of [section](#streamsnamezones)s, default `[]`): Zones"),
        (
            "streams.NAME.tracking",
            "(names, each with one of `frame`, `track`, `auto` or whole number, default `{}`): ",
        ),
        ("streams.NAME.privacy", "- All of [privacy](#privacy): `hide`, `templates`."),
        ("consumers.NAME", "- All of [streams.NAME](#streamsname): `chain`, `processors`, "),
        ("sinks.NAME of type mqtt", "- **`include`** (list of any of `template`, `_image`, default `[]`): What leaves"),
        ("sinks.NAME of type mqtt", "- **`tls`** ([section](#clustersnametls) or `null`, default `null`): "),
    ],
)
def test_a_key_stands_below_its_section_with_what_it_takes(title: str, line: str) -> None:
    assert line in page().split(f"\n### {title}\n")[1].split("\n### ")[0]


def test_no_description_is_taken_for_markup() -> None:
    assert r"VISAGED\_STREAMS\_\_\<NAME>\_\_PASSWORD" in page()
    assert "`visaged keys new NAME --role ROLE`" in page()
    assert "[places.md](places.md)" in page()


@pytest.mark.parametrize("text", EXAMPLE.findall(page()))
def test_its_examples_are_whole(text: str, tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(text, encoding="utf-8")
    load(path)
