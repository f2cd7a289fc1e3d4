"""Settings of a stream, and what may be set of one at run time; imports nothing heavy, as every command reads it."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, create_model, field_validator, model_validator

from configs.section import Section
from daemon.sources import SOURCES
from daemon.sources.settings import SourceSettings
from daemon.sources.url import REMEDY, meant_scheme, parsed
from daemon.work.places.settings import Lines, Zones
from daemon.work.privacy import StreamPrivacySettings
from daemon.work.settings import WorkSettings
from sinks.kafka_settings import TopicName

LabelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._/-]{0,62}$")]
LabelValue = Annotated[str, StringConstraints(max_length=128)]


class StreamSettings(SourceSettings, WorkSettings):
    name: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="What people call it, in any writing. It is shown in /status and goes nowhere else. null: the id.",
    )
    labels: dict[LabelName, LabelValue] = Field(
        {},
        max_length=32,
        description="Names and values of your choice, to find streams by: {site: depot, floor: '2'}. They are shown in "
        "/status and go nowhere else.",
    )
    paused: bool = Field(
        False, description="Whether it is left alone: its source is not connected, and it is `paused` in /status."
    )
    privacy: StreamPrivacySettings = Field(
        StreamPrivacySettings(),
        description="What leaves of people. A key that is not set is that of the file's own `privacy`.",
    )
    zones: Zones = Field(
        (),
        description="Zones of the picture: who is in them is on the documents, and with tracking.events there are "
        "events of who has entered and left: docs/places.md. []: none.",
    )
    lines: Lines = Field(
        (),
        description="Lines across the picture: with tracking, who has crossed them is counted by direction, and with "
        "tracking.events there are events: docs/places.md. []: none.",
    )

    @field_validator("source")
    @classmethod
    def _can_be_called(cls, source: str) -> str:
        url = parsed(source)
        if url is None:
            return source
        if url.scheme not in SOURCES:
            known = ", ".join(f"{known}://" for known in SOURCES if known)
            meant = meant_scheme(url.scheme, SOURCES)
            raise ValueError(f"expected {known} or a path, got {url.scheme}://{meant}")
        if not url.authority:
            raise ValueError(f"expected a host after {url.scheme}://")
        if not url.is_right:
            raise ValueError(f"expected a host, or a host and a port of 1 to 65535, after {url.scheme}://; {REMEDY}")
        return source

    @model_validator(mode="after")
    def _one_login(self) -> "StreamSettings":
        if self.username is None and self.password is None:
            return self
        url = parsed(self.source)
        if url is None:
            raise ValueError("expected username and password beside a camera's address, got them beside a path")
        if url.login:
            raise ValueError("expected the login in source or in username and password, got both")
        if self.username is None:
            raise ValueError("expected a username beside the password, got a password alone")
        return self


StreamDefaults: type[BaseModel] = create_model(
    "StreamDefaults",
    __base__=Section,
    **{  # type: ignore[call-overload]
        name: (field.annotation, field)
        for name, field in StreamSettings.model_fields.items()
        if name not in ("source", "name")
    },
)
"""All that a stream may take from `defaults`: each key but the source and the name."""


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as err:
        raise ValueError(f"expected a network like 192.168.0.0/16, got {text}: {err}") from None


Network = Annotated[str, AfterValidator(_network)]
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


class RunTimeSettings(Section):
    max_streams: int = Field(
        200,
        ge=0,
        description="Streams that run at the same time, those of the file included. Beyond it none is added or "
        "resumed: status 409. 0: none can be added.",
    )
    schemes: tuple[Literal["rtsp", "rtsps", "http", "https"], ...] = Field(
        ("rtsp", "rtsps", "http", "https"),
        description="What the source of a stream that is added at run time may begin with. A path never may.",
    )
    networks: tuple[Network, ...] = Field(
        PRIVATE,
        description="Networks in which such a source may be; a name is resolved and judged at each connection. The "
        "default is the private ones, without this machine (127.0.0.0/8). Link-local addresses, multicast and those at "
        "which clouds tell their secrets are refused whatever stands here. With 0.0.0.0/0 whoever may add streams can "
        "have this machine call any other address.",
    )
    hls: bool = Field(
        False,
        description="Whether such a source may be a playlist (HLS). The addresses in a playlist are not judged: "
        "whoever writes it can have this machine call any address by HTTP.",
    )
    topics: dict[str, tuple[TopicName, ...]] = Field(
        {},
        description="The sinks that such a stream may name in `sinks`, and for each the topics that it may set: "
        "{main: [faces, staff]}. {}: it sets neither, and its documents go to all sinks, under their own topics.",
    )
    secrets_dir: Path | None = Field(
        None,
        description="A folder of files with one secret each. Such a stream may have ${secret:NAME} as its `username` "
        "or `password`, which stands for the content of the file NAME. null: none.",
    )


def with_defaults(defaults: Mapping[str, Any], stream: Any) -> Any:
    """A stream's settings over the defaults. A source that has a login of its own, or needs none, takes none."""
    if not isinstance(stream, dict):
        return stream
    url = parsed(source) if isinstance(source := stream.get("source"), str) else None
    without = () if url and not url.login else ("username", "password")
    return _over({key: value for key, value in defaults.items() if key not in without}, stream)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _over(below[key], value)
        for key, value in above.items()
        if isinstance(value, dict) and isinstance(below.get(key), dict)
    }
    return {**below, **above, **both}
