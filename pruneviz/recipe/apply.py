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
class RecipeRun:
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
    """Apply every step of a recipe; exported files go to `folder`.

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
    actual = {"weights": state_digest(model.state_dict()), "data": data.digest}
    _compare(recipe, actual)
    graph = trace(model, data.input_shape)
    actual["network"] = graph.digest
    _compare(recipe, actual)
    run = RecipeRun(model, data, graph, Plan(graph), None if folder is None else Path(folder), say)
    for place, step in enumerate(recipe.steps, 1):
        say(step.note or f"Step {place}: {step.kind}")
        if step.kind in _ENDS_PLAN:
            actual["plan"] = run.plan.digest
            _compare(recipe, actual)
        _STEPS[step.kind](run, **step.values)
    network = run.pruned()
    actual |= {"plan": run.plan.digest, "result": state_digest(network.state_dict())}
    _compare(recipe, actual)
    notes = []
    wanted = recipe.digests.get("result")
    if wanted and wanted != actual["result"]:
        notes.append(
            f"The final weights have the digest {actual['result']}, not {wanted}: the recipe "
            f"was written on {recipe.made_with.get('machine', 'another machine')} with torch "
            f"{recipe.made_with.get('torch', '?')}, where sums round differently."
        )
    return Applied(
        network, run.plan, tuple(run.evaluations), run.files, run.stage, actual, tuple(notes)
    )


def _compare(recipe: Recipe, actual: Mapping[str, str]) -> None:
    for name, source in _NAMES.items():
        wanted = recipe.digests.get(name)
        if wanted and name in actual and actual[name] != wanted:
            raise RecipeError(
                f"The {source} here have the digest {actual[name]}, but this recipe was made with "
                f"{wanted}. Use the originals, or remove '{name}' from the recipe's digests to "
                "continue with these."
            )


def _rank(run: RecipeRun, criterion: str, images: int = 512, seed: int = 0) -> None:
    from pruneviz.criteria import rank

    run.rankings[criterion] = rank(
        run.model, run.graph, run.data, [criterion], images=images, seed=seed
    )


def _threshold(
    run: RecipeRun,
    criterion: str,
    ratio: float | Mapping[str, float],
    scope: Scope = "group",
    protected: tuple[str, ...] = (),
    multiple: int = 1,
) -> None:
    from pruneviz.threshold import threshold

    if criterion not in run.rankings:
        raise RecipeError(
            f"A threshold needs a ranking, but no earlier step ranks by '{criterion}'; add the "
            f'step {{"do": "rank", "criterion": "{criterion}"}}.'
        )
    picks = threshold(
        run.graph,
        run.rankings[criterion],
        criterion,
        ratio,
        scope=scope,
        protected=protected,
        multiple_of=multiple,
    )
    run.plan = run.plan.drop_units(picks.dropped)


def _drop(run: RecipeRun, layer: str, filters: list[int]) -> None:
    run.plan = run.plan.drop(layer, filters)


def _keep(run: RecipeRun, layer: str, filters: list[int]) -> None:
    run.plan = run.plan.keep(layer, filters)


def _plan(run: RecipeRun, link: str) -> None:
    run.plan = type(run.plan).from_link(run.graph, link)


def _strategy(run: RecipeRun, name: str, options: Mapping[str, Any] | None = None) -> None:
    from pruneviz.strategies import run_strategy

    result = None
    for event in run_strategy(name, run.model, run.graph, run.data, **(options or {})):
        result = event.result or result
    if result is None:
        raise RecipeError(f"Strategy '{name}' ended without a network.")
    run.plan, run.network, run.stage = result.plan, result.model, "fine-tuned"


def _prune(run: RecipeRun) -> None:
    run.network = None
    run.pruned()


def _repair(run: RecipeRun, **options: Any) -> None:
    from pruneviz.repair import repair

    run.network = repair(run.model, run.graph, run.plan, run.data, **options)
    run.stage = "repaired"


def _recalibrate(run: RecipeRun, **options: Any) -> None:
    from pruneviz.training import recalibrate

    recalibrate(run.pruned(), run.data, **options)
    run.stage = "re-measured"


def _fine_tune(run: RecipeRun, options: Mapping[str, Any] | None = None) -> None:
    from pruneviz.training import fine_tune
    from pruneviz.training.events import EpochEvent

    own = dict(options or {})
    if "teacher" in own:
        one_of("teacher", own["teacher"], TEACHERS)
        own["teacher"] = run.model
    for event in fine_tune(run.pruned(), run.data, **own):
        if isinstance(event, EpochEvent):
            run.tell(f"Epoch {event.epoch} of {event.epochs}: accuracy {event.accuracy:.2%}")
    run.stage = "fine-tuned"


def _evaluate(run: RecipeRun, split: str = "val") -> None:
    from pruneviz.training import evaluate

    whole = run.network is None and not run.plan.dropped
    network = run.model if whole else run.pruned()
    stage = "unpruned" if whole else run.stage
    evaluation = evaluate(network, run.data, split=split)
    run.evaluations.append((stage, split, evaluation))
    run.tell(
        f"Top-1 accuracy, {stage}: {evaluation.accuracy:.2%} on {evaluation.count} images ({split})"
    )


def _export(run: RecipeRun, formats: list[str] | None = None, name: str = "network") -> None:
    from pruneviz.export import export

    if run.folder is None:
        raise RecipeError("This recipe exports files; name a folder for them.")
    run.files = export(
        run.pruned(),
        run.folder,
        input_shape=run.data.input_shape,
        formats=formats or ("safetensors", "python"),
        data=run.data,
        name=name,
        progress=run.tell,
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
