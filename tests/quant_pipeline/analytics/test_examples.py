"""Every example in the analytics' docstrings runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

from quant_pipeline import analytics

MODULES = [module.name for module in pkgutil.iter_modules(analytics.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name: str) -> None:
    module = importlib.import_module(f"quant_pipeline.analytics.{name}")
    assert doctest.testmod(module).failed == 0
