"""A plan: which units go. An immutable value; everything else is computed from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, Literal, Protocol
from urllib.parse import parse_qs, urlsplit

import numpy as np
import numpy.typing as npt

from pruneviz import links, stored
from pruneviz.arguments import instance, one_of, several, whole
from pruneviz.channels import BoolArray, ChannelGraph, Group, check_graph
from pruneviz.drawing import Shown
from pruneviz.errors import InvalidValueError, PlanError, shown

FORMAT = "pruneviz-plan/1"
LINK = "p1."
"""How a plan in a link begins: the version of its code."""

Scope = Literal["group", "global"]


class Scores(Protocol):
    """What `threshold` needs of a ranking (`pruneviz.rank` makes one)."""

    def of(self, criterion: str) -> npt.NDArray[np.float64]:
        """(num_units,) scores, higher = keep."""
        ...

    def comparable(self, criterion: str) -> npt.NDArray[np.float64]:
        """(num_units,) scores made comparable over groups, higher = keep."""
        ...


class Plan(Shown):
    """Which units of a network are removed.

    Every method returns a new plan. A plan that would empty a group, or touch channels that
    cannot go, is refused with a `PlanError` that says why.

    Example:
        >>> plan = Plan(graph).drop("layer1.0.conv1", [3, 5])   # doctest: +SKIP
        >>> plan.by_group()                                     # doctest: +SKIP
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

    # -- what it says --------------------------------------------------------------------------

    @property
    def kept(self) -> BoolArray:
        """(num_units,) True for units that stay; read-only."""
        return self._kept

    @property
    def dropped(self) -> tuple[int, ...]:
        """Global indices of the units that go, ascending."""
        return tuple(np.flatnonzero(~self._kept).tolist())

    def by_group(self) -> dict[str, tuple[int, ...]]:
        """Group name -> indices, within the group, of the units that go."""
        pruned: dict[str, tuple[int, ...]] = {}
        for group in self.graph.prunable_groups:
            gone = np.flatnonzero(~self._kept[group.start : group.start + group.width])
            if gone.size:
                pruned[group.name] = tuple(gone.tolist())
        return pruned

    def dropped_filters(self, layer: str) -> tuple[int, ...]:
        """The filters of a layer that go, whether picked there or tied to a pick elsewhere."""
        return tuple(np.flatnonzero(~self._kept[self.graph.layer(layer).units]).tolist())

    def ratios(self) -> dict[str, float]:
        """Group name -> fraction of its units that go, for every prunable group."""
        return {
            g.name: float(1 - self._kept[g.start : g.start + g.width].mean())
            for g in self.graph.prunable_groups
        }

    @property
    def ratio(self) -> float:
        """Fraction of all prunable units that go."""
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
        """Also drop these filters of a layer, and whatever is tied to them.

        Raises:
            UnknownNameError: There is no such layer.
            PlanError: A filter does not exist, cannot go, or is the last of its group.
        """
        return self.drop_units(self._units_of(layer, filters, "drop"))

    def keep(self, layer: str, filters: int | Iterable[int]) -> Plan:
        """Keep these filters of a layer after all, and whatever is tied to them."""
        return self.keep_units(self._units_of(layer, filters, "keep"))

    def drop_units(self, units: Iterable[int]) -> Plan:
        """Also drop units by their global indices."""
        return self._with(_units(self.graph, units), False)

    def keep_units(self, units: Iterable[int]) -> Plan:
        """Keep units after all, by their global indices."""
        return self._with(_units(self.graph, units), True)

    def _with(self, units: npt.NDArray[np.int64], value: bool) -> Plan:
        kept = self._kept.copy()
        kept[units] = value
        _accept(self.graph, kept)
        return _from_kept(self.graph, kept)

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
            raise PlanError(f"Filters of layer '{layer}' cannot be dropped: it {_clause(reason)}.")
        return units

    # -- storing it ----------------------------------------------------------------------------

    def to_json(self) -> str:
        """The plan as text; `from_json` gives the same plan again."""
        return json.dumps(
            {
                "format": FORMAT,
                "network": self.graph.digest,
                "dropped": {name: list(units) for name, units in self.by_group().items()},
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, graph: ChannelGraph, text: str | bytes) -> Plan:
        """Read a plan back.

        Raises:
            PlanError: The text is no plan, or the plan was made for another network.
        """
        check_graph(graph)
        data = stored.read(text, "A plan", FORMAT, dict, PlanError)
        if data.get("network") != graph.digest:
            raise PlanError(
                "This plan was made for another network (its structure is "
                f"{shown(data.get('network'))}, this one's is {graph.digest}). Load the network "
                "that it was made for."
            )
        dropped = data.get("dropped")
        if not isinstance(dropped, dict):
            raise PlanError('A plan\'s "dropped" maps group names to lists of unit indices.')
        units: list[int] = []
        for name, indices in dropped.items():
            group = graph.group(name)
            if not isinstance(indices, list):
                raise PlanError(
                    f"Group '{name}' needs a list of unit indices, but got {shown(indices)}."
                )
            for index in indices:
                if type(index) is not int or not 0 <= index < group.width:
                    raise PlanError(
                        f"Group '{name}' has {group.width} units, numbered from 0; there is no "
                        f"unit {shown(index)}."
                    )
                units.append(group.start + index)
        return cls(graph, units)

    def to_link(self) -> str:
        """The plan as text for an address: characters that need no escaping, as few as can be.

        About one bit a unit at worst: a random half of ResNet-50 takes 1.9 kB, a tenth 0.9 kB.
        `from_link` with the same network, on any machine, gives the same plan.
        """
        groups = sorted(self.graph.prunable_groups, key=lambda group: group.name)
        gone = self.by_group()
        units = links.encode([g.width for g in groups], [gone.get(g.name, ()) for g in groups])
        head = bytes.fromhex(self.graph.digest[:8] + self.digest[:8])
        return LINK + links.to_text(head + units)

    @classmethod
    def from_link(cls, graph: ChannelGraph, text: str) -> Plan:
        """Read a plan from `to_link`'s text, or from an address that has it as `plan=...`.

        Raises:
            PlanError: The text is no such plan, was cut short, or was made for another network.
        """
        encoded = parse_qs(urlsplit(text).query).get("plan", [text.strip()])[0]
        remedy = "Copy the whole link again."
        if not encoded.startswith(LINK):
            raise PlanError(
                f"A plan in a link begins with '{LINK}', but got '{encoded[:20]}'. {remedy}"
            )
        groups = sorted(graph.prunable_groups, key=lambda group: group.name)
        try:
            content = links.from_text(encoded.removeprefix(LINK))
        except ValueError as error:
            raise PlanError(f"The plan in this link is damaged ({error}). {remedy}") from None
        network, digest = content[:4].hex(), content[4:8].hex()
        if network != graph.digest[:8]:
            raise PlanError(
                f"This link's plan was made for another network (its structure begins with "
                f"{network}, this one's with {graph.digest[:8]}). Load the network that it was "
                "made for."
            )
        try:
            chosen = links.decode([g.width for g in groups], content[8:])
        except ValueError as error:
            raise PlanError(f"The plan in this link is damaged ({error}). {remedy}") from None
        pairs = zip(groups, chosen, strict=True)
        plan = cls(graph, [group.start + index for group, own in pairs for index in own])
        if plan.digest[:8] != digest:
            raise PlanError(f"The plan in this link is damaged or was cut short. {remedy}")
        return plan

    @property
    def digest(self) -> str:
        """A short name that equal plans share."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


def check_plan(graph: ChannelGraph, plan: Plan) -> Plan:
    """The plan itself. Raises `PlanError` where it is none, or another network's."""
    check_graph(graph)
    instance("plan", plan, Plan, "pv.Plan(graph) makes one", PlanError)
    if plan.graph is not graph and plan.graph.digest != graph.digest:
        raise PlanError("This plan was made for another network; make it from this graph.")
    return plan


def _from_kept(graph: ChannelGraph, kept: BoolArray) -> Plan:
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
            f"Units of group '{group.name}' cannot be dropped: it {_clause(group.reason)}."
        )
    left = np.bincount(graph.group_index, weights=kept, minlength=len(graph.groups))
    for index in np.flatnonzero(left == 0):
        group = graph.groups[int(index)]
        raise PlanError(
            f"Group '{group.name}' has {group.width} units and at least one must stay; "
            f"cannot drop all {group.width}. Keep one of them."
        )


def _clause(reason: str | None) -> str:
    """A reason as the end of 'it ...'."""
    text = reason or "is not prunable"
    return text if not text.startswith("all of its") else f"has one unit only ({text})"


def threshold(
    graph: ChannelGraph,
    rank: Scores,
    criterion: str,
    ratio: float | Mapping[str, float],
    scope: Scope = "group",
    *,
    protected: Iterable[str] = (),
    multiple_of: int = 1,
) -> Plan:
    """Drop the units with the lowest scores.

    With scope "group", round(ratio * width) units go from every group; with scope "global",
    round(ratio * all units) go over all groups together, compared by scores that are normalised
    within each layer (Molchanov et al. 2016). At least one unit of every group stays.

    Args:
        graph: The network's channels.
        rank: A ranking that holds the criterion.
        criterion: Its name.
        ratio: Fraction of units removed, 0..1; with scope "group" also a mapping from group name
            to ratio (groups that it does not name stay whole).
        scope: "group" or "global".
        protected: Groups that stay whole.
        multiple_of: Units kept in a group are rounded up to a multiple of this.

    Raises:
        InvalidValueError: A ratio outside 0..1, or `multiple_of` below 1.
        UnknownNameError: An unknown criterion, group or scope.
    """
    check_graph(graph)
    one_of("scope", scope, ("group", "global"))
    whole("multiple_of", multiple_of)
    safe = {graph.group(str(name)).name for name in several("protected", protected)}
    groups = [g for g in graph.prunable_groups if g.name not in safe]
    if scope == "global":
        if isinstance(ratio, Mapping):
            raise InvalidValueError(
                'With scope "global" the ratio is one number, but got a mapping.'
            )
        comparable = _scores(graph, groups, rank, criterion, "comparable")
        counts = _global_counts(graph, groups, comparable, _checked(ratio))
    else:
        counts = _group_counts(graph, groups, ratio)
    scores = _scores(graph, groups, rank, criterion, "of")
    kept = np.ones(graph.num_units, dtype=bool)
    for group, count in zip(groups, counts, strict=True):
        stay = group.width - count
        stay = min(-(-stay // multiple_of) * multiple_of, group.width)
        own = scores[group.start : group.start + group.width]
        order = np.argsort(own, kind="stable")
        kept[group.start + order[: group.width - stay]] = False
    return _from_kept(graph, kept)


def _scores(
    graph: ChannelGraph, groups: list[Group], rank: Scores, criterion: str, way: str
) -> npt.NDArray[np.float64]:
    """(num_units,) what `rank.of` or `rank.comparable` gives, made sure to be of this network."""
    of = getattr(rank, "graph", graph)
    if of is not graph and getattr(of, "digest", None) != graph.digest:
        raise InvalidValueError(
            "This ranking was made for another network; rank this one: pv.rank(model, graph, data)."
        )
    if not callable(getattr(rank, way, None)):
        raise InvalidValueError(
            f"rank must be a ranking, but got {shown(rank)}; pv.rank(model, graph, data) makes one."
        )
    scores: npt.NDArray[np.float64] = np.asarray(getattr(rank, way)(criterion))
    if scores.shape != (graph.num_units,):
        raise InvalidValueError(
            f"A ranking of this network has {graph.num_units} scores, but this one has the shape "
            f"{scores.shape}; rank this network."
        )
    for group in groups:
        missing = int(np.isnan(scores[group.start : group.start + group.width]).sum())
        if missing:
            raise InvalidValueError(
                f"Criterion '{criterion}' gives {missing} of the {group.width} units of group "
                f"'{group.name}' no score (NaN); rank again, or protect the group."
            )
    return scores


def _checked(ratio: object, group: str | None = None) -> float:
    where = f" for group '{group}'" if group else ""
    real = isinstance(ratio, (Real, np.floating)) and not isinstance(ratio, bool)
    if not real or not 0 <= float(ratio) <= 1:  # type: ignore[arg-type]
        raise InvalidValueError(
            f"A pruning ratio is a number between 0 and 1, but got {shown(ratio)}{where}."
        )
    return float(ratio)  # type: ignore[arg-type]


def _removed(ratio: float, width: int) -> int:
    return min(int(np.floor(ratio * width + 0.5)), width - 1)


def _group_counts(
    graph: ChannelGraph, groups: list[Group], ratio: float | Mapping[str, float]
) -> list[int]:
    if not isinstance(ratio, Mapping):
        value = _checked(ratio)
        return [_removed(value, g.width) for g in groups]
    for name in ratio:
        group = graph.group(name)
        if not group.prunable and _checked(ratio[name], name) > 0:
            raise PlanError(f"Group '{name}' cannot be pruned: it {_clause(group.reason)}.")
    return [_removed(_checked(ratio.get(g.name, 0.0), g.name), g.width) for g in groups]


def _global_counts(
    graph: ChannelGraph, groups: list[Group], scores: npt.NDArray[np.float64], ratio: float
) -> list[int]:
    """How many of the lowest units over all groups fall into each group."""
    total = sum(g.width for g in groups)
    wanted = min(int(np.floor(ratio * total + 0.5)), total - len(groups))
    candidates = []
    for group in groups:
        own = group.start + np.argsort(
            scores[group.start : group.start + group.width], kind="stable"
        )
        candidates.append(own[: group.width - 1])  # the best unit of every group stays
    if not candidates or wanted <= 0:
        return [0] * len(groups)
    pool = np.concatenate(candidates)
    lowest = pool[np.argsort(scores[pool], kind="stable")][:wanted]
    per_group = np.bincount(graph.group_index[lowest], minlength=len(graph.groups))
    index = {g.name: i for i, g in enumerate(graph.groups)}
    return [int(per_group[index[g.name]]) for g in groups]
