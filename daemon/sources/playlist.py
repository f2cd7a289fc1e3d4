"""Live HLS (RFC 8216) beyond what FFmpeg follows: what a playlist that had ended brings when it goes on."""

from dataclasses import dataclass
from urllib.parse import urljoin

MEDIA_SEQUENCE = "#EXT-X-MEDIA-SEQUENCE:"
SEGMENT = "#EXTINF:"
VARIANT = "#EXT-X-STREAM-INF"
END = "#EXT-X-ENDLIST"


@dataclass(frozen=True, slots=True)
class Playlist:
    """A media playlist."""

    sequence: int
    """The number of its first segment."""
    segments: tuple[str, ...]
    """What it says of each: address, duration and, where it does, date."""
    durations: tuple[float, ...]
    """Seconds."""
    ended: bool

    @classmethod
    def parse(cls, text: str) -> "Playlist":
        """Raises ValueError where it is none."""
        if not text.startswith("#EXTM3U"):
            raise ValueError("expected a playlist, which begins with #EXTM3U")
        lines = [line.strip() for line in text.splitlines()]
        sequence, segments, durations, said = 0, [], [], ""
        for line in lines:
            if line.startswith(MEDIA_SEQUENCE):
                sequence = int(line.removeprefix(MEDIA_SEQUENCE))
            elif line.startswith(SEGMENT):
                durations.append(float(line.removeprefix(SEGMENT).partition(",")[0]))
                said += line
            elif line.startswith("#EXT-X-PROGRAM-DATE-TIME"):
                said += line
            elif line and not line.startswith("#"):
                segments.append(said + line)
                said = ""
        return cls(sequence, tuple(segments), tuple(durations), END in lines)

    @property
    def next(self) -> int:
        """The number of the segment that is to come."""
        return self.sequence + len(self.segments)

    def played_already(self, played: "Playlist") -> int | None:
        """How many of its segments were in `played`, which has been played; None: it brings nothing new."""
        if not self.segments:
            return None
        if self._began_anew(played):
            return 0
        return None if self.next == played.next else max(played.next - self.sequence, 0)

    def _began_anew(self, played: "Playlist") -> bool:
        if self.sequence < played.sequence or self.next < played.next:
            return True
        both = range(self.sequence, min(self.next, played.next))
        return any(
            self.segments[number - self.sequence] != played.segments[number - played.sequence] for number in both
        )


def variant(text: str, url: str) -> str | None:
    """The address of the first of a master playlist's variants; None where it is no master playlist."""
    lines = [line.strip() for line in text.splitlines()]
    if not any(line.startswith(VARIANT) for line in lines):
        return None
    return next((urljoin(url, line) for line in lines if line and not line.startswith("#")), None)
