"""Reading the results of runs as the package's own result types; loads without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruneviz.errors import InvalidValueError

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.channels import ChannelGraph
    from pruneviz.criteria import Ranking
    from pruneviz.jobs.views import RunView
    from pruneviz.latency import Latency, WidthLatency
    from pruneviz.sensitivity_result import Sensitivity


def sensitivity_of(results: Mapping[str, Any]) -> Sensitivity:
    """Return the sensitivity scan among a run's results, as far as it has come.

    Raises:
        InvalidValueError: there is none (yet).
    """
    from pruneviz.sensitivity_result import Sensitivity, SensitivityPoint

    stored = dict(_part(results, "sensitivity"))
    stored["points"] = tuple(SensitivityPoint(**point) for point in stored["points"])
    stored["closed"] = tuple((name, reason) for name, reason in stored["closed"])
    stored["ratios"] = tuple(stored["ratios"])
    return Sensitivity(**stored)


def latency_of(results: Mapping[str, Any]) -> Latency:
    """Return the times among a "latency" run's results; plans are named by their digests.

    Raises:
        InvalidValueError: there are none (yet).
    """
    from pruneviz.latency import latency_from

    return latency_from(_part(results, "latency"))


def widths_of(results: Mapping[str, Any]) -> WidthLatency:
    """Return the times against width among a "width_latency" run's results.

    Raises:
        InvalidValueError: there are none (yet).
    """
    from pruneviz.latency import widths_from

    return widths_from(_part(results, "widths"))


def ranking_of(graph: ChannelGraph, folder: Path) -> Ranking:
    """Return the ranking in the folder of a "rank" run of this network.

    Raises:
        StorageError: there is none yet.
        InvalidValueError: it is of another network.
    """
    from pruneviz.criteria import Ranking
    from pruneviz.jobs.steps import RANKING

    return Ranking.load(graph, folder / RANKING)


def network_of(run: RunView, folder: Path) -> nn.Module:
    """Return the network that a finished run left: pruned by its plan, with its weights.

    Raises:
        InvalidValueError: the run has left none (yet).
    """
    from safetensors.torch import load_file

    from pruneviz.catalog import ModelSource, load_dataset, load_model
    from pruneviz.catalog.elsewhere import is_elsewhere
    from pruneviz.jobs.steps import PLAN, WEIGHTS
    from pruneviz.plan import Plan
    from pruneviz.surgery import prune
    from pruneviz.trace import trace

    if not (folder / WEIGHTS).exists():
        raise InvalidValueError(
            f"Run '{run.name}' has left no network; it is {run.status}. Wait until it is done."
        )
    data = load_dataset(run.spec.data["name"], **run.spec.data.get("options", {}))
    source = ModelSource.from_dict(run.spec.model)
    if is_elsewhere(source.weights):  # which may have been pruned before
        model = source.load()
    else:
        model = load_model(source.name, num_classes=len(data.classes))
    if (folder / PLAN).exists():
        graph = trace(model, data.input_shape)
        model = prune(model, graph, Plan.from_json(graph, (folder / PLAN).read_text()))
    model.load_state_dict(load_file(folder / WEIGHTS))
    return model.eval()


def _part(results: Mapping[str, Any], name: str) -> Any:
    if name not in results:
        raise InvalidValueError(
            f"The run has no result '{name}'; it has {', '.join(sorted(results)) or 'none yet'}."
        )
    return results[name]
