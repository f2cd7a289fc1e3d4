"""The page's files as they are served, and what it asks for; tests/http/web/test_browser.py looks at it."""

import re
from pathlib import Path

import aiohttp
import pytest

from daemon.http.web.page import FOLDER, POLICY, TYPES
from tests.controlled import Serve, camera, clip, door, serve
from tests.http.access.calls import KEYS, bearer, settings_of
from tests.http.test_events import guarded
from tests.waiting import until

__all__ = ["camera", "clip", "serve"]  # fixtures are found by their names here

BROWSER = {"Accept": "text/html,application/xhtml+xml"}
FILES = sorted(path for path in FOLDER.rglob("*") if path.suffix in TYPES)
IMPORT = re.compile(r'^(?:import|export)[^"\n]* from "([^"]+)"|(?:src|href)="(/web/[^"]+)"', re.MULTILINE)


async def get(url: str, **headers: str) -> tuple[aiohttp.ClientResponse, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response, await response.text()


async def test_a_browser_gets_the_page_and_curl_a_text(serve: Serve) -> None:
    async with serve(keys={"any": settings_of(KEYS["watch"], ["watch"])}) as call:
        assert call.app.http is not None
        page, text = await get(f"{call.app.http.url}/", **BROWSER)
        assert (page.status, page.content_type, page.headers["Content-Security-Policy"]) == (200, "text/html", POLICY)
        assert '<script type="module" src="/web/main.js">' in text
        plain, words = await get(f"{call.app.http.url}/")
        assert (plain.status, plain.content_type) == (200, "text/plain")
        assert "open it in a browser" in words


@pytest.mark.parametrize("unsafe", ["unsafe-inline", "unsafe-eval", "*", "http", "data:"])
def test_the_policy_lets_in_nothing_of_others(unsafe: str) -> None:
    assert unsafe not in POLICY
    assert "default-src 'none'" in POLICY
    assert "frame-ancestors 'none'" in POLICY


async def test_files_are_kept_until_they_change(serve: Serve) -> None:
    async with serve() as call:
        assert call.app.http is not None
        url = f"{call.app.http.url}/web/vendor/uPlot.js"
        file, text = await get(url)
        assert file.headers["Content-Encoding"] == "gzip"
        assert text == (FOLDER / "vendor" / "uPlot.js").read_text(encoding="utf-8")
        assert file.headers["X-Content-Type-Options"] == "nosniff"
        again, nothing = await get(url, **{"If-None-Match": file.headers["ETag"]})
        assert (again.status, nothing) == (304, "")
        plain, same = await get(url, **{"Accept-Encoding": "identity"})
        assert (plain.headers.get("Content-Encoding"), same) == (None, text)
        for absent in ("page.py", "vendor/preact.LICENSE", "../server.py", "%2e%2e/server.py", "tsconfig.json"):
            assert (await call("GET", f"/web/{absent}")).status == 404


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_asks_for_files_of_this_daemon_alone(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.parent == FOLDER:
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)\w|innerHTML|\beval\(|new Function", text)
    for relative, absolute in IMPORT.findall(text) if path.suffix in (".js", ".html") else ():
        target = FOLDER / absolute.removeprefix("/web/") if absolute else path.parent / relative
        assert target.is_file(), target


async def test_each_role_sees_of_the_streams_what_it_may(serve: Serve) -> None:
    given = {
        "wall": settings_of(KEYS["watch"], ["watch"], streams=["filed"]),
        "graphs": settings_of(KEYS["metrics"], ["metrics"]),
        "asks": settings_of(KEYS["query"], ["query"]),
        "all": settings_of(KEYS["control"], ["control", "watch"]),
    }
    async with serve(**guarded(**given)) as call:
        rows = {
            role: (await call("GET", "/overview", **bearer(KEYS[role]))).body
            for role in ("watch", "metrics", "query", "control")
        }
        assert (await call("GET", "/overview")).status == 401
    watch, metrics, query, control = (rows[role] for role in ("watch", "metrics", "query", "control"))
    assert watch["caller"] == {"name": "wall", "roles": ["watch"]}
    (seen,) = watch["streams"]
    assert (seen["id"], seen["roles"], seen["status"], seen["error"]) == ("filed", ["watch"], None, None)
    (figures,) = metrics["streams"]
    assert figures["roles"] == []
    assert figures["status"]["state"] == figures["state"]
    assert query["streams"] == []
    assert (control["can_add"], watch["can_add"]) == (True, False)
    assert control["streams"][0]["roles"] == ["watch", "control"]


async def test_what_is_shown_of_a_stream_that_runs(serve: Serve, camera) -> None:  # type: ignore[no-untyped-def]
    async with serve() as call:
        assert (await call("PUT", "/streams/door", door(camera, name="Haustür", tracking={}))).status == 201
        await until(lambda: call.state() == "running")
        (shown,) = (row for row in (await call("GET", "/overview")).body["streams"] if row["id"] == "door")
    assert (shown["name"], shown["origin"], shown["state"]) == ("Haustür", "run-time", "running")
    assert (shown["width"], shown["height"]) == (320, 180)
    assert (shown["tracks"], shown["events"]) == (True, False)
    assert shown["status"]["frames"]["received"] > 0
