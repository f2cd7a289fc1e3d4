"""The cameras of a network, by WS-Discovery as ONVIF has it: one probe by UDP, and what answers it in time.

Whoever is in the network may answer, and anything: an answer is bounded, parsed without entities, and taken only where
it names our probe. A camera is called where it answered from, whatever address it names.
"""

import asyncio
import contextlib
import ipaddress
import socket
import struct
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from daemon.errors import ConfigError, SourceError
from daemon.sources.url import parsed

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element  # a type; defusedxml parses

Address = tuple[str, int]

GROUP: Address = ("239.255.255.250", 3702)
MOST_BYTES = 16_384
MOST_ANSWERS = 2_000
MOST_CHARACTERS = 100
REPEATED_AFTER_S = 0.25  # the same message: UDP may lose one, and who has answered may answer again
SCOPE = "onvif://www.onvif.org/"
PROBE = """\
<?xml version="1.0" encoding="utf-8"?>\
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" \
xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" \
xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" \
xmlns:dn="http://www.onvif.org/ver10/network/wsdl">\
<s:Header>\
<a:Action s:mustUnderstand="1">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>\
<a:MessageID>{id}</a:MessageID>\
<a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>\
<a:To s:mustUnderstand="1">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>\
</s:Header>\
<s:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></s:Body>\
</s:Envelope>"""


@dataclass(frozen=True, slots=True)
class Camera:
    """What a camera says of itself; all but the address it may have made up."""

    address: str
    """From which it answered."""
    service: str
    """The URL of its device service, at that address."""
    name: str | None
    hardware: str | None
    location: str | None


@dataclass(frozen=True, slots=True)
class Discovered:
    cameras: Sequence[Camera]
    """By address."""
    refused: Mapping[str, int]
    """Answers that could not be taken, by reason."""


class _Unusable(Exception):
    """An answer that cannot be taken; why not."""


async def discover(seconds: float, to: Address = GROUP, interface: str | None = None) -> Discovered:
    """Asks the cameras of the network, or one host alone. IPv4.

    `interface`: the name of one, or its address; None: the one that the system chooses for `to`. Raises ConfigError for
    an interface that is not there, and SourceError where the probe can't be sent.
    """
    message_id = f"urn:uuid:{uuid.uuid4()}"
    with _socket(interface) as sock:
        listener = _Listener(message_id)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: listener, sock=sock)
        with contextlib.closing(transport):
            for wait in (min(REPEATED_AFTER_S, seconds), max(seconds - REPEATED_AFTER_S, 0)):
                _send(sock, PROBE.format(id=message_id).encode(), to)
                await asyncio.sleep(wait)
    return Discovered(
        sorted(listener.cameras, key=lambda camera: ipaddress.ip_address(camera.address)), listener.refused
    )


def interfaces() -> list[str]:
    """Those of this machine, by name."""
    return [name for _, name in socket.if_nameindex()]


def camera_of(answer: bytes, sender: str, message_id: str) -> Camera:
    """Raises _Unusable."""
    if len(answer) > MOST_BYTES:
        raise _Unusable(f"more than {MOST_BYTES} bytes")
    try:
        root = fromstring(answer, forbid_dtd=True)
    except DefusedXmlException as err:
        raise _Unusable("XML with a DTD or entities") from err
    except (ParseError, ValueError, LookupError) as err:
        raise _Unusable("no XML") from err
    if _text(root, "RelatesTo").removeprefix("urn:") != message_id.removeprefix("urn:"):
        raise _Unusable("an answer to another probe")
    match = root.find(".//{*}ProbeMatch")
    if match is None:
        raise _Unusable("no camera in it")
    scopes = dict(_scopes(_text(match, "Scopes")))
    service = _service(_text(match, "XAddrs").split(), sender)
    return Camera(sender, service, scopes.get("name"), scopes.get("hardware"), scopes.get("location"))


class _Listener(asyncio.DatagramProtocol):
    def __init__(self, message_id: str) -> None:
        self.cameras: set[Camera] = set()
        self.refused: Counter[str] = Counter()
        self._message_id = message_id
        self._answers = 0

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._answers += 1
        if self._answers > MOST_ANSWERS:
            self.refused[f"more than {MOST_ANSWERS} answers"] += 1
            return
        try:
            self.cameras.add(camera_of(data, addr[0], self._message_id))
        except _Unusable as err:
            self.refused[str(err)] += 1

    def error_received(self, exc: Exception) -> None:
        self.refused["nobody listens"] += 1


def _socket(interface: str | None) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        if interface is not None:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _membership(interface))
        sock.bind(("", 0))
    except BaseException:
        sock.close()
        raise
    return sock


def _membership(interface: str) -> bytes:
    """struct ip_mreqn (ip(7)): group, address, index."""
    with contextlib.suppress(ValueError):
        return struct.pack("=4s4si", bytes(4), ipaddress.IPv4Address(interface).packed, 0)
    try:
        return struct.pack("=4s4si", bytes(4), bytes(4), socket.if_nametoindex(interface))
    except OSError:
        known = ", ".join(interfaces())
        raise ConfigError(f"--interface: expected one of {known}, or an address, got {interface}") from None


def _send(sock: socket.socket, message: bytes, to: Address) -> None:
    try:
        sock.sendto(message, to)
    except OSError as err:
        known = ", ".join(interfaces())
        raise SourceError(
            f"{to[0]}:{to[1]}: the probe can't be sent: {err.strerror}: name the camera network's --interface ({known})"
        ) from err


def _text(element: "Element", name: str) -> str:
    """Of the first element of this name within, whatever its namespace: WS-Discovery has had several."""
    return (element.findtext(f".//{{*}}{name}") or "").strip()


def _scopes(text: str) -> Iterator[tuple[str, str]]:
    for scope in text.split():
        if scope.startswith(SCOPE):
            name, _, value = scope.removeprefix(SCOPE).partition("/")
            yield name, _shown(unquote(value))


def _shown(text: str) -> str:
    """In one line of a terminal, which it can't write on elsewhere."""
    return "".join(character if character.isprintable() else "?" for character in text)[:MOST_CHARACTERS]


def _service(addresses: Sequence[str], sender: str) -> str:
    urls = [url for url in map(parsed, addresses) if url and url.scheme in ("http", "https") and url.is_right]
    if not urls:
        raise _Unusable("no address of a service in it")
    url = next((url for url in urls if url.host == sender), urls[0])
    return _shown(url._replace(login="").at(sender))
