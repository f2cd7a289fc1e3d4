"""`visaged schema register` against a server that keeps to the API of Confluent's registry."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest

from daemon.cli import main
from daemon.wire.schemas.documents import documents

SUBJECTS = {"visaged.frame": "document", "visaged.track": "track", "visaged.place": "place"}


class Asked(NamedTuple):
    method: str
    path: str
    body: Any
    authorization: str | None


class Registry(ThreadingTCPServer):
    """Gives ids, the same for the same schema; `refuses` is what it says to a new one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[Asked] = []
        self.schemas: list[str] = []
        self.refuses: tuple[int, bytes] | None = None
        self.moved_to: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/apis/ccompat/v7"


class _Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_PUT(self) -> None:
        self._answer(200, json.dumps({"compatibility": self._read()["compatibility"]}).encode())

    def do_POST(self) -> None:
        schema = self._read()["schema"]
        if self.server.refuses is not None:
            return self._answer(*self.server.refuses)
        if schema not in self.server.schemas:
            self.server.schemas.append(schema)
        return self._answer(200, b'{"id": %d}' % (self.server.schemas.index(schema) + 1))

    def log_message(self, *_: Any) -> None:
        pass

    def _read(self) -> Any:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Content-Type"] == "application/vnd.schemaregistry.v1+json"
        self.server.asked.append(Asked(self.command, unquote(self.path), body, self.headers["Authorization"]))
        return body

    def do_GET(self) -> None:
        self.server.asked.append(Asked(self.command, self.path, None, self.headers["Authorization"]))
        self._answer(200, b"{}")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if self.server.moved_to is not None:
            self.send_header("Location", self.server.moved_to)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def running() -> Iterator[Registry]:
    with Registry() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def registry() -> Iterator[Registry]:
    with running() as server:
        yield server


def test_the_schemas_of_values_are_registered_by_their_names(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", "register", "--registry", registry.url]) == 0
    assert [(one.method, one.path) for one in registry.asked] == [
        way
        for subject in SUBJECTS
        for way in (
            ("PUT", f"/apis/ccompat/v7/config/{subject}"),
            ("POST", f"/apis/ccompat/v7/subjects/{subject}/versions"),
        )
    ]
    bodies = [one.body for one in registry.asked]
    assert bodies[::2] == [{"compatibility": "FORWARD_TRANSITIVE"}] * len(SUBJECTS)
    assert {body["schemaType"] for body in bodies[1::2]} == {"JSON"}
    published = documents()
    assert [json.loads(body["schema"]) for body in bodies[1::2]] == [
        published[f"{name}-2.1.json"] for name in SUBJECTS.values()
    ]
    assert capsys.readouterr().out == "".join(f"{subject} {number}\n" for number, subject in enumerate(SUBJECTS, 1))
    assert main(["schema", "register", "--registry", f"{registry.url}/"]) == 0
    assert len(registry.schemas) == len(SUBJECTS)


def test_a_password_comes_from_a_file_and_the_level_can_be_chosen(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    login = ["--user", "me", "--password-file", str(tmp_path / "password")]
    assert main(["schema", "register", "--registry", registry.url, *login, "--compatibility", "NONE"]) == 0
    assert {one.authorization for one in registry.asked} == {"Basic bWU6aHVudGVyMg=="}
    assert registry.asked[0].body == {"compatibility": "NONE"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_login_is_not_taken_to_where_a_redirect_leads(
    registry: Registry, capsys: pytest.CaptureFixture[str], tmp_path: Path, status: int
) -> None:
    (tmp_path / "password").write_text("hunter2")
    login = ["--user", "me", "--password-file", str(tmp_path / "password")]
    with running() as elsewhere:
        registry.refuses, registry.moved_to = (status, b""), f"{elsewhere.url}/subjects"
        assert main(["schema", "register", "--registry", registry.url, *login]) == 1
        assert elsewhere.asked == []
        assert f"{status}: it leads to '{elsewhere.url}/subjects'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (409, b'{"error_code": 409, "message": "Schema being registered is incompatible"}', "409: Schema being"),
        (500, b"<html>", "500: <html>"),
        (200, b"<html>", "is it a registry?"),
        (200, b"{}", "KeyError: 'id'): is it a registry?"),
        (200, b'{"id": "1"}', "expected the schema's id, got str): is it a registry?"),
    ],
)
def test_what_it_refuses_is_told(
    registry: Registry, capsys: pytest.CaptureFixture[str], status: int, body: bytes, told: str
) -> None:
    registry.refuses = (status, body)
    assert main(["schema", "register", "--registry", registry.url]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["http://127.0.0.1:1"], 1, "no answer"),
        (["127.0.0.1:8081"], 2, "--registry: expected http://"),
        (["http://me:secret@127.0.0.1:8081"], 2, "without a key or password in it"),
        (["http://127.0.0.1:1", "--user", "me"], 2, "--user and --password-file together"),
        (["http://127.0.0.1:1", "--user", "me", "--password-file", "/nowhere"], 2, "cannot read /nowhere"),
    ],
)
def test_mistakes_are_told(capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, told: str) -> None:
    assert main(["schema", "register", "--registry", *arguments]) == status
    error = capsys.readouterr().err
    assert told in error
    assert "secret" not in error
