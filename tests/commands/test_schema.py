import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

import configs
from daemon.commands.schema import reference, sections
from daemon.config.load import load
from daemon.config.model import Config

FOLDER = Path(configs.__file__).parent


def test_the_shipped_reference_is_current() -> None:
    assert (FOLDER / "default.yaml").read_text() == reference()


def test_the_reference_is_the_defaults() -> None:
    assert load(FOLDER / "default.yaml") == Config()


SINK = "sinks: {out: {type: stdout}}\n"
CLUSTER = "clusters: {own: {bootstrap_servers: 'broker.example:9092'}}\n"
NEEDED = {"streams": SINK, "clusters": "", "consumers": SINK + CLUSTER, "sinks": CLUSTER}
"""What else a configuration with the section must have."""


@pytest.mark.parametrize("section", NEEDED)
def test_its_examples_load_too(section: str, tmp_path: Path) -> None:
    """Each example, with its comment signs taken off, is what a user would begin with."""
    text = reference()
    lines = text[text.index(f"\n{section}: {{}}\n") :].splitlines()[2:]
    examples = lines[: lines.index("")]
    starts = [index for index, line in enumerate(examples) if re.fullmatch(r"#  \w+:", line)]
    for start, end in zip(starts, [*starts[1:], len(examples)], strict=True):
        entry = "\n".join(line[1:] for line in examples[start:end])
        path = tmp_path / "example.yaml"
        path.write_text(f"{section}:\n{entry}\n{NEEDED[section]}")
        config = load(path)
        assert len(getattr(config, section)) == 1


def test_every_key_has_a_description() -> None:
    def undescribed(section: type[BaseModel]) -> Iterator[str]:
        for name, field in section.model_fields.items():
            if not field.description and name != "type":
                yield f"{section.__name__}.{name}"
            for below in sections(field.annotation):
                yield from undescribed(below)

    assert list(undescribed(Config)) == []
