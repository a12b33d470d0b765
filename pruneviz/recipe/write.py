"""From a session's decisions, or a run's record, to a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pruneviz.errors import PruneVizError
from pruneviz.plan import Plan
from pruneviz.recipe.apply import made_with
from pruneviz.recipe.recipe import Recipe, Step
from pruneviz.threshold import threshold
from pruneviz.training.preparation import preparation

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.channels import ChannelGraph
    from pruneviz.criteria import Ranking
    from pruneviz.data import DataSet
    from pruneviz.session.decisions import Decisions

FILES = ("safetensors", "onnx", "pt2", "python")


def recipe_of_decisions(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    source: Mapping[str, Any],
    decisions: Decisions,
    plan: Plan,
    ranking: Ranking | None,
    *,
    then: Sequence[Step] = (),
    formats: Sequence[str] = FILES,
) -> Recipe:
    """The recipe that leads to `plan`, which followed from `decisions`; `then` comes after it.

    Where thresholds and picks alone do not lead there (rounded widths beside picks), the plan
    itself is the step.
    """
    steps = _deciding(graph, decisions, plan, ranking)
    after = list(then) or [Step("prune", {}, "Prune")]
    return _recipe(model, graph, data, source, plan, [*steps, *after], formats)


def recipe_of_run(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    source: Mapping[str, Any],
    kind: str,
    options: Mapping[str, Any],
    plan: Plan,
    *,
    before: Iterable[Step] | None = None,
    formats: Sequence[str] = FILES,
) -> Recipe:
    """The recipe of a run: a fine-tuning of `plan`, or a strategy that found it.

    `before` are the steps that lead to the plan, where they are known.
    """
    if kind == "strategy":
        own = dict(options)
        name = str(own.pop("strategy"))
        steps = [Step("strategy", {"name": name, "options": own}, f"Prune by strategy {name}")]
    else:
        steps = list(before or [_whole(plan)])
        start, own = preparation(model, bool(plan.dropped), options)
        cut = Step("repair", {}, "Prune and repair") if start.repair else Step("prune", {}, "Prune")
        steps += [cut, Step("evaluate", {"split": "val"}, "Accuracy before training")]
        if start.teacher:
            own["teacher"] = "unpruned"
        steps.append(Step("fine_tune", {"options": own}, "Fine-tune"))
    return _recipe(model, graph, data, source, plan, steps, formats)


def _recipe(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    source: Mapping[str, Any],
    plan: Plan,
    steps: Sequence[Step],
    formats: Sequence[str],
) -> Recipe:
    from pruneviz.export.check_files import state_digest

    split = "test" if data.test is not None else "val"
    first = Step("evaluate", {"split": split}, "Accuracy of the unpruned network")
    last = [Step("evaluate", {"split": split}, "Accuracy of the exported network")]
    if formats:
        last.append(Step("export", {"formats": list(formats)}, "Write the files"))
    return Recipe(
        model=dict(source),
        data=dict(data.source),
        steps=(first, *steps, *last),
        digests={
            "weights": state_digest(model.state_dict()),
            "data": data.digest,
            "network": graph.digest,
            "plan": plan.digest,
        },
        made_with=made_with(),
    )


def _deciding(graph: ChannelGraph, d: Decisions, plan: Plan, ranking: Ranking | None) -> list[Step]:
    """Thresholds and picks that give exactly this plan, or the plan itself."""
    steps = [*_thresholds(graph, d, ranking), *_picks(graph, "drop", d.dropped)]
    steps += _picks(graph, "keep", d.kept)
    try:
        reached = _reach(graph, steps, ranking)
    except PruneVizError:
        reached = None
    if reached is not None and reached.digest == plan.digest:
        return steps
    return [_whole(plan)]


def _thresholds(graph: ChannelGraph, d: Decisions, ranking: Ranking | None) -> list[Step]:
    own = {name: ratio for name, ratio in d.ratios if name not in d.protected and ratio > 0}
    free = [
        g.name
        for g in graph.prunable_groups
        if g.name not in dict(d.ratios) and g.name not in d.protected
    ]
    if ranking is None or not ((d.ratio > 0 and free) or own):
        return []
    common = {"criterion": d.criterion, "multiple": d.multiple}
    images = {"images": ranking.images} if ranking.images else {}
    steps = [Step("rank", {"criterion": d.criterion, **images}, f"Rank by {d.criterion}")]
    if d.ratio > 0 and free:
        others = sorted({g.name for g in graph.prunable_groups} - set(free))
        values = {**common, "ratio": d.ratio, "scope": d.scope, "protected": others}
        where = "over all groups" if d.scope == "global" else "of each group"
        steps.append(Step("threshold", values, f"Prune {d.ratio:.3g} {where}"))
    if own:
        values = {**common, "ratio": own, "scope": "group"}
        steps.append(Step("threshold", values, "Prune groups by their own ratios"))
    return steps


def _picks(graph: ChannelGraph, kind: str, units: Iterable[int]) -> list[Step]:
    """Units picked by hand, by a filter of the first layer that each lives in."""
    by_layer: dict[str, list[int]] = {}
    for unit in sorted(units):
        layer, filters = next(iter(graph.members(unit).items()))
        by_layer.setdefault(layer, []).append(filters[0])
    word = "Prune" if kind == "drop" else "Keep"
    return [
        Step(kind, {"layer": layer, "filters": filters}, f"{word} manually in {layer}")
        for layer, filters in by_layer.items()
    ]


def _reach(graph: ChannelGraph, steps: Iterable[Step], ranking: Ranking | None) -> Plan:
    plan = Plan(graph)
    for step in steps:
        values = dict(step.values)
        if step.kind == "threshold" and ranking is not None:
            target = threshold(
                graph,
                ranking,
                values["criterion"],
                values["ratio"],
                scope=values["scope"],
                protected=values.get("protected", ()),
                multiple_of=values["multiple"],
            )
            plan = plan.drop_units(target.dropped)
        elif step.kind in ("drop", "keep"):
            change = plan.drop if step.kind == "drop" else plan.keep
            plan = change(values["layer"], values["filters"])
    return plan


def _whole(plan: Plan) -> Step:
    return Step("plan", {"link": plan.to_link()}, "The final plan")
