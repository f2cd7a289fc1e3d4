"""The examples in the docstrings of what others build on."""

import doctest
import importlib

import pytest

MODULES = ["processors.types", "processors.estimator", "daemon.sources.base", "daemon.wire", "sinks.base"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_say_what_happens(name: str) -> None:
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted > 0
    assert failed == 0
