import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

import configs
from daemon.commands.schema import reference
from daemon.config.explain import sections
from daemon.config.load import load
from daemon.config.model import Config
from daemon.sources.settings import MotionSettings, RegionSettings
from daemon.work.settings import EventSettings, TrackingSettings
from sinks import SINKS
from sinks.tls import Tls
from tests.http.access.calls import CERTIFICATE, PRIVATE_KEY

FOLDER = Path(configs.__file__).parent


def test_the_shipped_reference_is_current() -> None:
    assert (FOLDER / "default.yaml").read_text() == reference()


def test_the_reference_is_the_defaults() -> None:
    assert load(FOLDER / "default.yaml") == Config()


SINK = "sinks: {out: {type: stdout}}\n"
CLUSTER = "clusters: {own: {bootstrap_servers: 'broker.example:9092'}}\n"
NEEDED = {"streams": SINK, "clusters": "", "consumers": SINK + CLUSTER, "sinks": CLUSTER}
"""What else a configuration with the section must have."""
NAMES = {"streams": ["entrance"], "clusters": ["main"], "consumers": ["pictures"], "sinks": list(SINKS)}


def uncommented(text: str) -> str:
    """As a user does it: without the sign before each key, and before what stands below it; descriptions keep theirs.

    A description has one space after its sign.
    """
    return re.sub(r"^( *)#(?! \S)", r"\1", text, flags=re.MULTILINE)


def wholly_uncommented(text: str) -> str:
    once = uncommented(text)
    return once if once == text else wholly_uncommented(once)


def block(section: str) -> str:
    text = reference()
    return text[text.index(f"\n#{section}:\n") + 1 :].split("\n\n")[0] + "\n"


def loaded(text: str, folder: Path) -> Config:
    path = folder / "example.yaml"
    path.write_text(text)
    return load(path)


@pytest.mark.parametrize("uncomment", [uncommented, wholly_uncommented])
@pytest.mark.parametrize("section", NEEDED)
def test_each_example_loads_uncommented(section: str, uncomment: Callable[[str], str], tmp_path: Path) -> None:
    config = loaded(uncomment(block(section)) + NEEDED[section], tmp_path)
    assert list(getattr(config, section)) == NAMES[section]


def test_the_whole_file_loads_uncommented(tmp_path: Path) -> None:
    text = wholly_uncommented(reference())
    for shown, there in (("/etc/visaged/fullchain.pem", CERTIFICATE), ("/etc/visaged/privkey.pem", PRIVATE_KEY)):
        text = text.replace(shown, str(there))  # they are read
    config = loaded(text.replace("state_dir: null", "state_dir: state"), tmp_path)  # which the history needs
    assert {section: list(getattr(config, section)) for section in NAMES} == NAMES
    stream, consumer, cluster = config.streams["entrance"], config.consumers["pictures"], config.clusters["main"]
    assert (stream.motion, stream.regions) == (MotionSettings(), RegionSettings())
    assert [place.name for place in (*stream.zones, *stream.lines)] == ["entrance", "entrance"]
    assert stream.tracking == consumer.tracking == TrackingSettings(events=EventSettings())
    assert cluster.sasl is not None
    assert cluster.tls == Tls()
    assert config.http is not None
    assert list(config.http.keys) == ["grafana"]


def test_no_line_is_too_long_for_a_terminal() -> None:
    assert max(map(len, reference().splitlines())) <= 120


def test_a_key_that_may_be_null_says_what_null_means() -> None:
    def silent(section: type[BaseModel]) -> Iterator[str]:
        for name, field in section.model_fields.items():
            if field.default is None and "null:" not in (field.description or ""):
                yield f"{section.__name__}.{name}"
            for below in sections_below(field.annotation):
                yield from silent(below)

    assert list(silent(Config)) == []


def sections_below(annotation: Any) -> list[type[BaseModel]]:
    """Also where names of the user's choice stand between."""
    return sections(get_args(annotation)[1] if get_origin(annotation) is dict else annotation)


@pytest.mark.parametrize(
    ("key", "choices"),
    [
        ("level", "One of: debug, info, warning, error."),
        ("transport", "One of: tcp, udp."),
        ("hardware", "One of: amf, cuda, d3d11va"),
        ("mechanism", "One of: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512."),
        ("delivery", "One of: at_least_once, exactly_once."),
    ],
)
def test_a_key_that_takes_one_of_a_few_words_names_them(key: str, choices: str) -> None:
    assert choices in description(key)


def test_null_is_among_the_words_of_a_key_that_may_be_null() -> None:
    assert description("hardware").endswith(", vulkan, null.")


@pytest.mark.parametrize("key", ["workers", "per", "type"])
def test_other_keys_name_no_words(key: str) -> None:
    assert "One of" not in description(key)


def description(key: str) -> str:
    """What stands above the first key of this name, in one line."""
    lines = [re.sub(r"^[# ]*# ", "# ", line) for line in reference().splitlines()]
    at = next(n for n, line in enumerate(lines) if re.match(rf"[# ]*{key}:", line))
    above = list(itertools.takewhile(lambda line: line.startswith("# "), reversed(lines[:at])))
    return " ".join(line.removeprefix("# ") for line in reversed(above))


def test_every_key_has_a_description() -> None:
    def undescribed(section: type[BaseModel]) -> Iterator[str]:
        for name, field in section.model_fields.items():
            if not field.description and name != "type":
                yield f"{section.__name__}.{name}"
            for below in sections_below(field.annotation):
                yield from undescribed(below)

    assert list(undescribed(Config)) == []
