"""What a webhook sends, and what it makes of each answer."""

import base64
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from daemon.wire.cloudevents import cloud_event
from sinks.base import Record, SinkError
from sinks.webhook import WebhookSink, signature
from sinks.webhook_settings import WebhookSettings, key_of
from tests.http.access.calls import CERTIFICATE, PRIVATE_KEY
from tests.sinks.receiver import Answer, Receiver
from tests.worked import ROOT

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105
HEADERS = (
    *(("content-type", b"application/json"), ("schema_id", b"visaged.frame"), ("ce_specversion", b"1.0")),
    *(("ce_id", b"run-3"), ("ce_source", b"/streams/a%22b"), ("ce_type", b"visaged.frame"), ("traceparent", b"00-1")),
)


def record(value: bytes, smaller: bytes | None = None) -> Record:
    return Record("door", value, HEADERS, smaller=smaller)


Make = Callable[..., WebhookSink]


@pytest.fixture
async def make(receiver: Receiver) -> AsyncIterator[Make]:
    """Makes a sink that is open."""
    made: list[WebhookSink] = []

    def make(**settings: Any) -> WebhookSink:
        made.append(WebhookSink(WebhookSettings(**{"type": "webhook", "url": receiver.url, **settings})))
        return made[-1]

    yield make
    for sink in made:
        await sink.close()


async def failure(sink: WebhookSink, *records: Record) -> SinkError:
    await sink.open()
    with pytest.raises(SinkError) as caught:
        await sink.write(records)
    return caught.value


async def test_a_document_is_the_body_and_its_attributes_are_headers(make: Make, receiver: Receiver) -> None:
    sink = make(headers={"Authorization": "Bearer token"})
    await sink.open()
    await sink.write([record(b'{"objects": []}')])
    (request,) = receiver.requests
    assert request.body == b'{"objects": []}'
    assert request.path == "/hook"
    assert {name: request.headers[name] for name in ("Content-Type", "Authorization", "ce-id", "ce-source")} == {
        "Content-Type": "application/json",
        "Authorization": "Bearer token",
        "ce-id": "run-3",
        "ce-source": "/streams/a%22b",
    }
    assert request.headers["traceparent"] == "00-1"
    assert "webhook-signature" not in request.headers


async def test_a_batch_is_a_list_even_of_one(make: Make, receiver: Receiver) -> None:
    sink = make(batch=2)
    await sink.open()
    await sink.write([record(b"%d" % number) for number in range(3)])
    assert receiver.taken == [b"[0,1]", b"[2]"]
    assert all("ce-id" not in request.headers for request in receiver.requests)


@pytest.mark.parametrize(
    ("batch", "kind"), [(1, "application/cloudevents+json"), (2, "application/cloudevents-batch+json")]
)
async def test_cloudevents_in_structured_mode(make: Make, receiver: Receiver, batch: int, kind: str) -> None:
    sink = make(format="cloudevents", batch=batch)
    await sink.open()
    document = {"objects": [], "stream": {"id": 'a"b'}}
    await sink.write([record(cloud_event(HEADERS, json.dumps(document).encode()))])
    (request,) = receiver.requests
    assert request.headers["Content-Type"] == kind
    event = json.loads(request.body) if batch == 1 else json.loads(request.body)[0]
    assert event == {
        "specversion": "1.0",
        "id": "run-3",
        "source": "/streams/a%22b",
        "type": "visaged.frame",
        "traceparent": "00-1",
        "datacontenttype": "application/json",
        "data": document,
    }


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    ident, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
    key = key_of(WebhookSettings(type="webhook", url="http://a", secret=SECRET).secret)  # type: ignore[arg-type]
    assert signature(key, ident, "1614265330", body) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_the_page_verifies_what_is_sent(make: Make, receiver: Receiver) -> None:
    """By the ten lines of docs/outputs.md."""
    page = (ROOT / "docs" / "outputs.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    shown: dict[str, Any] = {}
    exec(program, shown)  # noqa: S102
    is_ours = shown["is_ours"]
    sink = make(secret=SECRET, batch=2)
    await sink.open()
    await sink.write([record(b"1"), record(b"2")])
    (request,) = receiver.requests
    assert is_ours(request.headers, request.body, SECRET)
    assert not is_ours(request.headers, request.body + b" ", SECRET)
    assert not is_ours(request.headers, request.body, f"whsec_{base64.b64encode(b'another key' * 3).decode()}")
    old = {**request.headers, "webhook-timestamp": str(int(time.time()) - 301)}
    assert not is_ours(old, request.body, SECRET)


async def test_what_is_sent_again_has_the_same_id_and_something_else_another(make: Make, receiver: Receiver) -> None:
    sink = make()
    receiver.answers.append(Answer(503))
    error = await failure(sink, record(b"1"), record(b"2"))
    await sink.write(error.unwritten)
    first, again, second = (request.headers["webhook-id"] for request in receiver.requests)
    assert first == again != second


@pytest.mark.parametrize("status", [301, 304, 401, 403, 404, 405, 408, 410, 415, 425, 429, 500, 502, 503, 599])
async def test_what_may_pass_is_tried_again_from_where_it_was(make: Make, receiver: Receiver, status: int) -> None:
    sink = make()
    receiver.answers.extend([Answer(200), Answer(status, {"Location": "/elsewhere"})])
    first, second, third = (record(b"%d" % number) for number in range(3))
    error = await failure(sink, first, second, third)
    assert error.retriable
    assert (error.unwritten, error.refused) == ((second, third), ())
    assert str(status) in str(error)
    assert "/hook" not in str(error)  # a path may be a secret
    await sink.write(error.unwritten)
    assert receiver.taken == [b"0", b"1", b"2"]


@pytest.mark.parametrize("status", [400, 409, 422])
async def test_the_document_that_is_wrong_is_found_and_the_others_arrive_in_order(
    make: Make, receiver: Receiver, status: int
) -> None:
    sink = make(batch=3)
    receiver.answers.extend([Answer(status), Answer(200), Answer(status)])
    first, wrong, third, fourth = (record(b"%d" % number) for number in range(4))
    error = await failure(sink, first, wrong, third, fourth)
    assert (error.unwritten, error.refused) == ((), ((wrong, "refused by the receiver"),))
    assert receiver.taken == [b"[0]", b"[2]", b"[3]"]


async def test_what_is_too_large_goes_in_smaller_batches_then_alone_then_without_pictures(
    make: Make, receiver: Receiver
) -> None:
    receiver.most_bytes = 100
    sink = make(batch=10)
    small = [record(b"%d" % number + b"." * 28) for number in range(6)]
    with_picture, too_large = record(b"p" * 200, smaller=b"without"), record(b"l" * 200, smaller=b"l" * 150)
    error = await failure(sink, *small, with_picture, too_large, record(b"last"))
    assert (error.unwritten, error.refused) == ((), ((too_large, "too large"),))
    taken = b"".join(receiver.taken).replace(b"][", b",").strip(b"[]").split(b",")
    assert taken == [*(one.value for one in small), b"without", b"last"]
    assert sink.counts == {"without_pictures": 1}
    assert len(receiver.requests) < 16


def http_date(seconds: float) -> str:
    """So many from now."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (lambda: "7", 7),
        (lambda: http_date(100), pytest.approx(100, abs=60)),
        (lambda: http_date(-100), 0),
        (lambda: "soon", 0),
        (lambda: "-3", 0),
        (lambda: "9" * 40, 999_999_999),
        (lambda: "Fri, 31 Dec 99999 23:59:59 GMT", 0),
    ],
    ids=["seconds", "a later time", "an earlier time", "a word", "a negative number", "for ever", "beyond all years"],
)
async def test_retry_after(make: Make, receiver: Receiver, said: Callable[[], str], seconds: object) -> None:
    receiver.answers.append(Answer(429, {"Retry-After": said()}))
    error = await failure(make(), record(b"1"))
    assert error.retry_after == seconds


async def test_a_redirect_on_the_same_host_is_followed(make: Make, receiver: Receiver) -> None:
    receiver.answers.extend([Answer(308, {"Location": "/new"}), Answer(307, {"Location": f"{receiver.url}/newer"})])
    sink = make()
    await sink.open()
    await sink.write([record(b"1")])
    assert [request.path for request in receiver.requests] == ["/hook", "/new", "/hook/newer"]
    assert receiver.taken == [b"1"]


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.2:{port}/", "http://127.0.0.1:1/", "//other.example/", "http://[", "", "ftp://127.0.0.1/"],
)
async def test_no_other_is_followed(make: Make, receiver: Receiver, location: str) -> None:
    receiver.answers.append(Answer(307, {"Location": location.format(port=receiver.port)}))
    error = await failure(make(), record(b"1"))
    assert error.retriable
    assert "redirects to another host" in str(error)
    assert len(receiver.requests) == 1


async def test_redirects_that_go_round_end(make: Make, receiver: Receiver) -> None:
    receiver.answers.extend([Answer(307, {"Location": "/hook"})] * 10)
    error = await failure(make(), record(b"1"))
    assert error.retriable
    assert len(receiver.requests) == 4


async def test_cookies_are_not_kept(make: Make, receiver: Receiver) -> None:
    receiver.answers.append(Answer(200, {"Set-Cookie": "session=1"}))
    sink = make()
    await sink.open()
    await sink.write([record(b"1"), record(b"2")])
    assert ["Cookie" in request.headers for request in receiver.requests] == [False, False]


async def test_no_answer_in_time(make: Make, receiver: Receiver) -> None:
    receiver.reads.clear()
    error = await failure(make(timeout=0.05), record(b"1"))
    assert error.retriable
    assert str(error) == f"http://127.0.0.1:{receiver.port}: no answer in time"
    receiver.reads.set()


async def test_nobody_there(make: Make, receiver: Receiver) -> None:
    await receiver.stop()
    error = await failure(make(), record(b"1"))
    assert str(error) == f"http://127.0.0.1:{receiver.port}: connection refused"


@pytest.fixture
async def with_tls() -> AsyncIterator[Receiver]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE, PRIVATE_KEY)
    receiver = Receiver(context)
    await receiver.start()
    yield receiver
    await receiver.stop()


async def test_a_certificate_must_be_trusted(make: Make, with_tls: Receiver) -> None:
    error = await failure(make(url=with_tls.url), record(b"1"))
    assert error.retriable
    assert "its certificate is not trusted" in str(error)
    sink = make(url=with_tls.url, tls={"ca": CERTIFICATE})
    await sink.open()
    await sink.write([record(b"1")])
    assert with_tls.taken == [b"1"]


async def test_https_where_http_is_spoken(make: Make, receiver: Receiver) -> None:
    error = await failure(make(url=receiver.url.replace("http", "https")), record(b"1"))
    assert error.retriable
    assert "does not speak TLS" in str(error)


async def test_certificates_that_are_not_there_end_it(make: Make, tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="No such file") as caught:
        await make(url="https://127.0.0.1", tls={"ca": tmp_path / "none.pem"}).open()
    assert not caught.value.retriable


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "ftp://a/b"}, "expected http://host/path"),
        ({"url": "https:///b"}, "expected http://host/path"),
        ({"url": "https://user:pass@a/b"}, "without a login"),
        ({"secret": "hunter2"}, "expected whsec_"),
        ({"secret": "whsec_" + base64.b64encode(b"short").decode()}, "24 to 64 bytes"),
        ({"secret": "whsec_*"}, "expected whsec_"),
        ({"headers": {"Content-type": "text/plain"}}, "content-type"),
        ({"batch": 0}, "greater than or equal to 1"),
    ],
)
def test_mistakes(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)) as caught:
        WebhookSettings(**{"type": "webhook", "url": "http://a", **settings})
    told = caught.value.errors()[0]["msg"]  # which is what daemon/config/explain.py shows
    assert "hunter2" not in told
    assert "pass@" not in told


def test_neither_templates_nor_pictures_leave_by_default() -> None:
    assert WebhookSettings(type="webhook", url="http://a").include == ()
