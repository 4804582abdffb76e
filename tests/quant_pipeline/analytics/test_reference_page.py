"""The reference page is what the docstrings say, and every public name says enough."""

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from quant_pipeline import analytics

GENERATOR = Path(__file__).parents[3] / "docs" / "generate_analytics.py"
FUNCTIONS = [name for name in analytics.__all__ if inspect.isfunction(getattr(analytics, name))]
RESULTS = [name for name in analytics.__all__ if inspect.isclass(getattr(analytics, name))]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_analytics", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(generator: ModuleType) -> None:
    current = generator.PAGE.read_text(encoding="utf-8") == generator.render()
    assert current, "docs/analytics.md is stale: run `uv run python docs/generate_analytics.py`"


def test_the_page_holds_every_public_name(generator: ModuleType) -> None:
    headings = set(re.findall(r"^### (\w+)$", generator.render(), flags=re.MULTILINE))
    assert headings >= set(analytics.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_states_formula_units_source_and_example(name: str) -> None:
    text = inspect.getdoc(getattr(analytics, name)) or ""
    for section in ("Formula", "Units", "Returns", "Raises", "References", "Examples"):
        assert re.search(rf"^{section}\n-{{{len(section)}}}$", text, flags=re.MULTILINE), section
    assert f">>> {name}(" in text or f"{name}(" in text.split("Examples\n")[1]


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_is_frozen_and_says_whether_it_is_defined(name: str) -> None:
    result = getattr(analytics, name)
    assert (inspect.getdoc(result) or "").strip()
    assert result.__dataclass_params__.frozen
