"""A connection to an MQTT 5 broker in asyncio's terms. All that knows paho-mqtt is here.

paho-mqtt is driven from the event loop, as its documentation has it for loops of others. aiomqtt, which does the same,
takes a message for published that the broker has refused: it does not look at the reason in the acknowledgement.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from sinks.base import SinkError
from sinks.mqtt_settings import MqttSettings

KEEPALIVE_S: Final = 15
CONNECT_S: Final = 3.0
"""To connect, and for TLS: nothing can call back the thread that does it, and a stop waits for it."""
MISC_S: Final = 1.0
CLOSE_S: Final = 1.0
MOST_IN_FLIGHT: Final = 20
UNBOUNDED: Final = 268_435_455  # the largest packet of MQTT

REMEDIES: Final[Mapping[int, str]] = {
    0x80: "it closed the connection (has another client this `client_id`?)",
    0x84: "it does not speak MQTT 5",
    0x85: "it refuses this `client_id`",
    0x86: "it wants another `username` or `password`",
    0x87: "it does not allow that to this user",
    0x8C: "it wants another way to log in",
    0x8E: "another client has this `client_id`",
}
"""What a user can do about a reason code of MQTT 5."""


@dataclass(frozen=True, slots=True)
class Message:
    """One to send, or one that came. An empty payload of a retained one takes the last one away."""

    topic: str
    payload: bytes
    retain: bool = False
    properties: Sequence[tuple[str, str]] = ()
    """Of the user."""
    content_type: str | None = None


class Connection:
    """Belongs to the event loop's thread. Made once: after it was lost, or closed, another is made."""

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        *,
        session_expiry: int = 0,
        will: Message | None = None,
        on_message: Callable[[Message], None] = lambda _: None,
    ) -> None:
        self.lost = asyncio.Event()
        """It is no more, or was never made."""
        self.error: str | None = None
        """Why it was lost."""
        self.most_bytes = UNBOUNDED
        """Of a packet, as the broker has said."""
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._waiting: deque[tuple[Message, asyncio.Future[ReasonCode]]] = deque()
        self._window = MOST_IN_FLIGHT
        self._acknowledged: dict[int, asyncio.Future[ReasonCode]] = {}
        """Of what is in flight."""
        self._subscribed: dict[int, asyncio.Future[Sequence[ReasonCode]]] = {}
        self._connected: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._connecting: asyncio.Task[Any] | None = None
        self._socket: Any = None
        self._misc: asyncio.TimerHandle | None = None
        self._expiry = session_expiry
        self._client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = CONNECT_S
        self._client.max_inflight_messages_set(0)  # as many as we give it
        self._client.on_connect = self._answered
        self._client.on_disconnect = lambda _, __, ___, reason, ____: self._lose(_words(reason))
        self._client.on_publish = self._published
        self._client.on_subscribe = lambda _, __, mid, reasons, ____: _settle(self._subscribed, mid, reasons)
        self._client.on_message = self._received
        if will is not None:
            self._client.will_set(will.topic, will.payload, 1, will.retain)

    async def open(self) -> None:
        """Raises SinkError."""
        try:
            await self._open()
        except SinkError:
            self._lose("it could not be opened")
            raise

    def publish(self, message: Message) -> "asyncio.Future[ReasonCode]":
        """At least once (QoS 1), in the order of the calls. The answer is the broker's."""
        answer: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._waiting.append((message, answer))
        self._send()
        return answer

    async def subscribe(self, topics: Sequence[str]) -> None:
        """To messages of others. Raises SinkError."""
        answer: asyncio.Future[Sequence[ReasonCode]] = self._loop.create_future()
        options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)
        result, mid = self._client.subscribe([(topic, options) for topic in topics])
        if result is not MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise self.failure
        self._subscribed[mid] = answer
        for reason in await self.answered(answer):
            if reason.is_failure:
                raise SinkError(f"{self._settings.address}: cannot subscribe: {_words(reason)}", retriable=True)

    async def answered(self, answer: "asyncio.Future[Any]") -> Any:
        """What the broker says. Raises SinkError where it does not say it, or is lost."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await asyncio.shield(answer)
        except TimeoutError as err:
            self._lose("no answer in time")
            raise self.failure from err
        except ConnectionError as err:
            raise self.failure from err

    @property
    def failure(self) -> SinkError:
        return SinkError(f"{self._settings.address}: {self.error or 'closed'}", retriable=True)

    async def close(self) -> None:
        """Says goodbye, so that the broker does not send the will. In bounded time."""
        if self._connecting is not None and self._socket is None:  # the thread cannot be called back
            await asyncio.wait([self._connecting])
            if (sock := self._client.socket()) is not None:
                sock.close()
        if not self.lost.is_set() and self._socket is not None:
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self.lost.wait()  # paho-mqtt ends it when all is sent
        self._lose("closed")

    async def _open(self) -> None:
        settings = self._settings
        try:
            self._connecting = asyncio.create_task(asyncio.to_thread(self._connect))
            await asyncio.shield(self._connecting)
            self._begin()
            async with asyncio.timeout(settings.timeout):
                reason = await asyncio.shield(self._connected)
        except TimeoutError as err:
            raise SinkError(f"{settings.address}: no answer in time", retriable=True) from err
        except _NoCertificates as err:
            raise SinkError(f"the certificates for {settings.address}: {err}", retriable=False) from err
        except (OSError, ValueError) as err:  # ssl.SSLError is an OSError, some certificates' a ValueError
            raise SinkError(f"{settings.address}: {_words_of(err)}", retriable=True) from err
        if reason.is_failure:
            raise SinkError(f"{settings.address}: {_words(reason)}", retriable=True)

    def _connect(self) -> None:
        """In a thread."""
        settings, client = self._settings, self._client
        if settings.username is not None:
            password = None if settings.password is None else settings.password.get_secret_value()
            client.username_pw_set(settings.username, password)
        if settings.tls is not None:
            try:
                context = settings.tls.context()
            except OSError as err:
                raise _NoCertificates(str(err)) from err
            client.tls_set_context(context)
            client.tls_insecure_set(not settings.tls.verify_hostname)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._expiry
        host, _, port = settings.address.rpartition(":")
        client.connect(host, int(port), KEEPALIVE_S, clean_start=not self._expiry, properties=properties)

    def _begin(self) -> None:
        """The event loop takes over from the thread that has connected."""
        sock = self._client.socket()
        if sock is None:
            return
        self._socket, fd = sock, sock.fileno()
        self._loop.add_reader(fd, self._drive, self._client.loop_read)
        self._client.on_socket_close = lambda *_: self._forget(fd)
        self._client.on_socket_register_write = lambda *_: self._loop.add_writer(
            fd, self._drive, self._client.loop_write
        )
        self._client.on_socket_unregister_write = lambda *_: self._stop_writing(fd)
        if self._client.want_write():
            self._loop.add_writer(fd, self._drive, self._client.loop_write)
        self._tick()

    def _send(self) -> None:
        """As much as the broker takes at once."""
        while self._waiting and len(self._acknowledged) < self._window and not self.lost.is_set():
            message, answer = self._waiting.popleft()
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            if message.properties:
                properties.UserProperty = list(message.properties)
            if message.content_type is not None:
                properties.ContentType = message.content_type
            sent = self._client.publish(message.topic, message.payload, 1, message.retain, properties)
            self._acknowledged[sent.mid] = answer
            if sent.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._lose(paho.error_string(sent.rc))
        if self.lost.is_set():
            self._lose_answers()

    def _published(self, _: object, __: object, mid: int, reason: ReasonCode, ___: object) -> None:
        _settle(self._acknowledged, mid, reason)
        self._send()

    def _drive(self, step: Callable[[], MQTTErrorCode]) -> None:
        if self.lost.is_set():
            return
        try:
            result = step()
            while isinstance(self._socket, ssl.SSLSocket) and result is MQTTErrorCode.MQTT_ERR_SUCCESS:
                if step != self._client.loop_read or not self._socket.pending():
                    break
                result = step()
        except Exception as err:  # noqa: BLE001  # whatever it is, the connection is in no state to go on
            self._lose(_words_of(err))
            return
        if result not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_AGAIN):
            self._lose("it closed the connection")

    def _stop_writing(self, fd: int) -> None:
        self._loop.remove_writer(fd)

    def _forget(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)

    def _tick(self) -> None:
        """Pings, and ends a connection on which nothing came for too long."""
        self._drive(self._client.loop_misc)
        if not self.lost.is_set():
            self._misc = self._loop.call_later(MISC_S, self._tick)

    def _answered(self, _: object, __: object, ___: object, reason: ReasonCode, properties: Properties | None) -> None:
        self.most_bytes = getattr(properties, "MaximumPacketSize", UNBOUNDED)
        self._window = min(getattr(properties, "ReceiveMaximum", MOST_IN_FLIGHT), MOST_IN_FLIGHT)
        if not self._connected.done():
            self._connected.set_result(reason)

    def _received(self, _: object, __: object, message: paho.MQTTMessage) -> None:
        properties = message.properties
        self._on_message(
            Message(
                message.topic,
                bytes(message.payload),
                bool(message.retain),
                getattr(properties, "UserProperty", ()),
                getattr(properties, "ContentType", None),
            )
        )

    def _lose(self, why: str) -> None:
        if self.lost.is_set():
            return
        self.error = why
        self.lost.set()
        if self._misc is not None:
            self._misc.cancel()
        if self._socket is not None and (fd := self._socket.fileno()) >= 0:  # paho-mqtt has not closed it
            self._forget(fd)
            self._socket.close()
        self._lose_answers()
        if not self._connected.done():
            self._connected.set_exception(ConnectionError(why))
            self._connected.exception()

    def _lose_answers(self) -> None:
        waiting = (answer for _, answer in self._waiting)
        answers: Iterable[asyncio.Future[Any]] = (*self._acknowledged.values(), *waiting, *self._subscribed.values())
        for answer in answers:
            if not answer.done():
                answer.set_exception(ConnectionError("lost"))
                answer.exception()  # whoever does not ask is not warned
        self._acknowledged.clear()
        self._waiting.clear()
        self._subscribed.clear()


class _Client(paho.Client):
    """paho-mqtt leaves a socket open when the handshake of TLS fails."""

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        assert self._ssl_context is not None  # noqa: S101  # else it is not called
        sock = self._ssl_context.wrap_socket(tcp_sock, server_hostname=self.host, do_handshake_on_connect=False)
        try:
            sock.settimeout(self.connect_timeout)
            sock.do_handshake()
        except BaseException:
            sock.close()
            raise
        return sock


class _NoCertificates(Exception):
    """They cannot be read."""


def _settle(answers: "dict[int, asyncio.Future[Any]]", mid: int, answer: Any) -> None:
    waiting = answers.pop(mid, None)
    if waiting is not None and not waiting.done():
        waiting.set_result(answer)


def _words(reason: ReasonCode) -> str:
    return REMEDIES.get(reason.value, str(reason).lower())


def _words_of(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return "it does not speak TLS as we do"
        case TimeoutError():
            return "no answer in time"
        case OSError() if error.strerror:
            return error.strerror.lower()
    return "it closed the connection"
