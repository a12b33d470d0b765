"""Resuming a run from the plain dict in `StrategyEvent.state` (made by `Run.state`)."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan
from pruneviz.strategies.base import Strategy
from pruneviz.strategies.run import Run

SINCE = {"repair": False, "teacher": False}
"""Options that a run may have begun before: what it did then, whatever the default is now."""


def as_begun(
    strategy: Strategy, options: Mapping[str, Any], state: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return a run's options; those it began before keep what it did, unless they are given."""
    settings = state.get("settings") if isinstance(state, Mapping) else None
    if not isinstance(settings, Mapping):
        return dict(options)
    before = SINCE.keys() & strategy.defaults.keys() - settings.keys()
    return {name: SINCE[name] for name in before} | dict(options)


def restore(run: Run, state: Mapping[str, Any]) -> None:
    """Make a run continue where `state` was saved.

    Raises:
        InvalidValueError: It is not a strategy's state, or that of a run with other settings.
    """
    if not isinstance(state, Mapping) or not {"settings", "removed", "done"} <= set(state):
        raise InvalidValueError("resume must be the state of an event of run_strategy.")
    # What a run from before an option was there did is what the option does by default.
    given = run.settings()
    original = run.strategy.defaults | SINCE | dict(state["settings"])
    for name in given:
        if json.dumps(given[name]) != json.dumps(original.get(name)):
            raise InvalidValueError(
                f"A run is resumed with the settings it was started with: {name} was "
                f"{original.get(name)!r}, but got {given[name]!r}; pass the original value, or "
                "start a new run."
            )
    run.load(Plan.from_json(run.graph, state["removed"]), state["model"])
    run.plan = Plan.from_json(run.graph, state["plan"])
    run.training = dict(state["training"])
    run.memory = copy.deepcopy(state["memory"])
    run.done = list(state["done"])
    run.step, run.steps = state["step"], state["steps"]
    run.passes = state["passes"]
