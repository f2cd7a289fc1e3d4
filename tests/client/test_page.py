"""The programs of docs/client.md, run as they stand there."""

import asyncio
import re
import time
from pathlib import Path

import pytest

from daemon.client import NotFound
from daemon.http.services.catalogue import services
from daemon.simulator.camera import Camera
from tests.controlled import Serve, camera, clip, serve
from tests.history.events import event
from tests.http.test_history import KEPT, keep
from tests.photos import photo_of
from tests.waiting import until
from tests.worked import ROOT

__all__ = ["camera", "clip", "serve"]  # fixtures are found by their names here

pytestmark = pytest.mark.slow

PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def programs(url: str, camera_url: str) -> list[str]:
    page = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    page = page.replace("http://127.0.0.1:8080", url).replace("Client()", f"Client({url!r})")
    return PYTHON.findall(page.replace("rtsp://192.0.2.10/stream1", camera_url))


async def ran(program: str) -> None:
    await asyncio.to_thread(exec, compile(program, "docs/client.md", "exec"), {})


async def test_the_programs_of_the_page_do_what_it_says(
    serve: Serve,
    camera: Camera,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("daemon.commands.run.services", services)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(photo_of("obama"))
    (tmp_path / "other.jpg").write_bytes(photo_of("obama2"))
    (tmp_path / "reception.key").write_text("vis_\n")
    async with serve(**KEPT) as daemon:
        assert daemon.app.http is not None
        of_photos, of_a_camera, of_the_history, without_blocking = programs(daemon.app.http.url, camera.url("door"))
        await ran(of_photos)
        age, same = capsys.readouterr().out.splitlines()
        assert 30 < int(age.split()[-1]) < 70
        assert same == "True"
        await keep(daemon, event("left", event_id="t", at=time.time(), jpeg=b"jpeg"))
        await ran(of_the_history)
        assert (tmp_path / "t.jpg").read_bytes() == b"jpeg"
        await ran(without_blocking)
        assert capsys.readouterr().out.splitlines()[:2] == ["1", "2"]
        told = asyncio.create_task(ran(of_a_camera))
        await until(lambda: bool(re.match(r"face \S+ came at 20", capsys.readouterr().out)))
        assert (await daemon("DELETE", "/streams/door")).status == 204
        with pytest.raises(NotFound, match="No stream has the id door"):
            await told
