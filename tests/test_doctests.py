"""The examples in the docstrings of public names run as they stand, on the bundled digits."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from typing import Any

import pytest

import pruneviz as pv

# Those of the core; the others stand in their own parts' documentation.
DOCUMENTED = [
    "trace",
    "Plan",
    "threshold",
    "cost",
    "mask",
    "prune",
    "rank",
    "Ranking",
    "evaluate",
    "sensitivity",
    "repair",
    "statistics",
    "recalibrate",
    "fine_tune",
    "run_strategy",
    "Course",
    "narrow_branches",
    "latency",
    "width_latency",
    "register",
    "Task",
    "export",
]
SLOW = ("allocate",)


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What examples may use beside what they make: a trained network, its graph, its data."""
    data = pv.load_dataset("digits")
    model = pv.load_model("resnet20", weights="digits")
    graph = pv.trace(model, data.input_shape)
    return {"pv": pv, "data": data, "model": model, "graph": graph}


def examples(name: str) -> Iterator[doctest.DocTest]:
    value = getattr(pv, name)
    finder = doctest.DocTestFinder(recurse=False, exclude_empty=True)
    yield from (t for t in finder.find(value, name, module=False) if t.examples)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*DOCUMENTED, *(pytest.param(name, marks=pytest.mark.sweep) for name in SLOW)]
)
def test_the_example_runs(name: str, names: dict[str, Any]) -> None:
    tests = list(examples(name))
    assert tests, f"the docstring of pv.{name} has no example"
    for example in tests:
        skipped = [e.source for e in example.examples if e.options.get(doctest.SKIP)]
        assert not skipped
        example.globs = dict(names)
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example)
        assert result.failed == 0
