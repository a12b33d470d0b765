"""A recipe as a notebook: a cell a step, which runs from top to bottom to the same digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from pruneviz.recipe.recipe import Recipe

Values = Mapping[str, Any]


def notebook_of(recipe: Recipe, title: str = "") -> str:
    """The notebook (nbformat 4.5, JSON) that does what the recipe says."""
    cells = [
        _text(f"# {title or _title(recipe)}\n\nWritten by PruneViz: every decision is a cell.")
    ]
    cells += [_code(_load(recipe)), _code(_trace(recipe))]
    ended = False
    for step in recipe.steps:
        if step.note:
            cells.append(_text(f"## {step.note}"))
        source = _CELLS[step.kind](step.values)
        if step.kind in _NETWORKS and not ended:
            ended = True
            if step.kind != "strategy":
                cells.append(_code(_check("plan.digest", recipe.digests.get("plan"), "plan")))
        cells.append(_code(source))
    if not ended:
        cells.append(_code(_cut({})))
    result = _check("state_digest(network.state_dict())", recipe.digests.get("result"), "result")
    cells.append(_code(result))
    numbered = [{**cell, "id": _name(i, cell)} for i, cell in enumerate(cells) if cell["source"]]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return json.dumps(
        {
            "cells": numbered,
            "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        },
        indent=1,
    )


def _title(recipe: Recipe) -> str:
    return f"{recipe.model.get('name')} on {recipe.data.get('name')}, pruned"


def _name(place: int, cell: Mapping[str, Any]) -> str:
    return hashlib.sha256(f"{place} {cell['source']}".encode()).hexdigest()[:8]


def _text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _code(source: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": source,
    }


def _arguments(values: Values) -> str:
    return "".join(f", {name}={value!r}" for name, value in values.items())


def _check(what: str, digest: str | None, name: str) -> str:
    """A line that shows a digest, or that holds it against what it was."""
    if digest is None:
        return what
    if name == "result":  # sums round otherwise elsewhere: told, not asserted
        return f"print({what}, 'here;', {digest!r}, 'when this was written')"
    return f"assert {what} == {digest!r}, {what}"


def _load(recipe: Recipe) -> str:
    from pruneviz.catalog import own

    first = own.preamble(str(recipe.model.get("name")))
    source = {k: v for k, v in recipe.model.items() if v is not None or k == "seed"}
    options = dict(recipe.data.get("options", {}))
    lines = [
        "import pruneviz as pv",
        "from pruneviz.catalog import ModelSource",
        "from pruneviz.export import state_digest",
        *first.splitlines(),
        "",
        f"data = pv.load_dataset({recipe.data['name']!r}{_arguments(options)})",
        f"model = ModelSource.from_dict({source!r}).load()",
        _check("data.digest", recipe.digests.get("data"), "data"),
        _check("state_digest(model.state_dict())", recipe.digests.get("weights"), "weights"),
    ]
    return "\n".join(lines)


def _trace(recipe: Recipe) -> str:
    lines = [
        "graph = pv.trace(model, data.input_shape)",
        _check("graph.digest", recipe.digests.get("network"), "network"),
        "plan = pv.Plan(graph)",
        "network = model",
        "graph",
    ]
    return "\n".join(lines)


def _rank(v: Values) -> str:
    options = {k: v[k] for k in ("images", "seed") if k in v}
    return (
        f"rank = pv.rank(model, graph, data, criteria=[{v['criterion']!r}]{_arguments(options)})\n"
        "rank.figure()"
    )


def _threshold(v: Values) -> str:
    named = {"protected": v.get("protected"), "multiple_of": v.get("multiple", 1)}
    options = {k: x for k, x in named.items() if x and x != 1}
    call = (
        f"pv.threshold(graph, rank, {v['criterion']!r}, {v['ratio']!r}, "
        f"scope={v.get('scope', 'group')!r}{_arguments(options)})"
    )
    return f"plan = plan.drop_units({call}.dropped)\npv.cost(graph, plan)"


def _pick(verb: str) -> Callable[[Values], str]:
    def cell(v: Values) -> str:
        return f"plan = plan.{verb}({v['layer']!r}, {list(v['filters'])!r})"

    return cell


def _plan(v: Values) -> str:
    return f"plan = pv.Plan.from_link(graph, {v['link']!r})\npv.cost(graph, plan)"


def _strategy(v: Values) -> str:
    return (
        f"for event in pv.run_strategy({v['name']!r}, model, graph, data"
        f"{_arguments(v.get('options', {}))}):\n"
        "    print(event.message)\n"
        "plan, network = event.result.plan, event.result.model"
    )


def _cut(v: Values) -> str:
    return "network = pv.prune(model, graph, plan)"


def _repair(v: Values) -> str:
    return f"network = pv.repair(model, graph, plan, data{_arguments(v)})"


def _recalibrate(v: Values) -> str:
    return f"pv.recalibrate(network, data{_arguments(v)})"


def _fine_tune(v: Values) -> str:
    own = dict(v.get("options", {}))
    teacher = ", teacher=model" if own.pop("teacher", None) else ""
    return (
        f"for event in pv.fine_tune(network, data{_arguments(own)}{teacher}):\n"
        "    print(f'epoch {event.epoch}: accuracy {event.accuracy:.2%}, loss {event.loss:.4f}')"
    )


def _evaluate(v: Values) -> str:
    return f"pv.evaluate(network, data, split={v.get('split', 'val')!r})"


def _export(v: Values) -> str:
    formats = tuple(v.get("formats", ("safetensors", "python")))
    name = f", name={v['name']!r}" if "name" in v else ""
    return (
        f"files = pv.export(network, 'exported', input_shape=data.input_shape,\n"
        f"                  formats={formats!r}, data=data{name})\n"
        "files.to_frame()"
    )


_CELLS: Mapping[str, Callable[[Values], str]] = {
    "rank": _rank,
    "threshold": _threshold,
    "drop": _pick("drop"),
    "keep": _pick("keep"),
    "plan": _plan,
    "strategy": _strategy,
    "prune": _cut,
    "repair": _repair,
    "recalibrate": _recalibrate,
    "fine_tune": _fine_tune,
    "evaluate": _evaluate,
    "export": _export,
}
_NETWORKS = frozenset({"prune", "repair", "strategy"})
