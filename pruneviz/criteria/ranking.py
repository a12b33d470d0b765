"""A ranking: how much each unit matters, by one or several criteria. Loads without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from pruneviz import stored
from pruneviz.arguments import number, one_of, whole
from pruneviz.channels import ChannelGraph, check_graph
from pruneviz.criteria.agreement import disagreements, spearman
from pruneviz.criteria.registry import registered
from pruneviz.drawing import Shown, draw
from pruneviz.errors import InvalidValueError, StorageError, shown

if TYPE_CHECKING:
    import pandas as pd

    from pruneviz.plan import Plan

FORMAT = "pruneviz-ranking/1"

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking(Shown):
    """Scores of all units by one or several criteria; higher = keep.

    Example:
        >>> ranking = pv.rank(model, graph, None, ["l1", "l2"])
        >>> 0.9 < ranking.correlation("l1", "l2") <= 1
        True
    """

    graph: ChannelGraph
    scores: Mapping[str, FloatArray] = field(repr=False)
    """Criterion -> (num_units,) scores, nan for units that cannot be pruned; read-only."""
    images: int = 0
    """Images seen by the criteria that need data; 0 where none does."""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        checked: dict[str, FloatArray] = {}
        for name, values in self.scores.items():
            array = np.array(values, dtype=np.float64)
            if array.shape != (self.graph.num_units,):
                raise InvalidValueError(
                    f"Criterion '{name}' must score each of the {self.graph.num_units} units once, "
                    f"but got scores of shape {array.shape}."
                )
            array[~self.graph.prunable] = np.nan
            array.setflags(write=False)
            checked[name] = array
        object.__setattr__(self, "scores", MappingProxyType(checked))

    def __reduce__(self) -> tuple[Any, ...]:
        return Ranking, (self.graph, dict(self.scores), self.images, self.seconds)

    def __repr__(self) -> str:
        return f"Ranking({', '.join(self.scores)}; {self.graph.num_units} units)"

    @property
    def criteria(self) -> tuple[str, ...]:
        """The names of the criteria that it holds."""
        return tuple(self.scores)

    def of(self, criterion: str) -> FloatArray:
        """(num_units,) raw scores; `UnknownNameError` for a criterion it does not hold."""
        return self.scores[one_of("criterion", criterion, self.scores)]

    def comparable(self, criterion: str) -> FloatArray:
        """(num_units,) scores that can be compared over groups.

        Each group's scores are divided by their l2 norm (Molchanov et al. 2016, section 2.2);
        scores that estimate the loss itself (such as the oracle's) are in one unit already and
        stay as they are.
        """
        scores = self.of(criterion)
        known = registered().get(criterion)
        if known is not None and known.same_unit:
            return scores
        out = normalised(self.graph, scores)
        out.setflags(write=False)
        return out

    def layer(self, criterion: str, layer: str) -> FloatArray:
        """(out_channels,) the scores of a layer's filters, each that of its unit."""
        return self.of(criterion)[self.graph.layer(layer).units]

    @overload
    def correlation(self, a: str, b: str, per: Literal["all"] = "all") -> float: ...
    @overload
    def correlation(self, a: str, b: str, per: Literal["layer", "group"]) -> dict[str, float]: ...
    def correlation(
        self, a: str, b: str, per: Literal["all", "layer", "group"] = "all"
    ) -> float | dict[str, float]:
        """Spearman's rank correlation of two criteria, -1..1.

        With per="all", one number over all prunable units, by `comparable` scores; with "layer" or
        "group", a number for each that has at least three prunable units. nan where one of the two
        gives all units the same score.
        """
        one_of("way to correlate", per, ("all", "layer", "group"))
        if per == "all":
            units = np.flatnonzero(self.graph.prunable)
            return spearman(self.comparable(a)[units], self.comparable(b)[units])
        x, y = self.of(a), self.of(b)
        places = (
            {g.name: np.asarray(g.units) for g in self.graph.prunable_groups}
            if per == "group"
            else {
                n.name: np.unique(n.units[self.graph.prunable[n.units]]) for n in self.graph.layers
            }
        )
        return {n: spearman(x[u], y[u]) for n, u in places.items() if len(u) >= 3}

    def disagreements(self, a: str, b: str, n: int = 10) -> pd.DataFrame:
        """The n units on which two criteria differ most: their ranks within the group, 0..1."""
        whole("n", n)
        return disagreements(self.graph, {a: self.of(a), b: self.of(b)}, n)

    def to_frame(self) -> pd.DataFrame:
        """One row per prunable unit: unit, group, index within the group, filters, scores."""
        import pandas as pd

        units = np.flatnonzero(self.graph.prunable)
        groups = [self.graph.group_of(int(u)) for u in units]
        filters = [
            ", ".join(
                f"{name} [{', '.join(map(str, of))}]"
                for name, of in self.graph.members(int(u)).items()
            )
            for u in units
        ]
        columns: dict[str, Any] = {
            "unit": units,
            "group": [g.name for g in groups],
            "index": [int(u) - g.start for u, g in zip(units, groups, strict=True)],
            "filters": filters,
        }
        return pd.DataFrame(columns | {name: s[units] for name, s in self.scores.items()})

    def figure(
        self,
        criterion: str | None = None,
        plan: Plan | None = None,
        *,
        dark: bool = False,
        height: int | None = None,
    ) -> Any:
        """Every layer's sorted scores by one criterion (the first unless named)."""
        return draw(self, criterion=criterion, plan=plan, dark=dark, height=height)

    def __or__(self, other: Ranking) -> Ranking:
        """Both rankings' criteria; where both hold one, the right one's scores are taken."""
        if not isinstance(other, Ranking):
            return NotImplemented
        if self.graph.digest != other.graph.digest:
            raise InvalidValueError(
                "Two rankings can be joined only where both are of the same network, but these are "
                f"of {self.graph.digest} and {other.graph.digest}."
            )
        return Ranking(
            self.graph,
            {**self.scores, **other.scores},
            max(self.images, other.images),
            self.seconds + other.seconds,
        )

    # -- storing it ----------------------------------------------------------------------------

    def to_json(self) -> str:
        """The ranking as text; `from_json` gives the same scores again, to the last bit."""
        units = self.graph.prunable
        return json.dumps(
            {
                "format": FORMAT,
                "network": self.graph.digest,
                "images": self.images,
                "seconds": self.seconds,
                "scores": {name: s[units].tolist() for name, s in self.scores.items()},
            }
        )

    @classmethod
    def from_json(cls, graph: ChannelGraph, text: str | bytes) -> Ranking:
        """Read a ranking of this network back.

        Raises:
            InvalidValueError: The text is no ranking, or one of another network.
        """
        check_graph(graph)
        data = stored.read(text, "A ranking", FORMAT, dict)
        if data.get("network") != graph.digest:
            raise InvalidValueError(
                "This ranking was made for another network (its structure is "
                f"{shown(data.get('network'))}, this one's is {graph.digest}). Rank this network "
                "instead."
            )
        units = np.flatnonzero(graph.prunable)
        scores: dict[str, FloatArray] = {}
        try:
            for name, values in data["scores"].items():
                scores[name] = np.full(graph.num_units, np.nan)
                scores[name][units] = np.array(values, dtype=np.float64)
            images = whole("images", data["images"], 0)
            return cls(graph, scores, images, number("seconds", data["seconds"], 0))
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise InvalidValueError(
                f"This ranking is damaged: it must score each of the {units.size} prunable units "
                f"by every criterion ({error}). Rank the network again."
            ) from None

    def save(self, path: str | Path) -> Path:
        """Write it as JSON; `StorageError` where that cannot be done."""
        target = Path(path)
        try:
            target.write_text(self.to_json())
        except OSError as error:
            raise StorageError(f"The ranking cannot be written to {target}: {error}.") from None
        return target

    @classmethod
    def load(cls, graph: ChannelGraph, path: str | Path) -> Ranking:
        """Read what `save` wrote."""
        try:
            text = Path(path).read_text()
        except OSError as error:
            raise StorageError(f"There is no ranking to read at {path}: {error}.") from None
        return cls.from_json(graph, text)


def normalised(graph: ChannelGraph, scores: FloatArray) -> FloatArray:
    """Divide scores (num_units,) by their l2 norm within each group, nan left aside."""
    out = scores.copy()
    for group in graph.prunable_groups:
        own = out[group.start : group.start + group.width]
        norm = float(np.sqrt(np.nansum(own**2)))
        if norm > 0:
            own /= norm
    return out
