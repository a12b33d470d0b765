"""What every experiment works with: network, images, seeds, and parts that are kept when done."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from pruneviz.catalog import ModelSource, load_dataset
from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.data import DataSet, stratified_split
from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan
from pruneviz.strategies import StrategyEvent, find_strategy, run_strategy
from pruneviz.strategies.branches import narrow_branches
from pruneviz.studies.papers.result import Finding
from pruneviz.trace import trace
from pruneviz.training import evaluate

Say = Callable[[str], None]
Experiment = tuple[list[Finding], list[tuple[str, bool]], dict[str, Any]]
"""What an experiment finds: lines, sentences of the claim's test with their verdicts, settings."""


ABOUT = {"about", "commit", "seconds"}
"""What is noted beside the parts."""

EPOCH = 1297
"""Images that an epoch shows at least: those of the bundled digits."""


@dataclass
class Bench:
    """One experiment under way."""

    network: str
    data: DataSet
    """`val` decides, `test` reports; digits' validation images are halved for it."""
    scale: str
    seeds: tuple[int, ...]
    keep: Path | None = None
    """Where parts that are done are noted, so that a stopped experiment goes on."""
    say: Say = print
    weights: str | None = None
    """By default those trained on the data."""
    watch: Callable[[float], None] | None = None
    """Called often with the fraction that is done; what it raises ends the experiment."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Settings besides those above (plain JSON): parts done with others are done again."""
    expected: int = 0
    """How many parts there will be, at most; the experiment says so."""
    _parts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.keep is not None and self.keep.exists():
            try:
                self._parts = dict(json.loads(self.keep.read_text(encoding="utf-8")))
            except (ValueError, TypeError) as error:
                raise InvalidValueError(
                    f"The notes in {self.keep} are damaged ({error}); delete them to start over."
                ) from None
            if self._parts.keys() <= ABOUT or self._parts.get("about") != self.about:
                self._parts = {}  # nothing was done yet, or with other settings
        self._parts["about"] = self.about

    def tick(self, within: float = 0.0) -> None:
        """Say how much is done, `within` (0..1) of the part at hand included."""
        if self.watch is not None:
            done = len(self._parts.keys() - ABOUT) + within
            self.watch(min(done / max(self.expected, 1), 1.0))

    @property
    def seconds(self) -> float:
        """How long the parts took, those of before an interruption included."""
        return float(self._parts.get("seconds", 0.0))

    def epochs(self, count: int) -> int:
        """Epochs that show at least as many images as `count` epochs of the bundled digits.

        Few images are gone through more often, so that a budget means as many updates.
        """
        return max(count, math.ceil(count * EPOCH / len(self.data.train)))

    def model(self, weights: str | None = None) -> nn.Module:
        """The network, with the weights of the data set unless others are named."""
        chosen = weights or self.weights or self.data.name
        return ModelSource(self.network, chosen, len(self.data.classes)).load()

    def fresh(self, seed: int) -> nn.Module:
        """The network with new weights."""
        return ModelSource(self.network, None, len(self.data.classes), seed).load()

    def follow(self, events: Iterable[StrategyEvent]) -> StrategyEvent:
        """The last of a strategy's events; each is a tick."""
        last = None
        for last in events:
            self.tick(last.progress)
        assert last is not None
        return last

    def graph(self, model: nn.Module) -> ChannelGraph:
        """Its channels."""
        return trace(model, self.data.input_shape)

    def part(self, name: str, work: Callable[..., Any], *given: Any) -> Any:
        """What `work(*given)` gives (plain JSON), from the notes if it was done before."""
        self.tick()
        if name not in self._parts:
            begun = time.perf_counter()
            self._parts[name] = json.loads(json.dumps(work(*given)))
            took = time.perf_counter() - begun
            self._parts["seconds"] = self.seconds + took
            if self.keep is not None:
                partial = self.keep.with_suffix(".writing")
                partial.write_text(json.dumps(self._parts), encoding="utf-8")
                partial.replace(self.keep)
            self.say(f"{name}: {self._parts[name]} ({took:.0f} s)"[:300])
        return self._parts[name]

    def prune(
        self,
        name: str,
        strategy: str,
        seed: int,
        options: Mapping[str, Any],
        *,
        target_macs: float | None = None,
        model: nn.Module | None = None,
    ) -> dict[str, Any]:
        """Run a strategy as a part; accuracy on `val` and `test`, what is left, what it took.

        Nothing is repaired or taught unless `options` say so: the paper's form is tested.
        """
        ours = find_strategy(strategy).defaults.keys() & {"repair", "teacher"}
        paper = dict.fromkeys(ours, False)

        def work() -> dict[str, Any]:
            start = model if model is not None else self.model()
            graph = self.graph(start)
            events = run_strategy(
                strategy,
                start,
                graph,
                self.data,
                seed=seed,
                target_macs=target_macs,
                **{**paper, **options},
            )
            last = self.follow(events)
            assert last.result is not None
            whole = sum(p.numel() for p in start.parameters())
            macs, params = last.macs, last.params
            if options.get("rate") is not None:  # zeros stay in streams; branches are narrow
                small = narrow_branches(last.result.model, self.data.input_shape)
                macs = cost(self.graph(small)).macs
                params = sum(p.numel() for p in small.parameters())
            return {
                "test": evaluate(last.result.model, self.data, split="test").accuracy,
                "val": last.accuracy,
                "macs": macs / sum(layer.macs for layer in graph.layers),
                "params": params / whole,
                "passes": round(last.passes, 3),
                "widths": widths(graph, last.result.plan),
            }

        result: dict[str, Any] = self.part(f"{name}, seed {seed}", work)
        return result


def widths(graph: ChannelGraph, plan: Plan) -> dict[str, str]:
    """Group -> what is left of its units, "12 of 16"."""
    return {
        group.name: f"{int(plan.kept[list(group.units)].sum())} of {group.width}"
        for group in graph.prunable_groups
    }


def with_test(data: DataSet, trained: bool = True) -> DataSet:
    """The data set itself, or with images kept back to report on.

    Where the network was trained on these data, half of the validation images report and half
    decide; where it was not, all of them report, and a fifth of the training images decides.
    """
    if data.test is not None:
        return data
    digest = f"{data.digest}-lab"
    if trained:
        decide, report = stratified_split(data.val.labels, 0.5)
        return replace(
            data, val=data.val.subset(decide), test=data.val.subset(report), digest=digest
        )
    train, decide = stratified_split(data.train.labels, 0.2)
    return replace(
        data,
        train=data.train.subset(train),
        val=data.train.subset(decide),
        test=data.val,
        digest=digest,
    )


def load_data(name: str, trained: bool = True, **given: Any) -> DataSet:
    """A data set of the catalogue with images to report on; options that are None are left out."""
    data = load_dataset(name, **{key: value for key, value in given.items() if value is not None})
    return with_test(data, trained)


def finding(label: str, values: list[float], **detail: Any) -> Finding:
    """A mean over seeds."""
    return Finding(label, sum(values) / len(values), tuple(values), detail)


DECIDES = (
    *("catalog", "criteria", "replay", "strategies", "studies", "trace", "training"),
    *(f"{part}.py" for part in ("data", "plan", "cost", "surgery", "sensitivity")),
)
"""The parts of the package that decide results."""
