"""Whether and when the demo opens its page in a browser."""

import asyncio
import sys
import webbrowser

import pytest

from daemon.commands.demo.run import HOST, _has_screen, _open_page
from tests.brokers import free_port


@pytest.mark.parametrize(
    ("display", "in_terminal", "has_screen"),
    [
        ({"DISPLAY": ":0"}, True, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True, True),
        ({"DISPLAY": ":0"}, False, False),
        ({"DISPLAY": ""}, True, False),
        ({}, True, False),
    ],
    ids=["X11", "Wayland", "output into a file", "empty", "a server's terminal"],
)
def test_it_is_opened_in_a_terminal_of_a_desktop_alone(
    monkeypatch: pytest.MonkeyPatch, display: dict[str, str], in_terminal: bool, has_screen: bool
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in display.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: in_terminal)
    assert _has_screen() == has_screen


async def test_it_is_opened_once_there_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    port = free_port()
    url = f"http://{HOST}:{port}"
    opening = asyncio.create_task(_open_page(HOST, port, url))
    await asyncio.sleep(0.3)
    assert opened == []
    async with await asyncio.start_server(lambda _, writer: writer.close(), HOST, port):
        await asyncio.wait_for(opening, 5)
    assert opened == [url]
