"""Which addresses may be called for a stream that was added at run time."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from daemon.errors import AddressRefused, SourceError

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host, on Linux
        "169.254.0.0/16",  # link-local; AWS, Azure, Google Cloud, OpenStack: 169.254.169.254
        "100.100.100.200/32",  # Alibaba Cloud
        "168.63.129.16/32",  # Azure
        "192.0.0.192/32",  # Oracle Cloud
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
        "fd00:ec2::/32",  # AWS
        "fd20:ce::/32",  # Google Cloud
        "fd00:42::42/128",  # Scaleway
        "fd00:c1::a9fe:a9fe/128",  # Oracle Cloud
    )
)
"""Where clouds tell whoever asks from this machine, and what is no single host of a network."""
NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
RESOLVERS = 4
"""Threads of their own: where names are slow nothing but such streams waits."""


class Judged(NamedTuple):
    """What a name stands for."""

    allowed: str | None
    """The first address that may be called."""
    refused: str | None
    """The first that may not."""


class Networks:
    """For the event loop's thread."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = [ipaddress.ip_network(network) for network in allowed]
        self._resolvers = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolver")

    def close(self) -> None:
        """Waits for no answer."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def address(self, host: str, timeout: float) -> str:
        """What is to be called for a host, as a number. Raises AddressRefused, and SourceError where it has none."""
        try:
            async with asyncio.timeout(timeout):
                judged = await self._judged(host)
        except TimeoutError:
            raise SourceError(
                f"no answer for the name {host} in {timeout:g} s: check this machine's resolver"
            ) from None
        except (OSError, UnicodeError):
            raise SourceError(f"no such host as {host}: check its name, and that this machine can resolve it") from None
        if judged.allowed is None:
            called = host if host == judged.refused else f"{host} ({judged.refused})"
            raise AddressRefused(
                f"streams that are added at run time may not call {called}: expected an address in "
                "`http.run_time.networks`"
            )
        return judged.allowed

    async def _judged(self, host: str) -> Judged:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._resolvers, _addresses, host)
        allowed = [address for address in found if self._allows(address)]
        refused = [address for address in found if address not in allowed]
        return Judged(str(allowed[0]) if allowed else None, str(refused[0]) if refused else None)

    def _allows(self, address: IP) -> bool:
        """The address itself, and the IPv4 one that is called by it."""
        meant = [address, *_embedded(address)]
        if any(one in network for one in meant for network in NEVER if one.version == network.version):
            return False
        last = meant[-1]
        return any(last in network for network in self._allowed if last.version == network.version)


def _addresses(host: str) -> list[IP]:
    """By the system's own reading, which knows 2852039166 and 0xa9fea9fe. Raises OSError and UnicodeError."""
    rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(row[4][0]).partition("%")[0]) for row in rows]
    return list(dict.fromkeys(getattr(address, "ipv4_mapped", None) or address for address in addresses))


def _embedded(address: IP) -> list[IP]:
    if isinstance(address, ipaddress.IPv4Address):
        return []
    if address.sixtofour is not None:
        return [address.sixtofour]
    if any(address in network for network in NAT64):
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    # IPv4-compatible (::a.b.c.d): obsolete, and here and there still understood; ::1 is none.
    return [ipaddress.IPv4Address(int(address))] if 1 < int(address) < 1 << 32 else []
