import logging
import re
from collections.abc import Iterator, Sequence

import aiohttp
import pytest

from daemon.flow.spans import Span, Trace, Tracer
from daemon.logs import AboutFilter, JsonFormatter
from processors.types import Label, Sample
from tests.http.calls import document
from tests.http.conftest import Served
from tests.photos import file_of

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
PATH = "/face-detector-face-fitter/v1/process/sample"
BLOB = "QUFB" * 100
KEY = "visaged_not-for-the-log"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that is logged, with what it is about."""
    ids = AboutFilter()
    caplog.set_level(logging.DEBUG)
    caplog.handler.addFilter(ids)
    yield caplog
    caplog.handler.removeFilter(ids)


def records(log: pytest.LogCaptureFixture, name: str) -> list[logging.LogRecord]:
    return [record for record in log.records if record.name == name]


def about(record: logging.LogRecord) -> object:
    return record.__dict__["about"]


@pytest.mark.parametrize("header", ["X-Request-ID", "X_REQUEST_ID"])
@pytest.mark.parametrize("path", ["/healthz", "/nowhere", PATH])
async def test_an_id_comes_back_and_reaches_the_log(
    client: aiohttp.ClientSession, log: pytest.LogCaptureFixture, header: str, path: str
) -> None:
    async with client.get(path, headers={header: "abc/1~", "traceparent": TRACE}) as response:
        assert response.headers[header] == "abc/1~"
        assert response.headers["traceparent"] == TRACE
    (record,) = records(log, "daemon.http.tracing")
    assert about(record) == {"request_id": "abc/1~", "trace_id": TRACE_ID}
    assert record.getMessage().startswith(f"GET {path} {response.status} ")


async def test_ids_do_not_outlive_their_request(client: aiohttp.ClientSession, log: pytest.LogCaptureFixture) -> None:
    for headers in ({"X-Request-ID": "first", "traceparent": TRACE}, {"X-Request-ID": "second"}):
        async with client.get("/healthz", headers=headers) as response:  # the same connection
            assert response.status == 200
    found = [about(record) for record in records(log, "daemon.http.tracing")]
    assert found == [{"request_id": "first", "trace_id": TRACE_ID}, {"request_id": "second"}]


@pytest.mark.parametrize("value", [None, "", "a b", "a\tb", "é", "x" * 129])
async def test_a_request_without_a_good_id_gets_one(
    client: aiohttp.ClientSession, log: pytest.LogCaptureFixture, value: str | None
) -> None:
    headers = {} if value is None else {"X-Request-ID": value}
    async with client.get("/healthz", headers=headers) as response:
        made = response.headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    (record,) = records(log, "daemon.http.tracing")
    assert about(record) == {"request_id": made}


@pytest.mark.parametrize(
    "value",
    [
        TRACE.upper(),
        TRACE[:-1],
        f"{TRACE}\t",
        f"ff{TRACE[2:]}",
        TRACE.replace(TRACE_ID, "0" * 32),
        "x",
    ],
)
async def test_a_malformed_trace_does_not_come_back(client: aiohttp.ClientSession, value: str) -> None:
    async with client.get("/healthz", headers={"traceparent": value}) as response:
        assert response.headers.get("traceparent") == (TRACE if value.strip() == TRACE else None)


async def test_the_log_has_one_line_a_request_and_no_query(
    client: aiohttp.ClientSession, log: pytest.LogCaptureFixture
) -> None:
    async with client.get("/a%0AINFO b?token=secret") as response:
        assert response.status == 404
    (record,) = records(log, "daemon.http.tracing")
    assert record.getMessage().startswith("GET /a%0AINFO%20b 404 ")
    assert "secret" not in log.text


async def test_probes_are_told_at_debug_alone(client: aiohttp.ClientSession, log: pytest.LogCaptureFixture) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/status"):
        async with client.get(path):
            pass
    lines = {r.getMessage().split()[1]: r.levelname for r in records(log, "daemon.http.tracing")}
    assert lines == {"/healthz": "DEBUG", "/readyz": "DEBUG", "/metrics": "DEBUG", "/status": "INFO"}


class Broken:
    applies_to: Label = "face"
    needs: frozenset[type] = frozenset()
    makes: frozenset[type] = frozenset()

    def __call__(self, samples: Sequence[Sample]) -> None:
        raise RuntimeError("the inside of it")


async def test_an_unexpected_error_is_in_the_log_alone(serve: Served, log: pytest.LogCaptureFixture) -> None:
    sample = document("v1", file_of("astronaut"))
    async with (
        serve(chain_of=lambda _: Broken()) as (_, client),
        client.post(PATH, json=sample, headers={"X-Request-ID": "abc"}) as response,
    ):
        assert (response.status, await response.json()) == (500, {"detail": "Internal Server Error"})
        assert response.headers["X-Request-ID"] == "abc"
    (record,) = records(log, "daemon.http.errors")
    assert (record.levelname, about(record)) == ("ERROR", {"request_id": "abc"})
    assert "the inside of it" in log.text
    assert sample["$image"][:100] not in log.text


async def test_no_image_template_or_key_is_logged(client: aiohttp.ClientSession, log: pytest.LogCaptureFixture) -> None:
    template = {"$image": "!", "objects": [{"template": {"face_template_extractor": BLOB}}]}
    for body in ({"$image": BLOB}, {"$image": BLOB + "!"}, {"$image": [BLOB]}, [BLOB], template):
        async with client.post(PATH, json=body, headers={"Authorization": f"Bearer {KEY}"}) as response:
            assert response.status in (400, 422)
            assert BLOB not in await response.text()
    assert len(records(log, "daemon.http.tracing")) == 5
    written = [log.text, *map(JsonFormatter().format, log.records)]
    assert not [line for line in written if BLOB in line or KEY in line]


async def test_a_request_is_a_span_and_a_fault_of_ours_its_error(serve: Served, log: pytest.LogCaptureFixture) -> None:
    kept: list[Trace] = []

    def roots() -> dict[str, Span]:
        return {span.name: span for trace in kept for span in trace.spans[:1]}

    async with serve(chain_of=lambda _: Broken(), tracer=Tracer(1.0, kept.append)) as (_, client):
        async with client.post(PATH, json=document("v1", file_of("astronaut"))) as response:
            assert response.status == 500
        answered = response.headers["traceparent"]
        async with client.get("/nowhere?token=secret", headers={"traceparent": TRACE}):
            pass
        async with client.request("PURGE", "/nowhere"):
            pass
        async with client.get("/healthz"):
            pass
    assert roots().keys() == {f"POST {PATH}", "GET", "HTTP"}
    broken, nowhere, strange = (roots()[name] for name in (f"POST {PATH}", "GET", "HTTP"))
    assert answered == broken.context.traceparent
    assert [span.error for span in broken.trace.spans] == ["500", None, None, "RuntimeError"]
    assert broken.attributes["http.response.status_code"] == 500
    assert (nowhere.parent_id, nowhere.error) == (TRACE.split("-")[2], None)
    assert nowhere.attributes["url.path"] == "/nowhere"
    assert strange.attributes["http.request.method"] == "_OTHER"
    assert "secret" not in repr([span.attributes for trace in kept for span in trace.spans])
    lines = {record.getMessage().split()[1]: about(record) for record in records(log, "daemon.http.tracing")}
    assert dict(lines[PATH]).items() >= {("trace_id", broken.context.trace_id)}  # type: ignore[call-overload]
