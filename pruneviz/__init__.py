"""PruneViz: see a CNN's filters, decide which to remove, watch what that costs and gains.

The public names below are loaded when they are first used, so that `import pruneviz` is quick and
`pruneviz --help`, stored results and the figures work without loading torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pruneviz import errors

if TYPE_CHECKING:
    from pruneviz.allocation import Allocation, allocate
    from pruneviz.catalog import datasets, load_dataset, load_model, models
    from pruneviz.channels import ChannelGraph
    from pruneviz.commands.studio import studio
    from pruneviz.cost import Cost, cost
    from pruneviz.criteria import Ranking, rank
    from pruneviz.evaluation import Evaluation
    from pruneviz.export import Exported, export
    from pruneviz.latency import Latency, latency, measure_latency, width_latency
    from pruneviz.notebook import explore
    from pruneviz.plan import Plan
    from pruneviz.plugins import register
    from pruneviz.recipe import Recipe, apply_recipe, notebook_of
    from pruneviz.repair import Repairer, Statistics, repair, statistics
    from pruneviz.sensitivity import sensitivity
    from pruneviz.sensitivity_result import Sensitivity
    from pruneviz.strategies import run_strategy
    from pruneviz.strategies.branches import narrow_branches
    from pruneviz.strategies.course import Course
    from pruneviz.surgery import mask, prune
    from pruneviz.threshold import threshold
    from pruneviz.trace import trace
    from pruneviz.training import Task, evaluate, fine_tune, recalibrate

__version__ = "0.1.0"

_HOME = {
    "models": "catalog",
    "datasets": "catalog",
    "load_model": "catalog",
    "load_dataset": "catalog",
    "trace": "trace",
    "ChannelGraph": "channels",
    "Plan": "plan",
    "threshold": "threshold",
    "cost": "cost",
    "Cost": "cost",
    "mask": "surgery",
    "prune": "surgery",
    "rank": "criteria",
    "Ranking": "criteria",
    "repair": "repair",
    "Repairer": "repair",
    "statistics": "repair",
    "Statistics": "repair",
    "evaluate": "training",
    "Evaluation": "evaluation",
    "fine_tune": "training",
    "recalibrate": "training",
    "Task": "training",
    "sensitivity": "sensitivity",
    "allocate": "allocation",
    "Allocation": "allocation",
    "Sensitivity": "sensitivity_result",
    "run_strategy": "strategies",
    "Course": "strategies.course",
    "narrow_branches": "strategies.branches",
    "register": "plugins",
    "latency": "latency",
    "measure_latency": "latency",
    "width_latency": "latency",
    "Latency": "latency",
    "export": "export",
    "Exported": "export",
    "explore": "notebook",
    "studio": "commands.studio",
    "Recipe": "recipe",
    "apply_recipe": "recipe",
    "notebook_of": "recipe",
}

__all__ = [  # noqa: RUF022 - in the order in which one meets them
    "models",
    "datasets",
    "load_dataset",
    "load_model",
    "trace",
    "ChannelGraph",
    "rank",
    "Ranking",
    "Plan",
    "threshold",
    "cost",
    "Cost",
    "mask",
    "prune",
    "repair",
    "Repairer",
    "statistics",
    "Statistics",
    "evaluate",
    "Evaluation",
    "sensitivity",
    "Sensitivity",
    "allocate",
    "Allocation",
    "recalibrate",
    "fine_tune",
    "Task",
    "run_strategy",
    "Course",
    "narrow_branches",
    "register",
    "latency",
    "measure_latency",
    "width_latency",
    "Latency",
    "export",
    "Exported",
    "Recipe",
    "apply_recipe",
    "notebook_of",
    "explore",
    "studio",
    "errors",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pruneviz' has no attribute '{name}'")
    value = getattr(import_module(f"pruneviz.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)  # completion shows what is public, nothing else


class _Package(ModuleType):
    """Keeps `pruneviz.trace`, `pruneviz.cost` and their like the functions.

    Importing a submodule binds it on its package; where a public function has the same name, the
    function is bound instead. (`from pruneviz.cost import ...` reaches the module all the same.)
    """

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and _HOME.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
