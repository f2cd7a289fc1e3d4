"""`visaged keys`."""

import json
from pathlib import Path

import pytest

from daemon.config.load import load
from daemon.http.access.keys import KEY, Keys, digest
from tests.commands.conftest import Called


@pytest.mark.parametrize("name", ["wall.1", "no", "e5"])
def test_a_new_key_is_let_in_by_its_line(called: Called, tmp_path: Path, name: str) -> None:
    options = ["--role", "watch", "--role", "metrics", "--stream", "yard-*", "--stream", "[ab]: #"]
    made = called("keys", "new", name, *options)
    key, _, _, line = made.stdout.splitlines()
    assert (made.returncode, made.stderr) == (0, "")
    assert KEY.fullmatch(key)
    assert key not in line
    path = tmp_path / "mine.yaml"
    path.write_text(f"http:\n  keys:\n    {line}\n")
    http = load(path).http
    assert http is not None
    found = Keys(http.keys).find(key)
    assert found is not None
    assert (found.name, found.settings.roles) == (name, ("watch", "metrics"))
    assert found.settings.streams == ("yard-*", "[ab]: #")


def test_a_key_is_kept_in_files_that_a_configuration_takes(called: Called, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    options = ["keys", "new", "wall", "--role", "watch", "--folder", folder]
    made = called(*options)
    assert (made.returncode, made.stderr) == (0, "")
    key = (folder / "wall.key").read_text().strip()
    assert KEY.fullmatch(key)
    assert key not in made.stdout
    assert [(folder / name).stat().st_mode & 0o777 & ~0o640 for name in ("wall.key", "wall.sha256")] == [0, 0]
    path = tmp_path / "mine.yaml"
    path.write_text(f"http: {{keys: {{wall: {{sha256: '${{file:{folder}/wall.sha256}}', roles: [watch]}}}}}}")
    http = load(path).http
    assert http is not None
    assert Keys(http.keys).find(key) is not None
    assert called(*options).stdout == f"{folder}/wall.key is there, and stays\n"
    assert (folder / "wall.key").read_text().strip() == key


def test_a_hash_without_its_key_is_made_anew(called: Called, tmp_path: Path) -> None:
    (tmp_path / "wall.sha256").write_text("of a start that was cut off")
    called("keys", "new", "wall", "--role", "watch", "--folder", tmp_path)
    assert (tmp_path / "wall.sha256").read_text().strip() == digest((tmp_path / "wall.key").read_text().strip())


def test_a_folder_that_cannot_be_written_to(called: Called, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    made = called("keys", "new", "wall", "--role", "watch", "--folder", tmp_path / "file")
    assert (made.returncode, made.stderr) == (
        2,
        f"--folder: {tmp_path}/file: the key can't be written: File exists\n",
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("a:b --role query", "NAME: expected letters, digits, `.`, `_` and `-`, a letter first, got 'a:b'\n"),
        ("a --role querry", "--role: unknown role querry; did you mean query?\n"),
    ],
)
def test_mistakes(called: Called, arguments: str, said: str) -> None:
    made = called("keys", "new", *arguments.split())
    assert (made.returncode, made.stdout, made.stderr) == (2, "", said)


def test_a_list(called: Called, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"""
http:
  keys:
    grafana: {{sha256: "{"0a" * 32}", roles: [metrics, query], streams: [], rate: 0.5}}
    wall: {{sha256: "{"1b" * 32}", roles: [watch], concurrent: 4}}
"""
    )
    assert called("keys", "list", path).stdout.splitlines() == [
        "name     roles          streams  rate  concurrent  sha256",
        "grafana  metrics,query  -        0.5   -           0a0a0a0a0a0a",
        "wall     watch          *        -     4           1b1b1b1b1b1b",
    ]
    grafana, wall = json.loads(called("keys", "list", "--json", path).stdout)
    assert grafana["sha256"] == "0a" * 32
    assert wall == {
        "name": "wall",
        "roles": ["watch"],
        "streams": ["*"],
        "rate": None,
        "concurrent": 4,
        "sha256": "1b" * 32,
    }
    path.write_text("http: {}")
    assert called("keys", "list", path).stdout.splitlines() == ["name  roles  streams  rate  concurrent  sha256"]
