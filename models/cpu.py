"""What this CPU is."""

import functools
import hashlib
import platform
from collections.abc import Mapping
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
NAMES = ("model name", "CPU implementer", "CPU part")
"""Of /proc/cpuinfo: the first is x86's, the others are Arm's."""


@functools.cache
def cpu_features() -> frozenset[str]:
    """By Linux's names; none where it does not say."""
    processor = _first_processor()
    return frozenset((processor.get("flags") or processor.get("Features", "")).split())


@functools.cache
def cpu_model() -> str:
    """Name and features, these as a hash: a virtual machine may hide some and keep the name."""
    processor = _first_processor()
    name = " ".join(processor[key] for key in NAMES if key in processor) or platform.machine()
    features = hashlib.sha256(" ".join(sorted(cpu_features())).encode()).hexdigest()
    return f"{name} ({features[:8]})"


def _first_processor() -> Mapping[str, str]:
    try:
        text = CPUINFO.read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
