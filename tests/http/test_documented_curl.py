"""The requests of docs/http.md, run by a shell as they stand there."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from tests.http.conftest import Served
from tests.photos import photo_of
from tests.worked import ROOT

SECTION = re.compile(r"^## A request to each service\n(.*?)^## ", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def answers_in(folder: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_bytes()) for path in folder.glob("*.json")}


def commands() -> str:
    (section,) = SECTION.findall((ROOT / "docs" / "http.md").read_text(encoding="utf-8"))
    return "\n".join(SHELL.findall(section))


async def test_the_requests_of_the_page_are_answered(serve: Served, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(photo_of("obama"))
    (tmp_path / "other.jpg").write_bytes(photo_of("obama2"))
    async with serve() as (server, _):
        script = commands().replace("http://127.0.0.1:8080", str(server.url).rstrip("/"))
        shell = await asyncio.create_subprocess_exec("bash", "-euo", "pipefail", "-c", script, cwd=tmp_path)
        assert await shell.wait() == 0
    answers = answers_in(tmp_path)
    made = {name: set(answer["objects"][0]) for name, answer in answers.items()}
    assert made["faces"] == {"id", "class", "confidence", "bbox", "keypoints", "pose"}
    added = {name: members - made["faces"] for name, members in made.items()}
    assert added == {
        "faces": set(),
        "bodies": set(),
        "live": {"liveness"},
        "one": {"template"},
        "two": {"template"},
        "gender": {"gender"},
        "age": {"age"},
        "emotion": {"emotions"},
        "mask": {"has_medical_mask"},
        "liveness": {"liveness"},
        "quality-assessment": {"quality"},
        "template": {"template"},
        "verified": {"template"},
    }
    assert answers["verified"]["verification"]["score"] >= 0.9
