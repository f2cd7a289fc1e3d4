"""`visaged history` against a daemon."""

import json

import pytest

from daemon.client import history as module
from tests.controlled import Serve, Visaged, beside, serve
from tests.http.test_history import KEPT, MANY, keep

__all__ = ["serve"]  # fixtures are found by their names here


@pytest.fixture
def visaged(capsys: pytest.CaptureFixture[str]) -> Visaged:
    return beside(capsys, "history")


async def test_events_are_listed_by_pages_and_deleted(
    serve: Serve, visaged: Visaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 1)
    async with serve(**KEPT) as client:
        await keep(client, *MANY)

        async def listed(*arguments: str) -> list[str]:
            status, out, _ = await visaged(client, "list", *arguments)
            assert status == 0
            return [json.loads(line)["id"] for line in out.splitlines()]

        assert await listed() == ["c", "b", "a"]
        assert await listed("--limit", "2") == ["c", "b"]
        assert await listed("--stream", "door", "--stream", "yard", "--type", "track", "--class", "face") == ["b", "a"]
        assert await listed("--zone", "till", "--from", "2025-11-24T16:00:00Z") == ["c"]
        assert await visaged(client, "delete", "--to", "2025-11-24T17:00:01+01:00") == (0, "1 events are deleted\n", "")
        status, _, err = await visaged(client, "delete")
        assert (status, "Expected one of stream, type, class, zone, from, to, or all=1" in err) == (1, True)
        assert await visaged(client, "delete", "--all") == (0, "2 events are deleted\n", "")
        assert await listed() == []


async def test_without_a_history_it_is_said_how_to_begin_one(serve: Serve, visaged: Visaged) -> None:
    async with serve() as client:
        status, out, err = await visaged(client, "list")
        assert (status, out) == (1, "")
        assert "404: No history is kept: `history` and `state_dir` of the configuration" in err
