"""What goes to an MQTT broker, and what is made of each thing that it may do."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sinks.base import About, Record, SinkError
from sinks.mqtt import MqttSink
from tests.brokers import Proxy, free_port, proxy
from tests.http.access.calls import CERTIFICATE, PRIVATE_KEY
from tests.mqtt import PASSWORD, USER, Listener, Mosquitto, listening, mosquitto, mqtt_settings
from tests.waiting import until

DOCUMENTS = "visaged/documents/#"


def record(value: bytes, stream: str = "door", schema: str = "visaged.frame", smaller: bytes | None = None) -> Record:
    headers = (("content-type", b"application/json"), ("ce_id", b"run-3"), ("schema_version", b"2.1"))
    return Record(stream, value, headers, smaller=smaller, about=About(schema))


Make = Callable[..., MqttSink]


@pytest.fixture
async def make(broker: Mosquitto) -> AsyncIterator[Make]:
    made: list[MqttSink] = []

    def make(port: int | None = None, **settings: Any) -> MqttSink:
        made.append(MqttSink(mqtt_settings(port or broker.port, **settings)))
        return made[-1]

    yield make
    for sink in made:
        await sink.close()


@pytest.fixture
async def listener(broker: Mosquitto) -> AsyncIterator[Listener]:
    async with listening(broker.port, DOCUMENTS) as listener:
        yield listener


@pytest.fixture
async def between(broker: Mosquitto) -> AsyncIterator[Proxy]:
    async with proxy(broker.address, free_port()) as between:
        yield between


def port_of(between: Proxy) -> int:
    return int(between.address.rpartition(":")[2])


async def failure(sink: MqttSink, *records: Record) -> SinkError:
    with pytest.raises(SinkError) as caught:
        await sink.write(records)
    return caught.value


@pytest.mark.parametrize(
    ("stream", "schema", "topic"),
    [
        ("door", "visaged.frame", "visaged/documents/door/frame"),
        ("Front door", "visaged.track", "visaged/documents/Front door/track"),
        ("a/b+c#d%", "visaged.place", "visaged/documents/a%2Fb%2Bc%23d%25/place"),
        ("\u043a\u0430\u043c", "", "visaged/documents/\u043a\u0430\u043c/other"),
    ],
)
async def test_a_stream_has_topics_of_its_own(
    make: Make, listener: Listener, stream: str, schema: str, topic: str
) -> None:
    sink = make()
    await sink.write([record(b"{}", stream, schema)])
    await listener.quiet()
    (message,) = listener.heard
    assert (message.topic, message.payload, message.retain) == (topic, b"{}", False)


async def test_what_it_is_stands_beside_it(make: Make, listener: Listener) -> None:
    await make().write([record(b"{}")])
    await listener.quiet()
    (message,) = listener.heard
    assert message.content_type == "application/json"
    assert dict(message.properties) == {"id": "run-3", "schema_version": "2.1"}


async def test_what_the_broker_refuses_is_not_taken_for_written(make: Make, tmp_path: Path) -> None:
    """An acknowledgement may say no: here the broker's rules do not let the user write."""
    rules = tmp_path / "rules"
    rules.write_text("topic read #\ntopic write visaged/documents/yard/frame\n", encoding="utf-8")
    rules.chmod(0o700)
    with mosquitto(tmp_path, ["allow_anonymous true", f"acl_file {rules}"]) as strict:
        async with listening(strict.port, DOCUMENTS) as listener:
            sink = make(strict.port)
            good, bad, later = record(b"1", "yard"), record(b"2"), record(b"3", "yard")
            error = await failure(sink, good, bad, later)
            assert error.retriable
            assert error.unwritten == (bad, later)
            assert "not authorized" in str(error)
            await listener.quiet()
            assert listener.heard[0].payload == b"1"


@pytest.fixture(scope="module")
def with_login(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("login")
    passwords = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, USER, PASSWORD], check=True, stderr=subprocess.DEVNULL)
    passwords.chmod(0o644)
    with mosquitto(folder, ["allow_anonymous false", f"password_file {passwords}"]) as broker:
        yield broker


async def test_login(make: Make, with_login: Mosquitto) -> None:
    sink = make(with_login.port, username=USER, password=PASSWORD)
    await sink.write([record(b"1")])
    wrong = make(with_login.port, username=USER, password="hunter2", client_id="other")  # noqa: S106
    error = await failure(wrong, record(b"1"))
    assert error.retriable
    assert str(error) == f"{with_login.address}: it does not allow that to this user"


async def test_tls(make: Make, tmp_path: Path) -> None:
    with mosquitto(
        tmp_path, ["allow_anonymous true", f"certfile {CERTIFICATE}", f"keyfile {PRIVATE_KEY}"]
    ) as encrypted:
        await make(encrypted.port, tls={"ca": CERTIFICATE}).write([record(b"1")])
        error = await failure(make(encrypted.port, tls={}), record(b"1"))
        assert error.retriable
        assert "its certificate is not trusted" in str(error)
        error = await failure(make(encrypted.port, timeout=1.0), record(b"1"))
        assert error.retriable


async def test_tls_where_there_is_none(make: Make) -> None:
    error = await failure(make(tls={}), record(b"1"))
    assert error.retriable


async def test_certificates_that_are_not_there_end_it(make: Make, tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"the certificates for .*: cannot read /.*/none.pem: No such file") as caught:
        await make(tls={"ca": tmp_path / "none.pem"}).open()
    assert not caught.value.retriable


async def test_the_broker_says_how_large_a_document_may_be(make: Make, tmp_path: Path) -> None:
    with mosquitto(tmp_path, ["allow_anonymous true", "max_packet_size 2000"]) as small:
        async with listening(small.port, DOCUMENTS) as listener:
            sink = make(small.port)
            first, last = record(b"first"), record(b"last")
            with_picture, too_large = record(b"p" * 2000, smaller=b"without"), record(b"l" * 2000)
            error = await failure(sink, first, with_picture, too_large, last)
            assert (error.unwritten, error.refused) == ((), ((too_large, "too large"),))
            await listener.quiet()
            assert [message.payload for message in listener.heard] == [b"first", b"without", b"last"]
            assert sink.counts == {"without_pictures": 1}
            assert ("visaged-without-pictures", "true") in listener.heard[1].properties


async def test_of_two_clients_of_one_name_each_ends_the_other(make: Make) -> None:
    first, second = make(), make()
    await first.write([record(b"1")])
    await second.write([record(b"2")])
    await until(lambda: first.error is not None)
    assert "another client" in (first.error or "")
    await first.write([record(b"3")])  # and makes a new one


async def test_after_a_lost_connection_all_that_was_not_acknowledged_comes_again_in_order(
    make: Make, between: Proxy, listener: Listener
) -> None:
    sink = make(port_of(between), timeout=0.5)
    await sink.write([record(b"0")])
    between.mute()  # what is sent arrives, and the acknowledgements do not
    left = [record(b"%d" % number) for number in range(1, 50)]
    error = await failure(sink, *left)
    assert list(error.unwritten) == left
    assert str(error).endswith("no answer in time")
    between.cut()
    await between.restore()
    await sink.write(error.unwritten)
    await listener.quiet()
    heard = [int(message.payload) for message in listener.heard]
    again = heard.index(1, heard.index(1) + 1)
    assert heard[:again] == list(range(again))
    assert heard[again:] == list(range(1, 50))


async def test_a_broker_that_is_restarted(make: Make, tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker:
        sink = make(broker.port)
        await sink.write([record(b"1")])
        broker.kill()
        error = await failure(sink, record(b"2"))
        assert error.retriable
        error = await failure(sink, record(b"2"))
        assert str(error) == f"{broker.address}: connection refused"
        broker.start()
        async with listening(broker.port, DOCUMENTS) as listener:
            await sink.write(error.unwritten)
            await listener.quiet()
            assert [message.payload for message in listener.heard] == [b"2"]


async def test_a_broker_that_takes_connections_and_says_nothing(make: Make, between: Proxy) -> None:
    between.stall()
    before = asyncio.all_tasks()
    sink = make(port_of(between), timeout=0.1)
    error = await failure(sink, record(b"1"))
    assert str(error) == f"{between.address}: no answer in time"
    opening = asyncio.create_task(make(port_of(between)).open())
    await asyncio.sleep(0.05)
    opening.cancel()
    await asyncio.wait([opening])
    await sink.close()
    between.cut()
    await until(lambda: asyncio.all_tasks() <= before)


async def test_a_connection_that_is_being_made_is_closed(make: Make, between: Proxy) -> None:
    """The thread that makes it cannot be called back."""
    between.stall()
    sink = make(port_of(between))
    opening = asyncio.create_task(sink.open())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    await sink.close()
    await between.restore()
    assert between.connections <= 1
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(5))
        await between.close()


@pytest.mark.parametrize("topic", ["", "/visaged", "visaged/", "$SYS", "a+b", "a/#", "x" * 201])
def test_topics_that_cannot_be(topic: str) -> None:
    with pytest.raises(ValidationError):
        mqtt_settings(1883, topic=topic)


def test_addresses() -> None:
    settings = mqtt_settings(1883)
    assert settings.model_copy(update={"port": None}).address == "127.0.0.1:1883"
    assert mqtt_settings(1, tls={}).model_copy(update={"port": None}).address == "127.0.0.1:8883"
    assert settings.include == ()
