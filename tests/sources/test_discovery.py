"""WS-Discovery: a responder on 127.0.0.1, and what a hostile one may answer."""

import asyncio
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from daemon.errors import ConfigError
from daemon.sources import discovery
from daemon.sources.discovery import MOST_ANSWERS, MOST_BYTES, Camera, discover

HOST = "127.0.0.1"
ID = "urn:uuid:1b0e7a4e"
MATCH = """<?xml version="1.0" encoding="UTF-8"?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope"
 xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl">
<SOAP-ENV:Header><wsa:RelatesTo>{id}</wsa:RelatesTo></SOAP-ENV:Header>
<SOAP-ENV:Body><d:ProbeMatches><d:ProbeMatch>
<wsa:EndpointReference><wsa:Address>urn:uuid:cam-1</wsa:Address></wsa:EndpointReference>
<d:Types>dn:NetworkVideoTransmitter</d:Types>
<d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/{name}
 onvif://www.onvif.org/hardware/DS-2CD onvif://www.onvif.org/location/Yard%20North</d:Scopes>
<d:XAddrs>{addresses}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>
</d:ProbeMatch></d:ProbeMatches></SOAP-ENV:Body></SOAP-ENV:Envelope>"""
SERVICE = "http://127.0.0.1:8000/onvif/device_service"
CAMERA = Camera(HOST, SERVICE, "Front door", "DS-2CD", "Yard North")


def match(message_id: str, addresses: str = SERVICE, name: str = "Front%20door") -> bytes:
    return MATCH.format(id=message_id, addresses=addresses, name=name).encode()


@contextmanager
def responder(answers: Callable[[str], list[bytes]]) -> Iterator[tuple[str, int]]:
    """Answers each probe, in a thread of its own, with what `answers` makes of its id."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        sock.settimeout(0.1)
        ends = threading.Event()

        def serve() -> None:
            while not ends.is_set():
                try:
                    probe, sender = sock.recvfrom(65536)
                except TimeoutError:
                    continue
                found = re.search(rb"MessageID>(.+?)<", probe)
                assert found is not None
                for answer in answers(found[1].decode()):
                    sock.sendto(answer, sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield sock.getsockname()
        finally:
            ends.set()
            thread.join()


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'
HOSTILE = {
    b"\xff\x00garbage": "no XML",
    b"": "no XML",
    b'<?xml version="1.0" encoding="nonsense"?><x/>': "no XML",
    b"<x>" * 4000: "no XML",
    BOMB: "XML with a DTD or entities",
    OUTSIDE: "XML with a DTD or entities",
    b"<x>" + b" " * MOST_BYTES + b"</x>": f"more than {MOST_BYTES} bytes",
    b"<x/>": "an answer to another probe",
    match("urn:uuid:another"): "an answer to another probe",
    match(ID).replace(b"ProbeMatch>", b"Nothing>"): "no camera in it",
    match(ID, "rtsp://127.0.0.1/x file:///etc/passwd"): "no address of a service in it",
    match(ID, ""): "no address of a service in it",
}


async def test_a_camera_among_hostile_answers_is_found_once() -> None:
    def answers(message_id: str) -> list[bytes]:
        return [*(answer.replace(ID.encode(), message_id.encode()) for answer in HOSTILE), match(message_id)]

    with responder(answers) as to:
        found = await discover(1.0, to)
    assert found.cameras == [CAMERA]
    counts = Counter(HOSTILE.values())
    assert found.refused.keys() == counts.keys()
    assert all(found.refused[reason] <= 2 * counts[reason] for reason in counts)  # sent twice, and UDP may lose some


@pytest.mark.parametrize(("answer", "reason"), [pytest.param(*one, id=str(n)) for n, one in enumerate(HOSTILE.items())])
def test_what_is_refused(answer: bytes, reason: str) -> None:
    with pytest.raises(discovery._Unusable, match=reason):
        discovery.camera_of(answer, HOST, ID)


@pytest.mark.parametrize(
    ("addresses", "service"),
    [
        ("http://192.0.2.9/onvif/device_service", "http://127.0.0.1/onvif/device_service"),
        ("http://[fe80::1]/a http://127.0.0.1:81/b", "http://127.0.0.1:81/b"),
        ("https://me:secret@192.0.2.9:8443/c", "https://127.0.0.1:8443/c"),
    ],
)
def test_it_is_called_where_it_answered(addresses: str, service: str) -> None:
    assert discovery.camera_of(match(ID, addresses), HOST, ID).service == service


def test_a_name_is_one_line_of_text() -> None:
    name = discovery.camera_of(match(ID, name="a%1B%5B2J%0Ab" + "c" * 1000), HOST, ID).name
    assert name is not None
    assert name.startswith("a?[2J?bc")
    assert len(name) == 100


def test_without_the_prefix_of_its_id_an_answer_is_ours() -> None:
    assert discovery.camera_of(match(ID.removeprefix("urn:")), HOST, ID) == CAMERA


async def test_a_flood_is_cut_off_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "MOST_ANSWERS", 5)
    with responder(lambda message_id: [match(message_id)] * 8) as to:
        found = await discover(1.0, to)
    assert found.cameras == [CAMERA]
    assert found.refused.keys() == {"more than 5 answers"}
    assert MOST_ANSWERS == 2000


async def test_where_nobody_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, 0))
        to = taken.getsockname()
    assert (await discover(0.3, to)).cameras == []


async def test_the_interface_is_named() -> None:
    with responder(lambda message_id: [match(message_id)]) as to:
        by_name, by_address = await asyncio.gather(discover(1.0, to, "lo"), discover(1.0, to, HOST))
    assert by_name.cameras == by_address.cameras == [CAMERA]
    with pytest.raises(ConfigError, match=r"--interface: expected one of .*lo.*, or an address, got nonsense"):
        await discover(0.3, to, "nonsense")
