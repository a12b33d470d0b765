"""Doing what a recipe says."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruneviz.arguments import one_of
from pruneviz.errors import RecipeError
from pruneviz.recipe.recipe import TEACHERS, Recipe

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.channels import ChannelGraph
    from pruneviz.criteria import Ranking
    from pruneviz.data import DataSet
    from pruneviz.export import Exported
    from pruneviz.plan import Plan
    from pruneviz.threshold import Scope
    from pruneviz.training import Evaluation

Tell = Callable[[str], None]

_NAMES = {
    "weights": "weights of the unpruned network",
    "data": "images",
    "network": "structure of the network",
    "plan": "plan",
}


@dataclass(frozen=True)
class Applied:
    """What came of a recipe."""

    network: nn.Module = field(repr=False)
    plan: Plan
    evaluations: tuple[tuple[str, str, Evaluation], ...]
    """(stage, split, evaluation): stages are "unpruned", "cut", "repaired", "fine-tuned"."""
    files: Exported | None
    stage: str
    """What `network` is: "cut", "repaired", "re-measured" or "fine-tuned"."""
    digests: Mapping[str, str]
    notes: tuple[str, ...]
    """What differs from the recipe without being wrong, such as rounding on another machine."""


@dataclass(eq=False)
class Bench:
    """What the steps work on, as far as it has come."""

    model: nn.Module
    data: DataSet
    graph: ChannelGraph
    plan: Plan
    folder: Path | None
    tell: Tell
    network: nn.Module | None = None
    stage: str = "unpruned"
    rankings: dict[str, Ranking] = field(default_factory=dict)
    evaluations: list[tuple[str, str, Evaluation]] = field(default_factory=list)
    files: Exported | None = None

    def pruned(self) -> nn.Module:
        """The network in hand; cut by the plan if nothing was done since."""
        if self.network is None:
            from pruneviz.surgery import prune

            self.network, self.stage = prune(self.model, self.graph, self.plan), "cut"
        return self.network


def apply_recipe(
    recipe: Recipe, folder: Path | str | None = None, *, tell: Tell | None = None
) -> Applied:
    """Do every step of a recipe; exported files go to `folder`.

    Args:
        recipe: What to do.
        folder: Where files go; a recipe that exports needs one.
        tell: Told what is being done.

    Raises:
        RecipeError: The weights, images or network here are not those that the recipe was made
            with, or its steps lead to another plan; it says which digest differs.
        PruneVizError: Whatever a step itself raises.
    """
    from pruneviz.catalog import ModelSource, load_dataset
    from pruneviz.export.check_files import state_digest
    from pruneviz.plan import Plan
    from pruneviz.trace import trace

    say = tell or (lambda text: None)
    say("Loading the images and the network")
    data = load_dataset(recipe.data["name"], **dict(recipe.data.get("options", {})))
    model = ModelSource.from_dict(dict(recipe.model)).load()
    found = {"weights": state_digest(model.state_dict()), "data": data.digest}
    _compare(recipe, found)
    graph = trace(model, data.input_shape)
    found["network"] = graph.digest
    _compare(recipe, found)
    bench = Bench(model, data, graph, Plan(graph), None if folder is None else Path(folder), say)
    for place, step in enumerate(recipe.steps, 1):
        say(step.note or f"Step {place}: {step.kind}")
        if step.kind in _ENDS_PLAN:
            found["plan"] = bench.plan.digest
            _compare(recipe, found)
        _STEPS[step.kind](bench, **step.values)
    network = bench.pruned()
    found |= {"plan": bench.plan.digest, "result": state_digest(network.state_dict())}
    _compare(recipe, found)
    notes = []
    wanted = recipe.digests.get("result")
    if wanted and wanted != found["result"]:
        notes.append(
            f"The final weights have the digest {found['result']}, not {wanted}: the recipe "
            f"was written on {recipe.made_with.get('machine', 'another machine')} with torch "
            f"{recipe.made_with.get('torch', '?')}, where sums round differently."
        )
    return Applied(
        network, bench.plan, tuple(bench.evaluations), bench.files, bench.stage, found, tuple(notes)
    )


def _compare(recipe: Recipe, found: Mapping[str, str]) -> None:
    for name, said in _NAMES.items():
        wanted = recipe.digests.get(name)
        if wanted and name in found and found[name] != wanted:
            raise RecipeError(
                f"The {said} here have the digest {found[name]}, but this recipe was made with "
                f"{wanted}. Use the originals, or remove '{name}' from the recipe's digests to "
                "continue with these."
            )


def _rank(bench: Bench, criterion: str, images: int = 512, seed: int = 0) -> None:
    from pruneviz.criteria import rank

    bench.rankings[criterion] = rank(
        bench.model, bench.graph, bench.data, [criterion], images=images, seed=seed
    )


def _threshold(
    bench: Bench,
    criterion: str,
    ratio: float | Mapping[str, float],
    scope: Scope = "group",
    protected: tuple[str, ...] = (),
    multiple: int = 1,
) -> None:
    from pruneviz.threshold import threshold

    if criterion not in bench.rankings:
        raise RecipeError(
            f"A threshold needs a ranking, but no earlier step ranks by '{criterion}'; add the "
            f'step {{"do": "rank", "criterion": "{criterion}"}}.'
        )
    found = threshold(
        bench.graph,
        bench.rankings[criterion],
        criterion,
        ratio,
        scope=scope,
        protected=protected,
        multiple_of=multiple,
    )
    bench.plan = bench.plan.drop_units(found.dropped)


def _drop(bench: Bench, layer: str, filters: list[int]) -> None:
    bench.plan = bench.plan.drop(layer, filters)


def _keep(bench: Bench, layer: str, filters: list[int]) -> None:
    bench.plan = bench.plan.keep(layer, filters)


def _plan(bench: Bench, link: str) -> None:
    bench.plan = type(bench.plan).from_link(bench.graph, link)


def _strategy(bench: Bench, name: str, options: Mapping[str, Any] | None = None) -> None:
    from pruneviz.strategies import run_strategy

    result = None
    for event in run_strategy(name, bench.model, bench.graph, bench.data, **(options or {})):
        result = event.result or result
    if result is None:
        raise RecipeError(f"Strategy '{name}' ended without a network.")
    bench.plan, bench.network, bench.stage = result.plan, result.model, "fine-tuned"


def _prune(bench: Bench) -> None:
    bench.network = None
    bench.pruned()


def _repair(bench: Bench, **options: Any) -> None:
    from pruneviz.repair import repair

    bench.network = repair(bench.model, bench.graph, bench.plan, bench.data, **options)
    bench.stage = "repaired"


def _recalibrate(bench: Bench, **options: Any) -> None:
    from pruneviz.training import recalibrate

    recalibrate(bench.pruned(), bench.data, **options)
    bench.stage = "re-measured"


def _fine_tune(bench: Bench, options: Mapping[str, Any] | None = None) -> None:
    from pruneviz.training import fine_tune
    from pruneviz.training.events import EpochEvent

    own = dict(options or {})
    if "teacher" in own:
        one_of("teacher", own["teacher"], TEACHERS)
        own["teacher"] = bench.model
    for event in fine_tune(bench.pruned(), bench.data, **own):
        if isinstance(event, EpochEvent):
            bench.tell(f"Epoch {event.epoch} of {event.epochs}: accuracy {event.accuracy:.2%}")
    bench.stage = "fine-tuned"


def _evaluate(bench: Bench, split: str = "val") -> None:
    from pruneviz.training import evaluate

    whole = bench.network is None and not bench.plan.dropped
    network = bench.model if whole else bench.pruned()
    stage = "unpruned" if whole else bench.stage
    found = evaluate(network, bench.data, split=split)
    bench.evaluations.append((stage, split, found))
    bench.tell(f"Top-1 accuracy, {stage}: {found.accuracy:.2%} on {found.count} images ({split})")


def _export(bench: Bench, formats: list[str] | None = None, name: str = "network") -> None:
    from pruneviz.export import export

    if bench.folder is None:
        raise RecipeError("This recipe exports files; name a folder for them.")
    bench.files = export(
        bench.pruned(),
        bench.folder,
        input_shape=bench.data.input_shape,
        formats=formats or ("safetensors", "python"),
        data=bench.data,
        name=name,
        progress=bench.tell,
    )


_STEPS: Mapping[str, Callable[..., None]] = {
    "rank": _rank,
    "threshold": _threshold,
    "drop": _drop,
    "keep": _keep,
    "plan": _plan,
    "strategy": _strategy,
    "prune": _prune,
    "repair": _repair,
    "recalibrate": _recalibrate,
    "fine_tune": _fine_tune,
    "evaluate": _evaluate,
    "export": _export,
}
_ENDS_PLAN = frozenset({"prune", "repair", "recalibrate", "fine_tune"})
"""Before these the plan must be what the recipe says: minutes of training may follow."""


def made_with() -> dict[str, str]:
    """Versions and machine, for a recipe to say where it was written."""
    import torch

    import pruneviz

    return {
        "pruneviz": pruneviz.__version__,
        "torch": torch.__version__.split("+")[0],
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }
