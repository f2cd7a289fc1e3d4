"""What Home Assistant is told of a stream over MQTT: a device, by its device-based discovery, and the device's state.

https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from daemon.errors import InvalidDocument
from daemon.wire.codec import Members, encode, parse

Counted = tuple[str | None, str]
"""A zone, or None for the whole picture, and a class."""

Picture = Literal["url", "bytes"] | None

ONLINE, OFFLINE, ON, OFF = b"online", b"offline", b"ON", b"OFF"
NAMES: Final[Mapping[str, tuple[str, str]]] = {"body": ("person", "people"), "face": ("face", "faces")}
"""Of one of a class, and of several."""
STATUS, STATE, RUNNING, PICTURE, SET = "status", "state", "running", "picture", "set"
"""The last levels of a device's topics."""
SAID: Final = (STATUS, STATE, RUNNING, PICTURE)
"""Those of what is said; it is retained."""
MOST_OF_A_SLUG: Final = 40


def slug(text: str) -> str:
    """Letters, digits and _ alone, and another for each text."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    short = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:MOST_OF_A_SLUG]
    return f"{short}_{_hash(text)}".lstrip("_")


def mark(topic: str) -> str:
    """What the ids begin with of a daemon's devices, by what its topics begin with."""
    return f"visaged_{_hash(topic)}_"


@dataclass(frozen=True, slots=True)
class Device:
    """A stream."""

    id: str
    name: str
    counted: Sequence[Counted]
    picture: Picture
    """How it comes; None: there is none."""
    has_switch: bool

    def discovery(self, base: str, version: str) -> bytes:
        """`base`: what all topics of the daemon's devices begin with."""
        return encode(
            {
                "device": {
                    "identifiers": [self.id],
                    "name": self.name,
                    "manufacturer": "visaged",
                    "model": "Camera stream",
                    "sw_version": version,
                },
                "origin": {"name": "visaged", "sw_version": version},
                "components": self._components(base),
                "qos": 1,
            }
        )

    def state(self, counts: Mapping[Counted, int], present: Collection[Counted]) -> bytes:
        """`present`: where somebody is, or was until just now."""
        state: Members = {}
        for counted in self.counted:
            state[_key(counted)] = counts.get(counted, 0)
            state[f"{_key(counted)}_present"] = (ON if counted in present else OFF).decode()
        return encode(state)

    def _components(self, base: str) -> Members:
        topics = {level: f"{base}/{self.id}/{level}" for level in (*SAID, SET)}
        daemon, stream = {"topic": f"{base}/{STATUS}"}, {"topic": topics[STATUS]}
        while_it_runs = {"availability": [daemon, stream], "availability_mode": "all"}
        components: Members = {}
        for counted in self.counted:
            key, (one, many) = _key(counted), _names(counted)
            of_state = {"state_topic": topics[STATE], **while_it_runs}
            components[key] = {
                "platform": "sensor",
                "unique_id": f"{self.id}_{key}",
                "name": many,
                "state_class": "measurement",
                "value_template": _value(key),
                **of_state,
            }
            components[f"{key}_present"] = {
                "platform": "binary_sensor",
                "unique_id": f"{self.id}_{key}_present",
                "name": one,
                "device_class": "occupancy",
                "value_template": _value(f"{key}_present"),
                **of_state,
            }
        if self.picture is not None:
            kind = {"url_topic": topics[PICTURE]} if self.picture == "url" else {"image_topic": topics[PICTURE]}
            components[PICTURE] = {
                "platform": "image",
                "unique_id": f"{self.id}_{PICTURE}",
                "name": "Picture",
                **kind,
                **({"content_type": "image/jpeg"} if self.picture == "bytes" else {}),
                **while_it_runs,
            }
        if self.has_switch:
            components[RUNNING] = {
                "platform": "switch",
                "unique_id": f"{self.id}_{RUNNING}",
                "name": "Running",
                "state_topic": topics[RUNNING],
                "command_topic": topics[SET],
                "availability": [daemon],
            }
        return components


def farewell(before: bytes, now: bytes) -> bytes | None:
    """A discovery that takes away the components that are there no more; None: all are.

    Home Assistant keeps what a discovery does not name; a component that has a platform alone it removes.
    """
    try:
        gone = parse(before)["components"]
        after = parse(now)
        left = {key: {"platform": gone[key]["platform"]} for key in gone if key not in after["components"]}
    except (InvalidDocument, TypeError, KeyError, AttributeError):  # it is not ours
        return None
    return encode({**after, "components": {**after["components"], **left}}) if left else None


def image_url(event: bytes) -> str | None:
    """Of an event's picture; None: it has none."""
    url = parse(event).get("object", {}).get("image_url")
    return url if isinstance(url, str) else None


def _key(counted: Counted) -> str:
    zone, label = counted
    return label if zone is None else f"{slug(zone)}_{label}"


def _value(key: str) -> str:
    return f"{{{{ value_json['{key}'] }}}}"


def _names(counted: Counted) -> tuple[str, str]:
    zone, label = counted
    one, many = NAMES[label]
    return (one.capitalize(), many.capitalize()) if zone is None else (f"{zone}: {one}", f"{zone}: {many}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
