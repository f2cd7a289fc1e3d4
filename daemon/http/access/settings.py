"""How access is configured; imports nothing heavy, as every command reads it."""

import ipaddress
import ssl
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, Field, StringConstraints

from configs.section import Section
from daemon.errors import ConfigError

Role = Literal["query", "metrics", "watch", "templates", "control"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

KEY_NAME: Final = r"[A-Za-z][A-Za-z0-9._-]{0,63}"
"""Without a colon, which ends the name in Basic (RFC 7617), and without what a cookie or YAML would read otherwise."""

HostName = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])$", to_lower=True)
]


def _sha256(value: str) -> str:
    if len(value) != 64 or set(value) - set("0123456789abcdef"):  # what came may be the key itself
        raise ValueError("expected the 64 hexadecimal digits that `visaged keys new` prints, got other text")
    return value


class KeySettings(Section):
    sha256: Annotated[str, AfterValidator(_sha256)] = Field(
        description="The SHA-256 of the key, which stands nowhere itself: `visaged keys new NAME --role ROLE` prints "
        "both. Without its key it lets nobody in."
    )
    roles: tuple[Role, ...] = Field(
        min_length=1,
        description="What the key is for. query: the services; metrics: /status and /metrics, of all streams; watch: "
        "what streams see, events and pictures; templates: faces' templates in what is watched, which is without them "
        "otherwise; control: add, change and remove streams.",
    )
    streams: tuple[str, ...] = Field(
        default=("*",),
        description="Ids of the streams that the key may watch and control; * stands for any characters, ? for one, "
        '[ab] for a or b. ["*"]: all. []: none.',
    )
    rate: float | None = Field(
        default=None,
        gt=0,
        description="Requests per second. A second's worth, and one at least, may come at once; further ones are "
        "answered with status 429. null: no limit.",
    )
    concurrent: int | None = Field(
        default=None,
        ge=1,
        description="Requests of the key at the same time; further ones are answered with status 429. null: no limit "
        "but those of all.",
    )


class TlsSettings(Section):
    certificate: Path = Field(
        description="File of the server's certificate and those that lead to its CA, in this order (PEM)."
    )
    key: Path = Field(description="File of the certificate's private key (PEM), without a passphrase.")

    def context(self) -> ssl.SSLContext:
        """Of TLS 1.2 at least. Reads the files: raises ConfigError."""
        for path in (self.certificate, self.key):
            try:
                path.read_bytes()
            except OSError as err:
                raise ConfigError(f"cannot read {path}: {err.strerror}") from err
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_passphrase)
        except ssl.SSLError as err:
            raise ConfigError(
                f"expected a certificate and its private key (PEM), got {self.certificate} and {self.key}, "
                f"which OpenSSL refuses: {err.reason or err}"
            ) from err
        return context


def _no_passphrase() -> str:
    """In the place of OpenSSL's own question on the terminal."""
    raise ConfigError("expected a private key without a passphrase, got an encrypted one")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; of names that is known of localhost alone (RFC 6761)."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
