from typing import Any

import pytest

from daemon.http.services import SERVICES
from daemon.wire.v1 import V1
from daemon.wire.v2 import V2
from processors.chain import requirements
from processors.registry import PROCESSORS
from processors.types import Box


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_makes_what_it_emits_from_a_picture_alone(name: str) -> None:
    service = SERVICES[name]
    steps: list[Any] = [PROCESSORS[step] for step in service.chain]
    needs, makes = requirements(steps)
    assert needs == frozenset()
    assert service.emits <= makes
    assert steps[0].applies_to == service.detects
    assert Box in steps[0].makes


@pytest.mark.parametrize("name", SERVICES)
def test_each_version_can_write_what_a_service_emits(name: str) -> None:
    for version in (V1, V2):
        assert SERVICES[name].emits <= version.members.keys()
