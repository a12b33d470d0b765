"""A pruned network as a zip: weights (safetensors), plan (JSON), and a snippet that loads both."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruneviz.errors import WeightsError
from pruneviz.outputs import logits

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.channels import ChannelGraph
    from pruneviz.plan import Plan

WEIGHTS, PLAN, RECIPE, SNIPPET = "weights.safetensors", "plan.json", "recipe.json", "load.py"


@dataclass(frozen=True)
class Bundle:
    """The files of an exported network."""

    weights: bytes = field(repr=False)
    plan: str = field(repr=False)
    recipe: str
    """From where the unpruned network and the data come, as JSON."""
    snippet: str = field(repr=False)
    """Python that loads the network from the other files and measures it."""

    def zip(self) -> bytes:
        """Return all files in one zip."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(WEIGHTS, self.weights)
            archive.writestr(PLAN, self.plan)
            archive.writestr(RECIPE, self.recipe)
            archive.writestr(SNIPPET, self.snippet)
        return out.getvalue()


def bundle(
    network: nn.Module,
    plan: Plan,
    *,
    model: Mapping[str, Any],
    data: Mapping[str, Any],
    facts: Mapping[str, Any] | None = None,
) -> Bundle:
    """Gather a pruned network's files.

    `network` is what `prune` made of the plan, fine-tuned or not; `model` and `data` are the
    sources of the unpruned network (`ModelSource.to_dict()`) and of the data set
    (`DataSet.source`); `facts` (accuracy, MACs, ...) are written down beside them. Where the
    unpruned network is one that a run pruned before, the plans that led to it are written, too.
    """
    from safetensors.torch import save

    from pruneviz.catalog import elsewhere

    state = {k: v.detach().cpu().contiguous().clone() for k, v in network.state_dict().items()}
    before = list(elsewhere.plans(model.get("weights")))
    if elsewhere.is_elsewhere(model.get("weights")):
        model = {**model, "num_classes": _classes(network, plan.graph.input_shape)}
    recipe = {
        "model": dict(model),
        "before": before,
        "data": dict(data),
        "input_shape": list(plan.graph.input_shape),
        "facts": dict(facts or {}),
    }
    return Bundle(
        weights=save(state),
        plan=plan.to_json(),
        recipe=json.dumps(recipe, indent=1),
        snippet=snippet(model, data, plan.graph, pruned_before=bool(before)),
    )


def _classes(network: nn.Module, shape: tuple[int, ...]) -> int:
    """How many classes a network tells apart; only its weights know after another run."""
    import torch

    weight = next(network.parameters())
    with torch.no_grad():
        output = network.eval()(torch.zeros(1, *shape, device=weight.device))
    return int(logits(output).shape[-1])


def snippet(
    model: Mapping[str, Any],
    data: Mapping[str, Any],
    graph: ChannelGraph,
    *,
    pruned_before: bool = False,
) -> str:
    """Return Python that loads the exported files from its own folder and measures the network."""
    from pruneviz.catalog import own

    first = own.preamble(str(model["name"]))  # the owner's own code: only they can hand it over
    lines = f"\n{first}" if first else ""
    num = model.get("num_classes")
    classes = f", num_classes={num}" if num else ""
    options = "".join(f", {k}={v!r}" for k, v in dict(data.get("options", {})).items())
    if pruned_before:
        return f'''"""Load the pruned network that lies beside this file, and measure it."""
from pathlib import Path

import pruneviz as pv
from pruneviz.export import load_bundle
{lines}
network = load_bundle(Path(__file__).parent)  # pruned more than once, plan after plan

data = pv.load_dataset({data["name"]!r}{options})
print(pv.evaluate(network, data))
'''
    return f'''"""Load the pruned network that lies beside this file, and measure it."""
from pathlib import Path

import pruneviz as pv
from safetensors.torch import load_file
{lines}
here = Path(__file__).parent
model = pv.load_model({model["name"]!r}{classes})
graph = pv.trace(model, {tuple(graph.input_shape)})
plan = pv.Plan.from_json(graph, (here / "{PLAN}").read_text())
network = pv.prune(model, graph, plan)
network.load_state_dict(load_file(here / "{WEIGHTS}"))

data = pv.load_dataset({data["name"]!r}{options})
print(pv.evaluate(network, data))
'''


def load_bundle(path: Path | str) -> nn.Module:
    """Load an exported network from its folder or zip; the unpruned weights are not needed.

    Raises `WeightsError` if a file is missing or does not fit, `PlanError` if the plan does not.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    from pruneviz.catalog import load_model
    from pruneviz.plan import Plan
    from pruneviz.surgery import prune
    from pruneviz.trace import trace

    path = Path(path)
    try:
        if path.is_dir():
            weights, plan, recipe = ((path / n).read_bytes() for n in (WEIGHTS, PLAN, RECIPE))
        else:
            with zipfile.ZipFile(path) as archive:
                weights, plan, recipe = (archive.read(n) for n in (WEIGHTS, PLAN, RECIPE))
        told = json.loads(recipe)
        source, shape = told["model"], told["input_shape"]
        name, num_classes = source["name"], source.get("num_classes")
        plans = [*told.get("before", ()), plan]
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"An exported network is a folder or zip with {WEIGHTS}, {PLAN} and {RECIPE}; "
            f"'{path}' is none ({error}). Give what the page Export wrote."
        ) from error
    model = load_model(name, num_classes=num_classes)
    network = model
    for step in plans:
        graph = trace(network, shape)
        network = prune(network, graph, Plan.from_json(graph, step))
    try:
        network.load_state_dict(load(weights))
    except (RuntimeError, SafetensorError) as error:
        first = str(error).splitlines()[-1].strip()
        raise WeightsError(
            f"The weights in '{path}' do not fit the network that its plan leaves ({first}). "
            "Export it again."
        ) from error
    return network.eval()
