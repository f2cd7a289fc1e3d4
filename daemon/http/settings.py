"""How HTTP is configured; imports nothing heavy, as every command reads it."""

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from configs.section import Section
from daemon.control.settings import RunTimeSettings
from daemon.http.access.settings import KEY_NAME, HostName, KeySettings, TlsSettings, is_loopback

LivenessModule = Literal["face-detector-liveness-estimator", "liveness-anti-spoofing", "quality-liveness-anti-spoofing"]

Origin = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^/\s]+)$")]


class HttpSettings(Section):
    host: str = Field(
        default="127.0.0.1",
        description="The address to listen on. 0.0.0.0: every address of the machine, for which `keys` are needed.",
    )
    port: int = Field(default=8080, ge=0, le=65535, description="The port to listen on. 0: any free port.")
    tls: TlsSettings | None = Field(
        default=None,
        description="Encrypt connections with TLS, 1.2 or later. null: no encryption, and whoever can listen on the "
        "way reads keys and pictures.",
    )
    keys: dict[str, KeySettings] = Field(
        default={},
        description="Keys that let requests in, by a name of your choice, which the log has. {}: none is asked for; "
        "then only programs and pages of this machine are answered.",
    )
    public_url: Annotated[str, StringConstraints(pattern=r"^https?://[^/?#\s@]+[^?#\s]*[^/?#\s]$")] | None = Field(
        default=None,
        description="How others reach this server, like https://visaged.example or https://example.org/visaged, "
        "without a / at the end. URLs that leave the daemon, as `image_url` in events, begin with it. null: they begin "
        "with /, and their reader puts before it what it knows the daemon by.",
    )
    open: bool = Field(
        default=False,
        description="true: listen on addresses of others than this machine without keys. Whoever reaches them may "
        "all. false: that is refused at the start.",
    )
    hosts: tuple[HostName, ...] = Field(
        default=(),
        description="Names, without ports, by which clients call this server where there are no keys, beside "
        "localhost and 127.0.0.1. Requests that name another are answered with status 403, as a foreign page's would.",
    )
    share: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="Share of the workers' time, 0 to 1, that is kept for requests however many streams there are: 0.5 "
        "is half of it. What requests leave unused goes to the streams and shots. Where all want more than there is, "
        "the defaults give HTTP half of it, the shots (`engine.shots_share`) a twentieth of the other half and the "
        "streams the rest, which their `weight` divides.",
    )
    deadline: float = Field(
        default=30.0,
        gt=0,
        description="Seconds from the end of a request's headers to its answer. Later ones are answered with status "
        "504. The client may take as long again to read the answer; then its connection is closed.",
    )
    header_timeout: float = Field(
        default=10.0,
        gt=0,
        description="Seconds that the headers of a request may take: from the start of the connection, or from the "
        "first byte of a later request. Then the connection is closed, with status 408 if any byte came.",
    )
    idle_timeout: float = Field(
        default=75.0,
        gt=0,
        description="Seconds that a connection stays open without a request. If a proxy in front keeps its connections "
        "longer than this, some of its requests fail.",
    )
    max_connections: int = Field(
        default=1000,
        ge=1,
        description="Maximum number of connections, and never more than half of the file descriptors that `ulimit -n` "
        "allows. At the limit, a new connection takes the place of the one that was idle longest. If none is idle, new "
        "ones wait.",
    )
    max_concurrent: int = Field(
        default=100,
        ge=1,
        description="Requests that are worked on at the same time. Further ones are answered with status 503 at once. "
        "A request whose body is still on its way does not count.",
    )
    max_subscribers: int = Field(
        default=100,
        ge=0,
        description="Answers that go on, as events and video of streams, at the same time, but never more than half of "
        "`max_connections`, as each holds one. Further ones are answered with status 503 at once. 0: none.",
    )
    max_bodies_bytes: int = Field(
        default=400_000_000,
        ge=1,
        description="Maximum size in bytes of all bodies in memory together, until they are answered. A request that "
        "exceeds it is answered with status 503.",
    )
    max_image_bytes: int = Field(
        default=4_700_000,
        ge=1,
        description="Maximum size in bytes of an encoded image, before base64. Larger ones are refused.",
    )
    max_megapixels: float = Field(
        default=100.0,
        gt=0,
        description="Maximum size in megapixels of an image, read from its header. Larger ones are refused before "
        "they are decoded.",
    )
    max_objects: int = Field(
        default=1000,
        ge=0,
        description="Maximum number of objects in a request. One with more is refused with status 422.",
    )
    max_body_bytes: int = Field(
        default=40_000_000,
        ge=1,
        description="Maximum size in bytes of a request, decompressed. The default has room for a picture of 8 "
        "megapixels as NDARRAY and 1,000 objects. Larger ones are refused with status 413.",
    )
    liveness_module: LivenessModule = Field(
        default="face-detector-liveness-estimator",
        description="What face-detector-liveness-estimator runs. The module of the same name answers for every face; "
        "liveness-anti-spoofing only for the largest face; quality-liveness-anti-spoofing refuses "
        "pictures with several faces or of low quality.",
    )
    liveness_quality: int = Field(
        default=30,
        ge=0,
        le=100,
        description="Total quality, 0 to 100. quality-liveness-anti-spoofing refuses faces below it.",
    )
    liveness_worst_defect: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Score, 0 to 100, of what spoils a face most: blur, noise, little contrast, over- or underexposure "
        "or the angle of the head. quality-liveness-anti-spoofing refuses faces below it too, as a high total may hide "
        "one grave defect. With 20 it refuses no official portrait, one webcam's face of ten in good light and half of "
        "those in bad. 0 refuses none.",
    )
    stop_timeout: float = Field(
        default=5.0,
        ge=0,
        description="Seconds that requests may still take at a stop, within `stop_timeout`, from when the streams have "
        "ended: until then new ones are taken. Those that are not done by the end are cancelled.",
    )
    ready_needs_consumers: bool = Field(
        default=False,
        description="Whether /readyz is 503 also while a consumer of Kafka is neither running nor standing by, as its "
        "brokers are away or refuse it. false: requests go on being sent here then.",
    )
    run_time: RunTimeSettings = Field(
        default=RunTimeSettings(),
        description="What streams may be that are added over HTTP while the daemon runs. They are kept in `state_dir`: "
        "without one none can be added.",
    )
    cors_origins: tuple[Origin, ...] = Field(
        default=(),
        description='Origins (like https://app.example) whose web pages may use the services from a browser; "*" '
        "stands for all. []: none.",
    )

    @field_validator("keys")
    @classmethod
    def _tell_keys_apart(cls, keys: dict[str, KeySettings]) -> dict[str, KeySettings]:
        names: dict[str, str] = {}
        for name, key in keys.items():
            if not re.fullmatch(KEY_NAME, name):
                raise ValueError(f"expected a name of letters, digits, `.`, `_` and `-`, a letter first, got {name!r}")
            if (other := names.setdefault(key.sha256, name)) != name:
                raise ValueError(f"expected a key of its own for {name}, got that of {other}")
        return keys

    @property
    def unguarded(self) -> str | None:
        """Why it is not to be listened on so: everyone who reaches the address could do all."""
        if self.keys or self.open or is_loopback(self.host):
            return None
        return (
            "expected a loopback address (127.0.0.1, ::1, localhost), or keys (`visaged keys new`), or `open: true`, "
            f"which lets everyone in, got {self.host} without keys"
        )
