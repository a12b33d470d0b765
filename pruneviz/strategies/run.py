"""A running strategy: its stages and events, and what a resume needs.

Strategies are generators that go through *stages* by name. Finished stages are noted in the state
of every later event, so a resumed strategy runs through the same code and skips what was done;
`Run.memory` holds what a stage needs to continue from its middle. Everything random is seeded by
(seed, stage, step), so the weights do not depend on where a run was interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.data import DataSet
from pruneviz.strategies.base import FrontPoint, Strategy, StrategyEvent, StrategyResult
from pruneviz.strategies.budget import Target
from pruneviz.strategies.details import Details
from pruneviz.strategies.options import FineTuning
from pruneviz.strategies.tensors import plain_layout
from pruneviz.strategies.working_network import WorkingNetwork
from pruneviz.training import EpochEvent, evaluate, fine_tune
from pruneviz.training.preparation import knows_its_classes
from pruneviz.training.step import snapshot


class Run(WorkingNetwork):
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
        super().__init__(model, graph, data, seed)
        self.strategy = strategy
        self.target = Target(macs=target_macs)
        self.options = options
        self.memory: dict[str, Any] = {}
        self.done: list[str] = []
        self.step = 0
        self.steps: int | None = None
        self.passes = 0.0
        self.training: dict[str, Any] = {}
        self.details: Details | None = None
        """How the next event's step was decided."""

    # -- stages ---------------------------------------------------------------------------------

    def once(self, stage: str) -> bool:
        """Whether a stage has still to be done; from then on it counts as done."""
        if stage in self.done:
            return False
        self.done.append(stage)
        return True

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
        """Train the current network, with one event per epoch.

        `each`, if given, is called after every epoch, before the event: it may change the
        network's weights and `plan`, and return the accuracy and loss of what it left. `share` is
        the part of the progress that it covers, if the number of events is not known.
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
            teacher=self.teacher if use.teacher else None,
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

    @property
    def teacher(self) -> nn.Module | None:
        """Who can teach the current network: the unpruned one, unless it knows no more itself."""
        return self.model if len(self.removed) and knows_its_classes(self.model) else None

    # -- events ---------------------------------------------------------------------------------

    def events(self) -> Iterator[StrategyEvent]:
        """Run the strategy; its events, the last of them with the network."""
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
        """Say what was done; `measured` is (accuracy, loss) if they are known already."""
        self.step += 1
        if measured is None:
            evaluation = self.evaluate()
            measured = (evaluation.accuracy, evaluation.loss)
        price = cost(self.graph, self.plan)
        details, self.details = self.details, None
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
            state=self.state() if state else None,
            front=front,
            details=details,
            final=result is not None,
            result=result,
        )

    def settings(self) -> dict[str, Any]:
        """Everything that decides the resulting weights, apart from the network's own."""
        return {
            "strategy": self.strategy.name,
            "network": self.graph.digest,
            "data": self.data.digest,
            "target_macs": self.target.macs,
            "seed": self.seed,
            **asdict(self.options),
        }

    def state(self) -> dict[str, Any]:
        """Everything that a resume needs (`pruneviz.strategies.checkpoint`), for `torch.save`."""
        return {
            "settings": self.settings(),
            "plan": self.plan.to_json(),
            "removed": self.removed.to_json(),
            "model": self.weights(),
            "training": snapshot(self.training),
            "memory": snapshot(self.memory),
            "done": list(self.done),
            "step": self.step,
            "steps": self.steps,
            "passes": self.passes,
        }

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
