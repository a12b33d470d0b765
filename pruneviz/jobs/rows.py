"""Rows of the records as frozen views; one that cannot be read says so and hides no others.

SQLite keeps any value in any column, and files get damaged, edited by hand or written by other
versions. A value of the wrong kind is replaced by an empty one, and the view tells which.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pruneviz.errors import InvalidValueError
from pruneviz.jobs.columns import Unreadable
from pruneviz.jobs.schema import Metric, Run
from pruneviz.jobs.views import MetricView, RunSpec, RunView

EMPTY: dict[type, Any] = {str: "", float: 0.0, int: 0}
UNREADABLE = (
    "The record of this run cannot be read whole ({damage}). Delete the run, or restore an "
    "earlier copy of the records."
)


def view(run: Run) -> RunView:
    """Return the frozen view of a run."""
    values, wrong = _checked(run, _RUN)
    values["id"] = str(run.id)
    try:
        values["spec"] = _spec(run.spec)
    except InvalidValueError as error:
        values["spec"] = RunSpec(values["kind"])
        wrong.append(f"specification: {str(error).rstrip('.')}")
    if wrong:
        damage = "; ".join(wrong)
        values["damage"] = damage
        values["error"] = values["error"] or UNREADABLE.format(damage=damage)
    return RunView(**values)


def metric(row: Metric) -> MetricView:
    """Return the frozen view of a row of history."""
    values, _ = _checked(row, _METRIC)
    extra = row.extra
    return MetricView(**values, extra=extra if isinstance(extra, Mapping) else {})


def _spec(stored: Any) -> RunSpec:
    if isinstance(stored, Unreadable):
        raise InvalidValueError(f"It is no JSON any more ({stored.reason}).")
    if not isinstance(stored, Mapping):
        got = type(stored).__name__
        raise InvalidValueError(f"A run's specification must be a mapping, but got {got}.")
    return RunSpec.from_dict(stored)


def _checked(row: object, kinds: Mapping[str, _Kind]) -> tuple[dict[str, Any], list[str]]:
    """Return the values by name, and the names of those that were replaced."""
    values, wrong = {}, []
    for name, kind in kinds.items():
        value = getattr(row, name)
        if not kind.holds(value):
            value = kind.empty
            wrong.append(name)
        values[name] = value
    return values, wrong


@dataclasses.dataclass(frozen=True)
class _Kind:
    """What a column may hold, and what replaces anything else."""

    allowed: tuple[type, ...]
    choices: tuple[str, ...]
    empty: Any

    def holds(self, value: Any) -> bool:
        """Tell whether a value is one of this kind."""
        if self.choices:
            return value in self.choices
        finite = not isinstance(value, float) or math.isfinite(value)
        return isinstance(value, self.allowed) and finite


def _kind(hint: Any) -> _Kind:
    if get_origin(hint) is Literal:
        return _Kind((str,), get_args(hint), "failed")
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    optional = type(None) in parts
    main = next(part for part in parts if part is not type(None))
    allowed = (int, float) if main is float else (main,)
    none = (type(None),) if optional else ()
    return _Kind((*allowed, *none), (), None if optional else EMPTY[main])


def _kinds(of: type, but: set[str]) -> dict[str, _Kind]:
    return {name: _kind(hint) for name, hint in get_type_hints(of).items() if name not in but}


_RUN = _kinds(RunView, {"spec", "damage", "id"})
_METRIC = _kinds(MetricView, {"extra"})
