"""A network and data, loaded, and what follows from decisions about them; each thing once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from torch import nn

from pruneviz.catalog import ModelSource, describe_model, load_dataset, options_for
from pruneviz.channels import ChannelGraph
from pruneviz.cost import Cost, cost
from pruneviz.criteria import Ranking
from pruneviz.data import DataSet
from pruneviz.plan import Plan
from pruneviz.repair import Repairer
from pruneviz.repair.images import usual_images
from pruneviz.session.byte_cache import ByteCache
from pruneviz.session.decisions import Decisions, Subject
from pruneviz.session.planning import plan_of
from pruneviz.session.rankings import Rankings, Stored, nothing_stored
from pruneviz.trace import trace

Progress = Callable[[int, int, str], None]

PREVIEW_MACS = 40e9
"""Multiply-adds that a preview may cost: about two seconds on two cores."""
PREVIEW_IMAGES = (64, 1000)
FULL_REPAIR_MACS = 120e9
"""Multiply-adds of the images of a full repair, up to which it is done without being asked for."""
PLAN_BYTES = 32 << 20
"""What the plans of one network may take: thousands of them."""


class PlanCost(NamedTuple):
    """The plan that follows from decisions, and what it costs."""

    plan: Plan
    cost: Cost


class Workbench:
    """A loaded subject with its caches; they go when it goes. Nobody may change the model.

    Attributes:
        subject: What was loaded.
        model: The network, in eval mode or as it came.
        data: Its data set.
        graph: Its channels.
        source: The model's source as runs need it.
        note: What has to be done first, such as fine-tuning a new classifier; empty if nothing.
        preview_images: Validation images that every accuracy on a screen is measured on.
        rankings: Its filters' scores.
    """

    def __init__(
        self,
        subject: Subject,
        model: nn.Module,
        data: DataSet,
        *,
        graph: ChannelGraph | None = None,
        source: dict[str, object] | None = None,
        note: str = "",
        stored: Callable[[Workbench], Stored] | None = None,
    ) -> None:
        self.subject, self.model, self.data = subject, model, data
        self.graph = trace(model, data.input_shape) if graph is None else graph
        self.source = source if source is not None else {}
        self.note = note
        low, high = PREVIEW_IMAGES
        affordable = int(PREVIEW_MACS / max(1, cost(self.graph).macs))
        self.preview_images = min(len(data.val), max(low, min(high, affordable)))
        self.rankings = Rankings(
            model, self.graph, data, nothing_stored if stored is None else stored(self)
        )
        self._plans: ByteCache[tuple[Decisions, Ranking | None], PlanCost] = ByteCache(
            PLAN_BYTES, _bytes_of_plan
        )

    @classmethod
    def load(
        cls,
        subject: Subject,
        progress: Progress | None = None,
        stored: Callable[[Workbench], Stored] | None = None,
    ) -> Workbench:
        """Load a subject by its sources; a network for other classes gets a new classifier."""
        source = ModelSource(subject.model, subject.weights, subject.num_classes)
        options = options_for(source, subject.data, dict(subject.options))
        data = load_dataset(subject.data, **options)
        model = source.load(progress)
        if describe_model(model).classes != len(data.classes):
            source = replace(source, num_classes=len(data.classes))
            model = source.load(progress)
        note = describe_model(model).note
        return cls(subject, model, data, source=source.to_dict(), note=note, stored=stored)

    @classmethod
    def of(cls, model: nn.Module, data: DataSet, graph: ChannelGraph | None = None) -> Workbench:
        """Take a network and data that are loaded already, as in a notebook.

        The subject is named by the weights' digest: equal weights are the same subject.
        """
        weights = hashlib.sha256()
        for name, tensor in model.state_dict().items():
            weights.update(name.encode())
            weights.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        given = f"given-{weights.hexdigest()[:12]}"
        subject = Subject(type(model).__name__, given, len(data.classes), data.name)
        return cls(subject, model, data, graph=graph)

    @cached_property
    def repairer(self) -> Repairer:
        """Repairs plans as `pv.repair` does; what plans share is gathered when it is needed."""
        return Repairer(self.model, self.graph, self.data)

    @cached_property
    def repairs_quickly(self) -> bool:
        """Whether a full repair takes seconds, so that every plan in hand may have one."""
        return cost(self.graph).macs * usual_images(self.graph) <= FULL_REPAIR_MACS

    @cached_property
    def chance(self) -> float:
        """Accuracy (0..1) of always predicting the most common class of the preview images."""
        from pruneviz.training import chance

        return chance(self.data.val.first(self.preview_images))

    @property
    def title(self) -> str:
        """How a person calls it."""
        return self.subject.title

    def plan_at(self, decisions: Decisions) -> PlanCost:
        """Return the plan that follows from decisions and its cost, computed once.

        Raises:
            PlanError: The plan would break the network; the sentence says how.
        """
        ranking = self.rankings.of(decisions.criterion) if decisions.needs_ranking else None

        def work() -> PlanCost:
            plan = plan_of(self.graph, ranking, decisions)
            return PlanCost(plan, cost(self.graph, plan))

        return self._plans.compute((decisions, ranking), work)


def _bytes_of_plan(held: PlanCost) -> int:
    """A byte a unit, and half a dozen numbers a layer."""
    return held.plan.kept.nbytes + 6 * 40 * len(held.cost.layers)
