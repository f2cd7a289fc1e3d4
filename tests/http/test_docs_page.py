"""The page of the API, in a real browser that keeps to its policy."""

import asyncio

import pytest
from playwright.sync_api import ConsoleMessage, Request, sync_playwright

from daemon.http.openapi.published import FOLDER, POLICY
from tests.http.conftest import Served
from tests.http.test_connections import gate

CHROMIUM = "/usr/bin/chromium"


def look(url: str) -> None:
    """Opens the page and makes a request on it; nothing is asked of others, and the console has nothing."""
    asked: list[str] = []
    told: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        told.append(message.text)

    def see(request: Request) -> None:
        asked.append(request.url)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", hear)
        page.on("request", see)
        page.goto(f"{url}/docs")
        operation = page.locator("#operations-healthz-get_healthz")
        operation.locator(".opblock-summary-control").click()
        operation.locator(".try-out__btn").click()
        operation.locator(".execute").click()
        answer = operation.locator(".live-responses-table")
        answer.wait_for()
        assert '"status": "ok"' in answer.inner_text()
        browser.close()
    assert f"{url}/healthz" in asked
    assert [other for other in asked if not other.startswith(f"{url}/")] == []
    assert told == []


async def test_requests_are_made_on_the_page(serve: Served) -> None:
    async with serve(chain_of=lambda _: gate()) as (server, _):
        await asyncio.to_thread(look, server.url)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/docs", "text/html"), ("/docs/docs.js", "text/javascript"), ("/docs/swagger-ui.css", "text/css")],
)
async def test_its_files_come_from_here_and_run_nothing_of_others(serve: Served, path: str, kind: str) -> None:
    async with serve(chain_of=lambda _: gate()) as (_, client), client.get(path) as response:
        assert (response.status, response.content_type) == (200, kind)
        assert response.headers["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY


async def test_nothing_else_is_served_of_their_folder(serve: Served) -> None:
    assert (FOLDER / "swagger-ui.LICENSE").exists()
    async with serve(chain_of=lambda _: gate()) as (_, client):
        for name in ("swagger-ui.LICENSE", "nothing.js", "..%2fdocument.py"):
            async with client.get(f"/docs/{name}") as response:
                assert response.status == 404
