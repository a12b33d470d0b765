"""A strategy under way: the network as it stands, the plan so far, and what a resume needs.

Strategies are generators that go through *stages* by name. A stage that is done is noted in the
state of every later event, so a resumed strategy runs through the same code and skips what was
done; what a stage needs to go on in its middle lies in `Run.memory`. Everything random is seeded
by (seed, stage, step), so the weights do not depend on where a run was interrupted.
"""

from __future__ import annotations

import copy
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.data import DataSet
from pruneviz.plan import Plan
from pruneviz.repair import repair as repaired
from pruneviz.strategies.base import (
    FineTuning,
    FrontPoint,
    Strategy,
    StrategyEvent,
    StrategyResult,
)
from pruneviz.strategies.budget import FloatArray, Target
from pruneviz.strategies.checkpoint import state_of
from pruneviz.strategies.tensors import narrow, plain_layout, put, snapshot
from pruneviz.surgery import mask, prune
from pruneviz.trace import trace
from pruneviz.training import EpochEvent, Evaluation, default_device, evaluate, fine_tune

if TYPE_CHECKING:
    from pruneviz.criteria import Ranking


class Run:
    """One run of one strategy; strategies read and change it."""

    def __init__(
        self,
        strategy: Strategy,
        model: nn.Module,
        graph: ChannelGraph,
        data: DataSet,
        target_macs: float | None,
        seed: int,
        options: Any,
    ) -> None:
        self.strategy = strategy
        self.model = model
        self.graph = graph
        self.data = data
        self.target = Target(macs=target_macs)
        self.seed = seed
        self.options = options
        self.device = default_device()
        self.home = next(model.parameters()).device
        self.plan = Plan(graph)
        """What the events report as gone."""
        self.removed = Plan(graph)
        """What is physically gone from `network`."""
        self.network = copy.deepcopy(model).to(self.device)
        self.memory: dict[str, Any] = {}
        self.done: list[str] = []
        self.step = 0
        self.steps: int | None = None
        self.passes = 0.0
        self.training: dict[str, Any] = {}
        self._measured: Evaluation | None = None

    # -- stages ---------------------------------------------------------------------------------

    def once(self, stage: str) -> bool:
        """Whether a stage is still to be done; from now on it counts as done."""
        if stage in self.done:
            return False
        self.done.append(stage)
        return True

    def seed_of(self, stage: str, *parts: int) -> int:
        """A seed of the stage's own."""
        mixed = self.seed
        for part in (zlib.crc32(stage.encode()), *parts):
            mixed = (mixed * 1_000_003 + part) % (2**31)
        return mixed

    def fine_tune(
        self,
        stage: str,
        epochs: int,
        message: str = "Fine-tuning",
        *,
        options: FineTuning | None = None,
        share: tuple[float, float] | None = None,
        each: Callable[[EpochEvent], tuple[float, float] | None] | None = None,
    ) -> Iterator[StrategyEvent]:
        """Train the network as it stands; an event an epoch.

        `each`, if given, is called after every epoch, before the event: it may change the
        network's weights and `plan`, and return the accuracy and loss of what it left. `share`
        tells from where to where it brings the progress, where the number of events is not known.
        """
        if stage in self.done or epochs == 0:
            return
        use = options if options is not None else self.options
        plain_layout(self.network)
        # What was trained so far is in the network already; the rest waits in the state.
        resume = None
        if self.training.get("stage") == stage:
            resume = self.training["inner"] | {"model": self.network.state_dict()}
        head_epochs = None if not self.passes else 0  # a new classifier is new once
        if resume is not None:
            head_epochs = resume["settings"].get("head_epochs", 0)
        events = fine_tune(
            self.network,
            self.data,
            epochs=epochs,
            lr=use.lr,
            batch_size=use.batch_size,
            seed=self.seed_of(stage),
            optimizer=use.optimizer,
            schedule=use.schedule,
            weight_decay=use.weight_decay,
            mixed_precision=use.mixed_precision,
            decay_all=getattr(use, "decay", "weights") == "all",
            head_epochs=head_epochs,
            resume=resume,
            device=self.device,
        )
        for event in events:
            assert isinstance(event, EpochEvent)
            self.passes += 1
            self.training = {
                "stage": stage,
                "inner": {key: value for key, value in event.state.items() if key != "model"},
            }
            if event.epoch == event.epochs:
                self.done.append(stage)
                self.training = {}
            measured: tuple[float, float] | None = (event.accuracy, event.val_loss)
            if each is not None:
                measured = each(event)
            yield self.event(
                "fine-tune",
                f"{message}, epoch {event.epoch} of {event.epochs}. {event.message}".rstrip(". "),
                loss=event.loss,
                measured=measured,
                progress=None
                if share is None
                else share[0] + (share[1] - share[0]) * event.epoch / event.epochs,
            )

    # -- the network ----------------------------------------------------------------------------

    def shrink(self, plan: Plan, *, repair: bool = False) -> None:
        """Physically remove what the plan drops; the weights that stay are as they were.

        With `repair` they are refitted to what the network gave before.
        """
        if repair and len(plan) > len(self.removed):
            state = self._repaired(plan)
        else:
            state = narrow(self.network.state_dict(), self.graph, self.removed, plan)
        self.network = prune(self.model, self.graph, plan).to(self.device)
        put(self.network, state)
        self.network.eval()
        self.plan = self.removed = plan

    def _repaired(self, plan: Plan) -> dict[str, torch.Tensor]:
        """The weights of the network as it stands after a repair without what the plan drops."""
        network = copy.deepcopy(self.network)  # which may be in the middle of its training
        plain_layout(network)
        graph, further = self.graph, plan
        if len(self.removed):
            graph = trace(network, self.graph.input_shape)
            further = Plan(graph)
            for layer in self.graph.layers:
                there = layer.units[self.removed.kept[layer.units]]
                gone = graph.layer(layer.name).units[~plan.kept[there]]
                further = further.drop_units(gone.tolist())
        return repaired(network, graph, further, self.data, seed=self.seed).state_dict()

    def load(self, plan: Plan, state: Mapping[str, Any]) -> None:
        """Take up a network that lacks what the plan drops, with these weights."""
        network = prune(self.model, self.graph, plan) if len(plan) else copy.deepcopy(self.model)
        put(network, state)
        self.network = network.to(self.device)
        self.plan = self.removed = plan

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of the network's weights, on the CPU."""
        weights: dict[str, torch.Tensor] = snapshot(self.network.state_dict())
        return weights

    def evaluate(self, split: str = "val", limit: int | None = None) -> Evaluation:
        """Measure the network without what the plan drops."""
        network = self.network
        if len(self.plan) > len(self.removed):
            assert not len(self.removed)
            cut = mask if self.graph.maskable else prune
            network = cut(self.network, self.graph, self.plan)
        return evaluate(network, self.data, split=split, limit=limit)

    def rank(self, criterion: str, stage: str, *, comparable: bool) -> FloatArray:
        """(num_units,) scores of the original network's units, nan for those that are gone.

        The network as it stands is ranked; with `comparable`, scores are made comparable over
        groups.
        """
        if criterion == "random":
            generator = np.random.default_rng(self.seed_of(stage))
            return generator.random(self.graph.num_units)
        from pruneviz.criteria import rank

        network = copy.deepcopy(self.network)  # which may be in the middle of its training
        plain_layout(network)
        graph = self.graph
        if len(self.removed):
            graph = trace(network, self.graph.input_shape)
        seed = self.seed_of(stage)
        ranking: Ranking = rank(network, graph, self.data, criteria=[criterion], seed=seed)
        ranked = ranking.comparable(criterion) if comparable else ranking.of(criterion)
        if graph is self.graph:
            return np.asarray(ranked, dtype=np.float64)
        scores = np.full(self.graph.num_units, np.nan)
        kept = self.removed.kept
        for layer in self.graph.layers:
            stay = layer.units[kept[layer.units]]
            scores[stay] = ranked[graph.layer(layer.name).units]
        return scores

    # -- events ---------------------------------------------------------------------------------

    def events(self) -> Iterator[StrategyEvent]:
        """Let the strategy work; its events, and the last with the network."""
        yield from self.strategy.run(self, self.options)
        yield self.finish()

    def event(
        self,
        phase: str,
        message: str,
        *,
        loss: float = math.nan,
        measured: tuple[float, float] | None = None,
        progress: float | None = None,
        state: bool = True,
        front: tuple[FrontPoint, ...] = (),
        result: StrategyResult | None = None,
    ) -> StrategyEvent:
        """Say what was done; `measured` is (accuracy, loss) where they are known already."""
        self.step += 1
        if measured is None:
            evaluation = self.evaluate()
            measured = (evaluation.accuracy, evaluation.loss)
        price = cost(self.graph, self.plan)
        if progress is None:
            progress = min(self.step / self.steps, 1.0) if self.steps else 0.0
        return StrategyEvent(
            strategy=self.strategy.name,
            step=self.step,
            steps=self.steps,
            progress=1.0 if result is not None else progress,
            phase=phase,
            message=message,
            units_left=int(self.graph.prunable.sum()) - len(self.plan),
            macs=price.macs,
            params=price.params,
            passes=self.passes,
            loss=loss,
            val_loss=measured[1],
            accuracy=measured[0],
            plan=self.plan.to_json(),
            state=state_of(self) if state else None,
            front=front,
            final=result is not None,
            result=result,
        )

    def finish(self) -> StrategyEvent:
        """The last event: the pruned network and the plan."""
        if len(self.removed) < len(self.plan):
            self.shrink(self.plan)
        network = self.network.to(self.home).eval()
        evaluation = evaluate(network, self.data)
        return self.event(
            "done",
            "The network is pruned" if len(self.plan) else "Done",
            measured=(evaluation.accuracy, evaluation.loss),
            result=StrategyResult(network, self.plan),
        )
