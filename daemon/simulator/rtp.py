"""Video files as RTP (RFC 3550): packets of H.264 by RFC 6184 and of H.265 by RFC 7798, and RTCP sender reports."""

import base64
import re
import secrets
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CLOCK_HZ = 90_000
PAYLOAD_TYPE = 96
MAX_PAYLOAD = 1400
"""Bytes after the RTP header: one Ethernet frame, with room for a tunnel's headers."""
FRAMING = struct.Struct(">cBH")
"""RFC 2326, 10.12: "$", channel, length, before each packet that goes over the RTSP connection."""

_NTP_EPOCH_S = 2_208_988_800  # from 1900, where NTP counts from, to 1970
_HEADER = struct.Struct(">BBHII")  # version, marker and type, sequence number, timestamp, SSRC
HEADERS_SIZE = FRAMING.size + _HEADER.size
"""What stands before each payload in AccessUnit.packets."""
_STAMP = struct.Struct(">HII")  # the latter three
_STAMP_OFFSET = FRAMING.size + 2
_SENDER_REPORT = struct.Struct(">BBHIIIIII")
_DESCRIPTION = struct.Struct(">BBHI")


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One picture in RTP packets, each behind its FRAMING for channel 0, complete but for what stamp() sets.

    `dts` says when it is sent and `pts` is its RTP timestamp, both in ticks of CLOCK_HZ from the clip's start.
    """

    dts: int
    pts: int
    keyframe: bool
    packets: bytes = field(repr=False)
    offsets: tuple[int, ...] = field(repr=False)
    """Where in `packets` each packet's framing begins."""

    @property
    def payload_size(self) -> int:
        return len(self.packets) - len(self.offsets) * HEADERS_SIZE

    def stamp(self, sequence: int, timestamp: int, ssrc: int) -> bytearray:
        """`packets` with sequence numbers that count up from `sequence`."""
        packets = bytearray(self.packets)
        for count, offset in enumerate(self.offsets):
            _STAMP.pack_into(packets, offset + _STAMP_OFFSET, (sequence + count) & 0xFFFF, timestamp, ssrc)
        return packets


@dataclass(frozen=True, slots=True)
class Codec:
    """What RTP must know of a codec."""

    encoding: str
    annex_b_filter: str
    nal_header_size: int
    nal_type: Callable[[bytes], int]
    fragment_header: Callable[[bytes], bytes]
    """A NAL unit's payload header for when it is cut into fragments."""
    parameter_sets: tuple[int, ...]
    """The types of NAL unit without which a keyframe cannot be decoded."""
    fmtp: Callable[[Sequence[bytes]], str]
    """The parameter sets in the words of SDP."""

    def payloads(self, nal: bytes) -> Iterator[bytes]:
        """A single NAL unit packet, or fragmentation units (FU-A, FU)."""
        if len(nal) <= MAX_PAYLOAD:
            yield nal
            return
        header, body = self.fragment_header(nal), nal[self.nal_header_size :]
        size = MAX_PAYLOAD - len(header) - 1
        for at in range(0, len(body), size):
            first, last = at == 0, at + size >= len(body)
            yield header + bytes([first << 7 | last << 6 | self.nal_type(nal)]) + body[at : at + size]


def _h264_fmtp(sets: Sequence[bytes]) -> str:
    sprop = ",".join(_base64(nal) for nal in sets)
    return f"packetization-mode=1;profile-level-id={sets[0][1:4].hex()};sprop-parameter-sets={sprop}"


def _h265_fmtp(sets: Sequence[bytes]) -> str:
    return ";".join(f"sprop-{name}={_base64(nal)}" for name, nal in zip(("vps", "sps", "pps"), sets, strict=True))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


CODECS = {
    "h264": Codec(
        encoding="H264",
        annex_b_filter="h264_mp4toannexb",
        nal_header_size=1,
        nal_type=lambda nal: nal[0] & 0x1F,
        fragment_header=lambda nal: bytes([nal[0] & 0xE0 | 28]),
        parameter_sets=(7, 8),
        fmtp=_h264_fmtp,
    ),
    "hevc": Codec(
        encoding="H265",
        annex_b_filter="hevc_mp4toannexb",
        nal_header_size=2,
        nal_type=lambda nal: nal[0] >> 1 & 0x3F,
        fragment_header=lambda nal: bytes([nal[0] & 0x81 | 49 << 1, nal[1]]),
        parameter_sets=(32, 33, 34),
        fmtp=_h265_fmtp,
    ),
}
"""By FFmpeg's names."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A video file's access units, in decoding order."""

    units: tuple[AccessUnit, ...] = field(repr=False)
    duration: int
    """Ticks of CLOCK_HZ."""
    sdp: str
    """The lines of the session description that say how to decode it."""

    @classmethod
    def read(cls, path: Path) -> "Clip":
        """Blocks. Raises ValueError for a file without H.264 or H.265 video that begins with a keyframe."""
        import av
        from av.bitstream import BitStreamFilterContext

        with av.open(str(path)) as container:
            stream = next((s for s in container.streams.video if s.codec.name in CODECS), None)
            if stream is None:
                raise ValueError(f"expected {' or '.join(CODECS)} video in {path}")
            codec = CODECS[stream.codec.name]
            rate = stream.average_rate or stream.guessed_rate or 25
            annex_b = BitStreamFilterContext(codec.annex_b_filter, stream)
            packets = [
                (
                    round(packet.dts * packet.time_base * CLOCK_HZ),
                    round(packet.pts * packet.time_base * CLOCK_HZ),
                    packet,
                )
                for demuxed in container.demux(stream)
                if demuxed.dts is not None  # the last one is empty and ends the file
                for packet in annex_b.filter(demuxed)
                if packet.dts is not None and packet.pts is not None
            ]
        if not packets or not packets[0][2].is_keyframe:
            raise ValueError(f"expected video that begins with a keyframe in {path}")
        start = packets[0][0]
        sets = _parameter_sets(codec, _nals(bytes(packets[0][2])), path)
        units = tuple(
            _access_unit(codec, sets, dts - start, pts - start, packet.is_keyframe, _nals(bytes(packet)))
            for dts, pts, packet in packets
        )
        sdp = (
            f"a=rtpmap:{PAYLOAD_TYPE} {codec.encoding}/{CLOCK_HZ}\r\n"
            f"a=fmtp:{PAYLOAD_TYPE} {codec.fmtp(sets)}\r\n"
            f"a=framerate:{float(rate):g}\r\n"
        )
        return cls(units, duration=units[-1].dts + round(CLOCK_HZ / rate), sdp=sdp)


def _nals(annex_b: bytes) -> list[bytes]:
    """A NAL unit holds no start code and does not end in a zero byte, so start codes split the stream."""
    return re.split(rb"\x00{2,}\x01", annex_b)[1:]


def _parameter_sets(codec: Codec, nals: Iterable[bytes], path: Path) -> list[bytes]:
    by_type = {codec.nal_type(nal): nal for nal in nals}
    if any(kind not in by_type for kind in codec.parameter_sets):
        raise ValueError(f"expected parameter sets before the first keyframe of {path}")
    return [by_type[kind] for kind in codec.parameter_sets]


def _access_unit(codec: Codec, sets: list[bytes], dts: int, pts: int, keyframe: bool, nals: list[bytes]) -> AccessUnit:
    if keyframe and not any(codec.nal_type(nal) in codec.parameter_sets for nal in nals):
        nals = sets + nals
    payloads = [payload for nal in nals for payload in codec.payloads(nal)]
    packets, offsets = bytearray(), []
    for count, payload in enumerate(payloads, start=1):
        offsets.append(len(packets))
        marker = (count == len(payloads)) << 7  # the last packet of its picture
        packets += FRAMING.pack(b"$", 0, _HEADER.size + len(payload))
        packets += _HEADER.pack(2 << 6, marker | PAYLOAD_TYPE, 0, 0, 0)
        packets += payload
    return AccessUnit(dts, pts, keyframe, bytes(packets), tuple(offsets))


class Sender:
    """The sending side of one RTP stream: who it is, where its numbers stand, what it sent."""

    def __init__(self, unix_start: float, cname: str) -> None:
        # These begin anywhere (RFC 3550, 5.1), so that receivers meet their wrapping round.
        self.ssrc = secrets.randbits(32)
        self._sequence = secrets.randbits(16)
        self._zero = secrets.randbits(32)
        self._unix_start = unix_start
        self._cname = cname
        self._packets = 0
        self._octets = 0

    def stamp(self, unit: AccessUnit, base: int) -> bytearray:
        """The unit's packets as they go out; `base` is when its clip began, in ticks from the stream's start."""
        return unit.stamp(self._sequence, (self._zero + base + unit.pts) % 2**32, self.ssrc)

    def advance(self, unit: AccessUnit) -> None:
        """The unit's turn is over, whether or not somebody got it."""
        self._sequence = (self._sequence + len(unit.offsets)) % 2**16
        self._packets += len(unit.offsets)
        self._octets += unit.payload_size

    def report(self, elapsed: float) -> bytes:
        """A compound RTCP packet (RFC 3550, 6.4.1, 6.5): this instant as wall-clock and as RTP time, and the CNAME."""
        seconds, fraction = divmod(round((self._unix_start + elapsed + _NTP_EPOCH_S) * 2**32), 2**32)
        timestamp = (self._zero + round(elapsed * CLOCK_HZ)) % 2**32
        report = _SENDER_REPORT.pack(
            2 << 6, 200, 6, self.ssrc, seconds % 2**32, fraction, timestamp, self._packets % 2**32, self._octets % 2**32
        )
        item = bytes([1, len(self._cname)]) + self._cname.encode()
        item += bytes(4 - len(item) % 4)  # ends with one zero byte or more, at a multiple of four
        return report + _DESCRIPTION.pack(2 << 6 | 1, 202, 1 + len(item) // 4, self.ssrc) + item
