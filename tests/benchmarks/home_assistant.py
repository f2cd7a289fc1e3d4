"""Asks Home Assistant's own package whether it takes what we publish for its discovery, in an environment of its own:

python3.13 -m venv HA && HA/bin/pip install 'homeassistant==2025.1.4' 'paho-mqtt==1.6.1'
.venv/bin/python -m tests.benchmarks.home_assistant HA/bin/python
"""

import itertools
import subprocess
import sys
import tempfile

from daemon.wire.codec import encode, parse
from daemon.wire.homeassistant import Device, Picture, farewell, mark, slug

BASE = "visaged/homeassistant"
CHECK = """
import asyncio, json, sys
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant
from homeassistant.components.mqtt import binary_sensor, discovery, image, sensor, switch

async def main():
    hass, taken, removed = HomeAssistant(sys.argv[1]), 0, 0
    platforms = {"sensor": sensor, "binary_sensor": binary_sensor, "image": image, "switch": switch}
    for payload in json.load(sys.stdin):
        device = discovery._parse_device_payload(hass, json.dumps(payload), "device", None)
        assert device, payload
        for component in device["components"].values():
            platform = platforms[component.pop("platform")]
            if not component:
                removed += 1
                continue
            component = discovery.MQTTDiscoveryPayload(component)
            discovery._merge_common_device_options(component, device)
            component |= {"device": device["device"], "origin": device["origin"]}
            platform.DISCOVERY_SCHEMA(dict(component))
            taken += 1
    print(f"Home Assistant {__version__} takes {taken} components, and takes {removed} away")

asyncio.run(main())
"""


def payloads() -> list[object]:
    """Of all kinds of devices; and of what is said when a device loses all but one of its components."""
    pictures: tuple[Picture, ...] = (None, "url", "bytes")
    counted = [(None, "body"), (None, "face"), ("Till 1", "body"), ("\u043a\u0430\u0441\u0441\u0430", "face")]
    device = f"{mark('visaged')}{slug('Front door')}"
    after = Device(device, "Front door", counted[:1], None, False).discovery(BASE, "1.0")
    found: list[object] = []
    for picture, has_switch in itertools.product(pictures, (False, True)):
        before = Device(device, "Front door", counted, picture, has_switch).discovery(BASE, "1.0")
        found += [parse(before), parse(farewell(before, after) or b"")]
    return found


def main(python: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-c", CHECK, folder], input=encode(payloads()), check=True)


if __name__ == "__main__":
    main(sys.argv[1])
