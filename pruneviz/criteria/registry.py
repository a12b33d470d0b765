"""The criteria by name: what each of them says of itself, and how it scores units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pruneviz.arguments import one_of, several
from pruneviz.errors import InvalidValueError

if TYPE_CHECKING:
    import pandas as pd

    from pruneviz.criteria.evidence import Evidence

FloatArray = npt.NDArray[np.float64]

# One file a criterion or family of criteria; each lists its own in CRITERIA.
FILES = ("weights", "activations", "gradients", "conductance", "oracle", "chance")


def _always(_evidence: Evidence) -> bool:
    return True


@dataclass(frozen=True)
class Criterion:
    """A way to score filters; higher = keep."""

    name: str
    title: str
    help: str
    """One sentence for somebody who has not read the paper."""
    formula: str
    paper: str
    score: Callable[[Evidence], FloatArray]
    """Evidence -> (num_units,) scores; those of units that cannot go are ignored."""
    gathers: frozenset[str] = frozenset()
    """What the shared pass must gather for it (names of `Statistics` fields)."""
    needs_data: bool = False
    needs_gradient: bool = False
    own_pass: bool = False
    """Whether it runs the network by itself instead of reading the shared pass: slow."""
    applies: Callable[[Evidence], bool] = _always
    """Whether the network has what it looks at; where it has not, `score` refuses."""
    same_unit: bool = False
    """Whether its scores are in one unit over all layers (a loss, or its square), so that they
    compare as they are. Measured against the oracle over all units, those do better raw than
    l2-normalised; Taylor, a mean over positions, needs the normalisation of its paper."""


@lru_cache(maxsize=1)
def _builtin() -> dict[str, Criterion]:
    found: dict[str, Criterion] = {}
    for file in FILES:
        for criterion in import_module(f"pruneviz.criteria.{file}").CRITERIA:
            found[criterion.name] = criterion
    return found


def registered() -> dict[str, Criterion]:
    """Every criterion by its name."""
    return dict(_builtin())


def find_criterion(name: str) -> Criterion:
    """The criterion of that name; `UnknownNameError` lists the choices."""
    known = _builtin()
    return known[one_of("criterion", name, known)]


def chosen(names: str | Iterable[str]) -> list[Criterion]:
    """The criteria of these names, each once; at least one."""
    wanted = [names] if isinstance(names, str) else several("criteria", names)
    if not wanted:
        raise InvalidValueError(
            "A ranking needs at least one criterion, but got none; name one, such as 'l1'."
        )
    found = [find_criterion(name) for name in wanted]
    return list({criterion.name: criterion for criterion in found}.values())


def criteria() -> pd.DataFrame:
    """One row a criterion: name, title, what it means, its formula, what it needs, its paper."""
    import pandas as pd

    rows = [
        (c.name, c.title, c.help, c.formula, c.needs_data, c.needs_gradient, c.own_pass, c.paper)
        for c in _builtin().values()
    ]
    names = "name title help formula needs_data needs_gradient own_pass paper"
    return pd.DataFrame(rows, columns=names.split())
