"""How the history is configured; imports nothing heavy, as every command reads it."""

from pydantic import Field

from configs.section import Section

NAME = "history"
"""Among the sinks of /status and /metrics, and of the folder in `state_dir`."""
LEAST_BYTES = 1_000_000


class ShotSettings(Section):
    signed: float | None = Field(
        None,
        gt=0,
        description="Seconds. The URLs of shots then bear a signature that opens them without a key for so long, for "
        "push services, which have none: whoever is given such a URL sees the picture. 3600 is an hour. null: they "
        "take a key of the role watch.",
    )


class HistorySettings(Section):
    days: float = Field(
        7.0,
        gt=0,
        le=36500,
        description="How long events and their shots are kept. Those that are older are deleted within a minute.",
    )
    bytes: int = Field(
        1_000_000_000,
        ge=LEAST_BYTES,
        description="Maximum size in bytes of events and shots on the disk together. Beyond it the oldest are deleted. "
        "While it is written to, a log of usually 4 to 8 MB comes on top. An event takes 2 KB or so, and its shot 5 to "
        "50 KB.",
    )
    shots: ShotSettings | None = Field(
        ShotSettings(),
        description="Keep the picture of each event, a crop of the best shot, in a file. null: no pictures are kept.",
    )
