"""Resuming a run from the plain dict in `StrategyEvent.state` (made by `Run.state`)."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan
from pruneviz.strategies.run import Run


def restore(run: Run, state: Mapping[str, Any]) -> None:
    """Make a run continue where `state` was saved.

    Raises:
        InvalidValueError: It is not a strategy's state, or that of a run with other settings.
    """
    if not isinstance(state, Mapping) or not {"settings", "removed", "done"} <= set(state):
        raise InvalidValueError("resume must be the state of an event of run_strategy.")
    # What a run from before an option was there did is what the option does by default; there was
    # no repair.
    given = run.settings()
    original = run.strategy.defaults | {"repair": False} | dict(state["settings"])
    for name in given:
        if json.dumps(given[name]) != json.dumps(original.get(name)):
            raise InvalidValueError(
                f"A run is resumed with the settings it was started with: {name} was "
                f"{original.get(name)!r}, but got {given[name]!r}; pass the former, or start "
                "a new run."
            )
    run.load(Plan.from_json(run.graph, state["removed"]), state["model"])
    run.plan = Plan.from_json(run.graph, state["plan"])
    run.training = dict(state["training"])
    run.memory = copy.deepcopy(state["memory"])
    run.done = list(state["done"])
    run.step, run.steps = state["step"], state["steps"]
    run.passes = state["passes"]
