"""`visaged schema`: what it prints, and the files that it writes."""

import json
from pathlib import Path

import jsonschema_rs
import pytest

from daemon.cli import SCHEMAS, main
from daemon.commands.published import published
from daemon.commands.schema import reference
from tests.wire.test_schemas import FOLDER


@pytest.mark.parametrize("words", [["schema"], ["schema", "config"]])
def test_the_configuration_is_printed_with_or_without_its_name(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out == reference()


@pytest.mark.parametrize("what", [what for what in SCHEMAS if what not in ("config", "markdown")])
def test_everything_else_is_json(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", what]) == 0
    assert json.loads(capsys.readouterr().out)


def test_the_bundle_has_each_schema_by_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    main(["schema", "documents"])
    bundle = json.loads(capsys.readouterr().out)
    (urn,) = (urn for urn in bundle["$defs"] if ":track:" in urn)
    event = bundle | {"$ref": urn}
    assert not jsonschema_rs.Draft202012Validator(event).is_valid({"event": "left"})
    assert jsonschema_rs.Draft202012Validator(bundle).is_valid({"event": "left"})


def test_the_files_are_those_of_the_docs(tmp_path: Path) -> None:
    assert main(["schema", "write", str(tmp_path / "new")]) == 0
    written = {path.name: path.read_text() for path in (tmp_path / "new").iterdir()}
    assert written.keys() == published().keys()
    assert written == {name: (FOLDER / name).read_text() for name in written}


def test_a_folder_that_cannot_be_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["schema", "write", str(tmp_path / "file")]) == 2
    assert f"{tmp_path / 'file'}: the schemas can't be written" in capsys.readouterr().err
