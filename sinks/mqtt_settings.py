"""How an MQTT broker is reached, and what goes there. Apart from it: a configuration loads without paho-mqtt."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from configs.section import Section
from sinks.base import Linger
from sinks.selection import SparingSelection
from sinks.tls import Tls


def _topic(value: str) -> str:
    if value.startswith(("/", "$")) or value.endswith("/") or set(value) & set("+#\0"):
        raise ValueError("expected levels between /, none of them empty, without + and #")
    return value


Topic = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_topic)]


class HomeAssistantSettings(Section):
    discovery_prefix: Topic = Field("homeassistant", description="Home Assistant's own discovery prefix.")
    hold: float = Field(
        5.0,
        ge=0,
        description="Seconds for which presence stays on after nobody was seen any more, so that a person who turns "
        "away is one presence. Counts have no such delay.",
    )
    snapshot: bool = Field(
        False,
        description="Send a picture of each stream when somebody comes. It stays in the broker, for all who may read "
        "there. false: pictures are shown by the URLs that the events of tracks have (tracking.events.image_url).",
    )
    command: bool = Field(
        False,
        description="A switch for each stream, by which all who may write to the broker pause and resume it. false: "
        "none, and commands are not listened to.",
    )


class MqttSettings(SparingSelection):
    type: Literal["mqtt"]
    linger: Linger = 0.01
    host: str = Field(min_length=1, description="The broker's host. It must speak MQTT 5.")
    port: int | None = Field(None, ge=1, le=65535, description="The broker's port. null: 8883 with tls, else 1883.")
    tls: Tls | None = Field(
        None, description="Encrypt the connection with TLS. {}: trust the system's certificates. null: no encryption."
    )
    username: str | None = Field(None, description="The user name. null: no login.")
    password: SecretStr | None = Field(
        None,
        description="The password. Better write ${VAR} or ${file:PATH} here, or the file's path as `password_file`, or "
        "set it in the environment: VISAGED_SINKS__<NAME>__PASSWORD. null: none.",
    )
    client_id: str = Field(
        "visaged",
        min_length=1,
        max_length=100,
        description="The name of this client at the broker. Each client has its own: of two with the same name each "
        "ends the other's connection.",
    )
    topic: Topic = Field(
        "visaged",
        description="What all topics begin with. Documents go to <topic>/documents/<stream>/frame, track or place. "
        "Each daemon at a broker has its own.",
    )
    timeout: float = Field(
        10.0, gt=0, description="Seconds in which the broker must answer. After that the connection is made anew."
    )
    session_expiry: int = Field(
        300,
        ge=0,
        le=0xFFFFFFFF,
        description="Seconds for which the broker keeps commands for a daemon whose connection was lost. 0: none.",
    )
    max_record_bytes: int = Field(
        1_000_000,
        ge=1000,
        description="Maximum size of a document in bytes; less where the broker takes less. A larger one is sent "
        "without its pictures. If it is still too large, it is refused and counted.",
    )
    home_assistant: HomeAssistantSettings | None = Field(
        None,
        description="Show streams in Home Assistant: who is there, in each zone too, and whether the stream runs. {}: "
        "with the defaults. null: nothing is shown.",
    )

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port or (1883 if self.tls is None else 8883)}"
