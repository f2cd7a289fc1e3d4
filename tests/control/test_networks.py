import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from daemon.control.networks import Networks
from daemon.control.settings import PRIVATE
from daemon.errors import AddressRefused, SourceError


@pytest.fixture
async def private() -> AsyncIterator[Networks]:
    networks = Networks(PRIVATE)
    yield networks
    networks.close()


@pytest.fixture
async def everywhere() -> AsyncIterator[Networks]:
    networks = Networks(["0.0.0.0/0", "::/0"])
    yield networks
    networks.close()


@pytest.mark.parametrize(
    ("host", "called"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("192.168.0.7", "192.168.0.7"),
        ("172.31.255.255", "172.31.255.255"),
        ("fd12::1", "fd12::1"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("3232235527", "192.168.0.7"),
        ("0xc0a80007", "192.168.0.7"),
    ],
)
async def test_private_addresses_are_called_as_they_were_judged(private: Networks, host: str, called: str) -> None:
    assert await private.address(host, 5) == called


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "8.8.8.8", "172.32.0.1", "2001:db8::1"])
async def test_others_are_not_unless_they_are_configured(private: Networks, everywhere: Networks, host: str) -> None:
    with pytest.raises(AddressRefused, match=r"http\.run_time\.networks"):
        await private.address(host, 5)
    assert await everywhere.address(host, 5) == host


@pytest.mark.parametrize(
    ("host", "called"), [("127.0.0.1", "127.0.0.1"), ("2130706433", r"2130706433 \(127\.0\.0\.1\)")]
)
async def test_a_number_is_said_once_and_a_name_with_its_number(private: Networks, host: str, called: str) -> None:
    with pytest.raises(AddressRefused, match=rf"may not call {called}: expected an address in"):
        await private.address(host, 5)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",  # noqa: S104
        "0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
    ],
)
async def test_link_local_and_metadata_addresses_never_are(everywhere: Networks, host: str) -> None:
    with pytest.raises(AddressRefused):
        await everywhere.address(host, 5)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: Sequence[str]) -> None:
    """A name server that answers each time anew."""
    given = iter(answers)

    def getaddrinfo(host: str, *_: Any, **__: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, 1, 6, "", (address, 0)) for address in next(given)
        ]

    monkeypatch.setattr("daemon.control.networks.socket.getaddrinfo", getaddrinfo)


async def test_of_a_name_s_addresses_one_that_may_be_called_is(
    private: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, ["169.254.169.254", "10.0.0.5"], ["8.8.8.8"])
    assert await private.address("camera.example", 5) == "10.0.0.5"
    with pytest.raises(AddressRefused, match=r"camera\.example \(8\.8\.8\.8\)"):
        await private.address("camera.example", 5)


async def test_a_name_without_an_address_is_told_as_for_any_camera(private: Networks) -> None:
    with pytest.raises(SourceError, match="no such host") as refused:
        await private.address("camera.invalid", 5)
    assert not isinstance(refused.value, AddressRefused)
