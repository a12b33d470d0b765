"""A plan: which units are pruned. An immutable value; everything else is computed from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from pruneviz import plan_text
from pruneviz.arguments import instance, several
from pruneviz.channels import BoolArray, ChannelGraph, check_graph
from pruneviz.drawing import Shown
from pruneviz.errors import PlanError, shown
from pruneviz.stages import group_title


class Plan(Shown):
    """The set of units of a network to prune.

    Every method returns a new plan. One that would empty a group, or prune channels that must
    stay, raises a `PlanError` that says why.

    Example:
        >>> plan = pv.Plan(graph).drop("layer1.0.conv1", [3, 5])
        >>> plan.by_group()
        {'layer1.0.conv1': (3, 5)}
    """

    __slots__ = ("_kept", "graph")

    graph: ChannelGraph
    _kept: BoolArray

    def __init__(self, graph: ChannelGraph, dropped: Iterable[int] = ()) -> None:
        check_graph(graph)
        kept = np.ones(graph.num_units, dtype=bool)
        units = _units(graph, dropped)
        kept[units] = False
        _accept(graph, kept)
        kept.setflags(write=False)
        object.__setattr__(self, "graph", graph)
        object.__setattr__(self, "_kept", kept)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"A plan is immutable; make a new one instead of setting '{name}'.")

    def __reduce__(self) -> tuple[type[Plan], tuple[ChannelGraph, tuple[int, ...]]]:
        return Plan, (self.graph, self.dropped)

    # -- reading it ---------------------------------------------------------------------------

    @property
    def kept(self) -> BoolArray:
        """(num_units,) True for units that stay; read-only."""
        return self._kept

    @property
    def dropped(self) -> tuple[int, ...]:
        """Global indices of the pruned units, ascending."""
        return tuple(np.flatnonzero(~self._kept).tolist())

    def by_group(self) -> dict[str, tuple[int, ...]]:
        """Group name -> indices, within the group, of the pruned units."""
        pruned: dict[str, tuple[int, ...]] = {}
        for group in self.graph.prunable_groups:
            gone = np.flatnonzero(~self._kept[group.start : group.start + group.width])
            if gone.size:
                pruned[group.name] = tuple(gone.tolist())
        return pruned

    def dropped_filters(self, layer: str) -> tuple[int, ...]:
        """The pruned filters of a layer, chosen there or coupled with filters chosen elsewhere."""
        return tuple(np.flatnonzero(~self._kept[self.graph.layer(layer).units]).tolist())

    def ratios(self) -> dict[str, float]:
        """Group name -> pruning ratio, 0..1, for every prunable group."""
        return {
            g.name: float(1 - self._kept[g.start : g.start + g.width].mean())
            for g in self.graph.prunable_groups
        }

    @property
    def ratio(self) -> float:
        """Fraction of all prunable units that are pruned, 0..1."""
        return len(self) / max(int(self.graph.prunable.sum()), 1)

    def __len__(self) -> int:
        return int((~self._kept).sum())

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Plan):
            return NotImplemented
        same = self.graph is other.graph or self.graph.digest == other.graph.digest
        return same and self.by_group() == other.by_group()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        total = int(self.graph.prunable.sum())
        return f"Plan({len(self)} of {total} units pruned)"

    # -- changing it ---------------------------------------------------------------------------

    def drop(self, layer: str, filters: int | Iterable[int]) -> Plan:
        """Also prune these filters of a layer, and all filters coupled with them.

        Raises:
            UnknownNameError: There is no such layer.
            PlanError: A filter does not exist, cannot be pruned, or is the last of its group.
        """
        return self.drop_units(self._units_of(layer, filters, "drop"))

    def keep(self, layer: str, filters: int | Iterable[int]) -> Plan:
        """Keep these filters of a layer after all, and all filters coupled with them."""
        return self.keep_units(self._units_of(layer, filters, "keep"))

    def drop_units(self, units: Iterable[int]) -> Plan:
        """Also prune these units, given by their global indices."""
        return self._with(_units(self.graph, units), False)

    def keep_units(self, units: Iterable[int]) -> Plan:
        """Keep these units after all, given by their global indices."""
        return self._with(_units(self.graph, units), True)

    def _with(self, units: npt.NDArray[np.int64], value: bool) -> Plan:
        kept = self._kept.copy()
        kept[units] = value
        _accept(self.graph, kept)
        return from_kept(self.graph, kept)

    def _units_of(self, layer: str, filters: int | Iterable[int], verb: str) -> list[int]:
        entry = self.graph.layer(layer)
        single = isinstance(filters, (int, np.integer))
        wanted: list[Any] = [filters] if single else several("Filters", filters, PlanError)
        units = []
        for index in wanted:
            whole = isinstance(index, (int, np.integer)) and not isinstance(index, bool)
            if not whole or not 0 <= int(index) < entry.out_channels:
                raise PlanError(
                    f"Layer '{layer}' has {entry.out_channels} filters; cannot {verb} filter "
                    f"{shown(index)}. Filters are numbered from 0 to {entry.out_channels - 1}."
                )
            units.append(int(entry.units[int(index)]))
        stuck = [u for u in units if not self.graph.prunable[u]]
        if stuck and verb == "drop":
            reason = self.graph.group_of(stuck[0]).reason
            raise PlanError(f"Filters of layer '{layer}' cannot be pruned: it {clause(reason)}.")
        return units

    # -- storing it ----------------------------------------------------------------------------

    def to_json(self) -> str:
        """The plan as text; `from_json` gives the same plan again."""
        return plan_text.to_json(self.graph, self.by_group())

    @classmethod
    def from_json(cls, graph: ChannelGraph, text: str | bytes) -> Plan:
        """Read a plan of this network from `to_json`'s text.

        Raises:
            PlanError: The text is no plan, or the plan was made for another network.
        """
        return cls(check_graph(graph), plan_text.from_json(graph, text))

    def to_link(self) -> str:
        """The plan as text for an address: characters that need no escaping, as few as can be.

        About one bit a unit at worst: a random half of ResNet-50 takes 1.9 kB, a tenth 0.9 kB.
        `from_link` with the same network, on any machine, gives the same plan.
        """
        return plan_text.to_link(self.graph, self.by_group(), self.digest)

    @classmethod
    def from_link(cls, graph: ChannelGraph, text: str) -> Plan:
        """Read a plan from `to_link`'s text, or from an address that has it as `plan=...`.

        Raises:
            PlanError: The text is no such plan, was cut short, or was made for another network.
        """
        units, digest = plan_text.from_link(check_graph(graph), text)
        plan = cls(graph, units)
        if plan.digest[: plan_text.DIGITS] != digest:
            raise PlanError(plan_text.damaged("its checksum differs"))
        return plan

    @property
    def digest(self) -> str:
        """A short name that equal plans share."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


def check_plan(graph: ChannelGraph, plan: Plan) -> Plan:
    """The plan itself. Raises `PlanError` for anything else, or for another network's plan."""
    check_graph(graph)
    instance("plan", plan, Plan, "pv.Plan(graph) makes one", PlanError)
    if plan.graph is not graph and plan.graph.digest != graph.digest:
        raise PlanError("This plan was made for another network; make it from this graph.")
    return plan


def from_kept(graph: ChannelGraph, kept: BoolArray) -> Plan:
    """The plan that keeps these units, (num_units,); the caller has checked them."""
    kept.setflags(write=False)
    plan = object.__new__(Plan)
    object.__setattr__(plan, "graph", graph)
    object.__setattr__(plan, "_kept", kept)
    return plan


def _units(graph: ChannelGraph, units: Iterable[int]) -> npt.NDArray[np.int64]:
    wanted = several("Units", units, PlanError)
    for unit in wanted:
        whole = isinstance(unit, (int, np.integer)) and not isinstance(unit, bool)
        if not whole or not 0 <= int(unit) < graph.num_units:
            raise PlanError(
                f"The network has {graph.num_units} units, numbered from 0; "
                f"there is no unit {shown(unit)}."
            )
    return np.asarray(wanted, dtype=np.int64)


def _accept(graph: ChannelGraph, kept: BoolArray) -> None:
    """Refuse what would break the network."""
    stuck = np.flatnonzero(~kept & ~graph.prunable)
    if stuck.size:
        group = graph.group_of(int(stuck[0]))
        raise PlanError(
            f"Units of group '{group_title(graph, group.name)}' cannot be pruned: "
            f"it {clause(group.reason)}."
        )
    left = np.bincount(graph.group_index, weights=kept, minlength=len(graph.groups))
    for index in np.flatnonzero(left == 0):
        group = graph.groups[int(index)]
        title = group_title(graph, group.name)
        raise PlanError(
            f"Group '{title}' has {group.width} units and at least one must stay; "
            f"cannot drop all {group.width}. Keep one of them."
        )


def clause(reason: str | None) -> str:
    """A reason as the end of 'it ...'."""
    text = reason or "is not prunable"
    return text if not text.startswith("all of its") else f"has one unit only ({text})"
