from typing import Any, get_args

import pytest

from daemon.http.services.catalogue import (
    LIVENESS_MODULES,
    Comparison,
    Detection,
    Estimation,
    IfMissing,
    Service,
    Steps,
    services,
)
from daemon.http.settings import LivenessModule
from daemon.wire.v1 import V1
from daemon.wire.v2 import V2
from processors.chain import requirements
from processors.registry import PROCESSORS
from processors.types import Box

ALL: dict[str, Service] = dict(services("face-detector-liveness-estimator"))
ALL.update({module: service for module, service in LIVENESS_MODULES.items()})


def steps(chain: Steps) -> list[Any]:
    return [PROCESSORS[step.processor if isinstance(step, IfMissing) else step] for step in chain]


@pytest.mark.parametrize("name", [name for name, service in ALL.items() if isinstance(service, Detection)])
def test_what_detects_makes_what_it_emits_from_a_picture_alone(name: str) -> None:
    service = ALL[name]
    assert isinstance(service, Detection)
    detector, *others = steps((service.detector, *service.chain))
    needs, makes = requirements([detector, *others])
    assert needs == frozenset()
    assert service.emits <= makes
    assert detector.applies_to == service.label
    assert Box in detector.makes


@pytest.mark.parametrize("name", [name for name, service in ALL.items() if isinstance(service, Estimation)])
def test_what_estimates_needs_no_more_than_boxes(name: str) -> None:
    service = ALL[name]
    assert isinstance(service, Estimation)
    needs, makes = requirements(steps(service.chain))
    assert needs <= {Box}
    assert service.emits <= makes
    assert {step.applies_to for step in steps(service.chain)} == {"face"}


@pytest.mark.parametrize("name", ALL)
def test_each_version_can_write_what_a_service_emits(name: str) -> None:
    service = ALL[name]
    if not isinstance(service, Comparison):
        for version in (V1, V2):
            assert service.emits <= version.members.keys()


def test_each_liveness_module_can_be_chosen() -> None:
    assert set(LIVENESS_MODULES) == set(get_args(LivenessModule))
    for module, service in LIVENESS_MODULES.items():
        assert services(module)["face-detector-liveness-estimator"] is service
