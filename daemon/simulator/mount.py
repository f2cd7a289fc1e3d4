"""A clip as a live stream: one timeline, sent to all who watch it, with faults on demand."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from daemon.simulator.rtp import CLOCK_HZ, FRAMING, HEADERS_SIZE, AccessUnit, Clip, Sender
from daemon.simulator.rtsp import REASONS

MAX_BACKLOG = 512 * 1024
"""Bytes that wait for a slow client before it is passed over, up to the next keyframe that finds room."""
REPORT_INTERVAL_S = 2.0


class Outlet(Protocol):
    """One client's way for RTP and RTCP; sending never waits."""

    @property
    def backlog(self) -> int:
        """Bytes not yet taken by the kernel."""

    def send(self, unit: AccessUnit, packets: bytearray) -> None:
        """`packets` are the unit's, stamped; they are shared with other clients."""

    def send_report(self, report: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class TcpOutlet:
    """Interleaved in the RTSP connection: RTP on `channel`, RTCP on the next."""

    transport: asyncio.WriteTransport
    channel: int

    @property
    def backlog(self) -> int:
        return self.transport.get_write_buffer_size()

    def send(self, unit: AccessUnit, packets: bytearray) -> None:
        if self.channel:
            packets = bytearray(packets)
            for offset in unit.offsets:
                packets[offset + 1] = self.channel
        self.transport.write(packets)

    def send_report(self, report: bytes) -> None:
        self.transport.write(FRAMING.pack(b"$", self.channel + 1, len(report)) + report)


@dataclass(frozen=True, slots=True)
class UdpOutlet:
    rtp: asyncio.DatagramTransport
    rtcp: asyncio.DatagramTransport
    host: str
    rtp_port: int
    rtcp_port: int

    @property
    def backlog(self) -> int:
        return 0  # UDP waits for nobody: what a client does not read in time is lost in its own socket

    def send(self, unit: AccessUnit, packets: bytearray) -> None:
        view, address = memoryview(packets), (self.host, self.rtp_port)
        for start, end in pairwise((*unit.offsets, len(packets))):
            self.rtp.sendto(view[start + FRAMING.size : end], address)

    def send_report(self, report: bytes) -> None:
        self.rtcp.sendto(report, (self.host, self.rtcp_port))


@dataclass(slots=True, eq=False)
class Client:
    """Somebody who watches a mount."""

    outlet: Outlet
    drop: Callable[[], object]
    in_step: bool = False
    """It has had a keyframe and all that came after."""
    late: bool = False
    """It fell out of step by being too slow."""


class Mount:
    """A clip as an endless live stream, and what can go wrong with it. For the event loop's thread."""

    def __init__(self, clip: Clip, speed: float = 1.0) -> None:
        self.speed = speed
        """Seconds of the clip in a second; its timestamps stay what they are."""
        self.packets_sent = 0
        """RTP packets, counted once for each client."""
        self.frames_dropped = 0
        """Frames that a client missed because it was too slow, counted once for each client."""
        self.clip = clip
        self.refusal: int | None = None
        """The status that new clients get instead of a session."""
        self.join_at_keyframe = True
        """False: who comes gets the next frame, whichever it is, as from many a recorder."""
        self.refuses_sound = False
        """The description has a sound track too, and nobody gets it."""
        self._clients: set[Client] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._corrupt_share = 0.0
        self._corrupt_due = 0.0

    @property
    def clients(self) -> int:
        """How many are playing."""
        return len(self._clients)

    @property
    def backlog(self) -> int:
        """Bytes that wait for the slowest client."""
        return max((client.outlet.backlog for client in self._clients), default=0)

    def stall(self) -> None:
        """Keeps all connections and sends nothing, neither packets nor responses; time goes on."""
        self._flowing.clear()

    def resume(self) -> None:
        """Ends a stall; clients go on with the next keyframe."""
        self._flowing.set()

    def drop_clients(self) -> None:
        """Closes the connections of all who are playing."""
        for client in tuple(self._clients):
            client.drop()

    def refuse(self, status: int | None) -> None:
        """Answers new clients with this RTSP status, until None."""
        if status is not None and status not in REASONS:
            raise ValueError(f"expected an RTSP status, got {status}")
        self.refusal = status

    def switch(self, clip: Clip) -> None:
        """Goes on with another clip from its beginning, as when a camera's resolution is set."""
        self.clip = clip

    def corrupt(self, share: float) -> None:
        """Inverts a byte of the payload in this share (0..1) of the packets, evenly spread."""
        self._corrupt_share = share

    async def wait_while_stalled(self) -> None:
        await self._flowing.wait()

    def join(self, client: Client) -> None:
        self._clients.add(client)

    def leave(self, client: Client) -> None:
        self._clients.discard(client)

    async def broadcast(self) -> None:
        """Sends the clip in a loop, `speed` times as fast as time, until cancelled. Late frames go at once."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        sender = Sender(unix_start=time.time(), cname="camera")
        report_due = 0.0
        for base, unit in self._timeline():
            elapsed = (base + unit.dts) / CLOCK_HZ
            await asyncio.sleep(start + elapsed / self.speed - loop.time())
            if clients := self._receivers(unit):
                packets = sender.stamp(unit, base)
                self._damage(unit, packets)
                report = sender.report(elapsed)
                due = elapsed >= report_due
                if due:
                    report_due = elapsed + REPORT_INTERVAL_S
                for client in clients:
                    if due or not client.in_step:  # a newcomer wants to know when its first frame was taken
                        client.outlet.send_report(report)
                    client.outlet.send(unit, packets)
                    client.in_step, client.late = True, False
                self.packets_sent += len(unit.offsets) * len(clients)
            sender.advance(unit)

    def _timeline(self) -> Iterator[tuple[int, AccessUnit]]:
        """Units without end, each with the ticks at which its clip began."""
        base = 0
        while True:
            clip = self.clip
            for unit in clip.units:
                if self.clip is not clip:
                    base += unit.dts
                    break
                yield base, unit
            else:
                base += clip.duration

    def _receivers(self, unit: AccessUnit) -> list[Client]:
        """Those who can use the unit and have room for it."""
        if not self._flowing.is_set():
            for client in self._clients:
                client.in_step = False
            return []
        receivers = []
        for client in self._clients:
            if client.outlet.backlog > MAX_BACKLOG:
                client.in_step, client.late = False, True
            elif client.in_step or unit.keyframe or not (self.join_at_keyframe or client.late):
                receivers.append(client)
                continue
            self.frames_dropped += client.late
        return receivers

    def _damage(self, unit: AccessUnit, packets: bytearray) -> None:
        if not self._corrupt_share:
            return
        for start, end in pairwise((*unit.offsets, len(packets))):
            self._corrupt_due += self._corrupt_share
            if self._corrupt_due >= 1:
                self._corrupt_due -= 1
                packets[(start + HEADERS_SIZE + end) // 2] ^= 0xFF
