"""What a report tells, measured in one go on images of one split."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pruneviz.figures.stats import wilson

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.channels import ChannelGraph
    from pruneviz.cost import Cost
    from pruneviz.data import DataSet
    from pruneviz.export.result import Exported
    from pruneviz.latency import Latency
    from pruneviz.plan import Plan

UNPRUNED, CUT, REPAIRED, FINE_TUNED = "unpruned", "cut", "repaired", "fine-tuned"


@dataclass(frozen=True)
class Stage:
    """A network on the way, and its top-1 accuracy (0..1) on `count` images."""

    name: str
    accuracy: float
    count: int
    per_class: tuple[float, ...] = ()

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy."""
        return wilson(self.accuracy, self.count)


@dataclass(frozen=True)
class Facts:
    """All that the report, the card and the model card tell."""

    title: str
    model: str
    data: str
    classes: tuple[str, ...]
    split: str
    """The split of all accuracies here."""
    stages: tuple[Stage, ...]
    """The unpruned network first, what is exported last."""
    plan: Plan
    cost: Cost
    latency: Latency | None
    machine: str
    versions: Mapping[str, str]
    recipe: str = ""
    """As JSON."""
    seeds: tuple[str, ...] = ()
    checks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What each exported file did in a process of its own, by format."""

    @property
    def seen(self) -> str:
        """Whether decisions saw the images, as a sentence."""
        if self.split == "test":
            return "Test images, held out from every decision."
        return (
            f"Images of the '{self.split}' split, which decisions were based on: {self.data} "
            "has no test images, so these figures may be optimistic."
        )


def gather(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    plan: Plan,
    network: nn.Module,
    *,
    name: str,
    stage: str = FINE_TUNED,
    repaired: nn.Module | None = None,
    recipe: str = "",
    seeds: tuple[str, ...] = (),
    files: Exported | None = None,
    seconds: float = 4.0,
    tell: Callable[[str], None] | None = None,
) -> Facts:
    """Measure the networks of a pruning for a report.

    Accuracies are of the test images where there are some, else of the validation images; the
    latency is of this machine, one image at a time.

    Args:
        model: The unpruned network.
        graph: Its channels.
        data: The images.
        plan: What goes.
        network: What is exported.
        name: What the unpruned network is called.
        stage: What `network` is: "cut", "repaired" or "fine-tuned".
        repaired: The repaired network, where `network` went on from it.
        recipe: How it was made, as JSON.
        seeds: What was drawn by chance, each with its seed, as sentences.
        files: The exported files.
        seconds: For the latency; 0 leaves it out.
        tell: Told what is being done.
    """
    from pruneviz.cost import cost
    from pruneviz.latency import measure_latency
    from pruneviz.surgery import prune
    from pruneviz.training import evaluate

    say = tell or (lambda text: None)
    split = "test" if data.test is not None else "val"
    price = cost(graph, plan)
    networks = {UNPRUNED: model, CUT: prune(model, graph, plan)}
    if repaired is not None:
        networks[REPAIRED] = repaired
    networks[stage] = network
    stages = []
    for label, each in networks.items():
        say(f"Measuring the {label} network")
        result = evaluate(each, data, split=split)
        stages.append(Stage(label, result.accuracy, result.count, result.per_class))
    latency = None
    if seconds > 0:
        say("Timing the networks, alternating")
        latency = measure_latency(
            {"unpruned": model, "pruned": network},
            data.input_shape,
            seconds=seconds,
            macs={"unpruned": price.baseline_macs, "pruned": price.macs},
        )
    return Facts(
        title=f"{name}, pruned to {100 * price.macs_ratio:.0f} % of its MACs",
        model=name,
        data=data.name,
        classes=data.classes,
        split=split,
        stages=tuple(stages),
        plan=plan,
        cost=price,
        latency=latency,
        machine=machine(),
        versions=versions(),
        recipe=recipe,
        seeds=seeds,
        checks=files.to_dict() if files is not None else {},
    )


def machine() -> str:
    """This machine in a few words, without its name."""
    import os

    kind = platform.processor() or platform.machine()
    return f"{platform.system()}, {kind}, {os.cpu_count()} cores"


def versions() -> dict[str, str]:
    """What was computed with."""
    import torch

    import pruneviz

    return {
        "PruneViz": pruneviz.__version__,
        "torch": torch.__version__,
        "Python": platform.python_version(),
    }
