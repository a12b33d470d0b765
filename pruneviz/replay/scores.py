"""Correct predictions and loss of many plans on a mini-batch, by replay where that is exact."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from pruneviz.channels import ChannelGraph
from pruneviz.errors import PlanError
from pruneviz.outputs import class_logits, logits
from pruneviz.plan import Plan
from pruneviz.replay import pack
from pruneviz.replay.columns import Columns, consumers, exact, prepared, silenced
from pruneviz.replay.fast import fold
from pruneviz.replay.program import NotReplayableError, Program
from pruneviz.replay.record import record
from pruneviz.replay.tape import Recipe, Tape, recipe_of
from pruneviz.surgery import mask, prune

_PRUNED_BYTES = 1 << 28  # pruned models kept from batch to batch
_PLANS = 4096  # plans whose columns are kept from batch to batch
_AGREE = 1e-3  # how far a replay may be from the model before it is not trusted


@dataclass(frozen=True, slots=True)
class Score:
    """Correct top-1 predictions and summed cross-entropy over `count` images."""

    correct: int
    loss: float
    count: int

    def __add__(self, other: Score) -> Score:
        return Score(self.correct + other.correct, self.loss + other.loss, self.count + other.count)


def score(output: Any, labels: Tensor) -> Score:
    """Score logits (N, classes) against labels (N,).

    Raises `DataError` where a label has no output.
    """
    labels = labels.cpu()
    x = class_logits(output, int(labels.max()) + 1).cpu()
    loss = cross_entropy(x.double(), labels, reduction="sum")
    return Score(int((x.argmax(1) == labels).sum()), float(loss), len(labels))


Change = Plan | tuple[Columns, ...]


class Replay:
    """Scores plans on mini-batches: one recorded pass, then for each plan only what it touches.

    Works on a copy of the model, so weights that change later do not matter. Plans that masking
    cannot imitate (LayerNorm, GroupNorm) are scored by running the pruned network, and networks
    whose pass cannot be recorded (`reason` then says why) by running the masked one, with the same
    results. Safe to use from several threads.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: ChannelGraph,
        *,
        folded: bool = True,
        channels_last: bool = True,
        skip: bool = True,
        packed: bool = True,
        groups: Iterable[str] | None = None,
    ) -> None:
        self.graph = graph
        self.model = copy.deepcopy(model).eval()
        self.reason: str | None = None
        self._folded, self._skip = folded, skip
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self.model.to(memory_format=self._format)
        chosen = graph.prunable_groups if groups is None else [graph.group(g) for g in groups]
        self._groups = tuple(g for g in chosen if g.maskable)
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        self.device = device
        self._packs = packed and channels_last and device.type == "cpu"
        self._changing = consumers(graph, [g.name for g in self._groups])
        self._recipes: dict[tuple[int, ...], Recipe | None] = {}
        self._checked: set[tuple[str, ...]] = set()
        self._pruned: dict[bytes, nn.Module] = {}
        self._silenced: dict[bytes, list[tuple[Columns, ...] | None]] = {}
        self._lock = threading.Lock()

    def scores(
        self,
        images: Tensor,
        labels: Tensor,
        plans: Sequence[Change],
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> list[Score]:
        """Score each plan on images (N, C, H, W), normalised, and labels (N,).

        Columns that go silent may stand for a plan. `stop` is asked before each plan; once it
        says yes, what is there so far is returned.
        """
        images = self.place(images)
        labels = labels.to(self.device)
        tape = self.tape(images)
        scores = []
        with torch.no_grad():
            for plan in plans:
                if stop():
                    break
                scores.append(score(self._run(tape, plan, images), labels))
        return scores

    def place(self, images: Tensor) -> Tensor:
        """Return images on the model's device and in the layout that is fast there."""
        dtype = next((p.dtype for p in self.model.parameters()), images.dtype)
        return images.to(self.device, dtype, memory_format=self._format)

    def tape(self, images: Tensor) -> Tape | None:
        """Record a mini-batch; None where only the whole network can be run."""
        images = self.place(images)
        recipe = self.recipe(images)
        return None if recipe is None else Tape(recipe, images)

    def recipe(self, images: Tensor) -> Recipe | None:
        """Return what tapes of this shape of mini-batch share, checked against the model."""
        images, key = self.place(images), tuple(images.shape)
        with self._lock:
            if key not in self._recipes:
                self._recipes[key] = self._make_recipe(images)
            return self._recipes[key]

    def _make_recipe(self, images: Tensor) -> Recipe | None:
        if self.reason is not None:
            return None
        try:
            program = record(self.model, images)
        except NotReplayableError as why:
            self.reason = str(why)
            return None
        candidates: list[Program] = [fold(program), program] if self._folded else [program]
        if self._folded and self._packs and pack.available():
            candidates.insert(0, pack.pack(candidates[0]))
        for candidate in candidates:
            recipe = recipe_of(candidate, self._changing)
            shape = tuple(op.label for op in candidate.ops)
            # Another batch size gives the same operations with other sizes: checked already.
            if shape in self._checked or self._trusted(recipe, images):
                self._checked.add(shape)
                return recipe
        self.reason = "a replay did not give what the model gives"
        return None

    def _trusted(self, recipe: Recipe, images: Tensor) -> bool:
        """Whether a replay with half of every group silent gives what the masked model gives."""
        plan = Plan(self.graph, [u for g in self._groups for u in g.units[: g.width // 2]])
        with torch.no_grad():
            expected = mask(self.model, self.graph, plan)(images)
            try:
                replayed = self._run(Tape(recipe, images), plan, images)
            except RuntimeError:  # a view, say, that another memory layout does not allow
                return False
        a, b = logits(replayed), logits(expected)
        scale = b.abs().max().clamp_min(1e-6)
        return a.shape == b.shape and bool((a - b).abs().max() <= _AGREE * scale)

    def whole(self, plan: Plan, images: Tensor) -> Any:
        """Return the plan's output by running all of the masked, or the pruned, network."""
        if self.columns(plan) is None:
            return self._smaller(plan)(images)
        return mask(self.model, self.graph, plan)(images)

    def _run(self, tape: Tape | None, plan: Change, images: Tensor) -> Any:
        """Return the plan's output on the images of the tape."""
        columns = self.columns(plan) if isinstance(plan, Plan) else plan
        if columns is None or tape is None:
            if isinstance(plan, Plan):
                return self.whole(plan, images)
            return self._silent(plan, images)
        steps = tape.recipe.steps(frozenset(c.name for c in columns))
        return tape.replay(prepared(tape.recipe, columns, skip=self._skip), steps)

    def _silent(self, columns: tuple[Columns, ...], images: Tensor) -> Any:
        """Run all of the network with some columns silent."""
        weights = dict(self.model.named_parameters(remove_duplicate=False))
        changed: dict[str, Tensor] = {}
        for column in columns:
            weight = changed.get(column.name, weights[column.name])
            at = column.indices.to(weight.device)
            changed[column.name] = weight.index_fill(column.dim, at, 0)
        with self._lock:  # while it runs, the model carries the changed weights
            return functional_call(self.model, changed, (images,))

    def columns(self, plan: Plan) -> tuple[Columns, ...] | None:
        """Return the columns that a plan leaves unread; None where masking is not exact."""
        if plan.graph is not self.graph and plan.graph.digest != self.graph.digest:
            raise PlanError("This plan was made for another network; make it from this graph.")
        key = np.packbits(plan.kept).tobytes()
        known = self._silenced.get(key)
        if known is None:
            if len(self._silenced) >= _PLANS:
                self._silenced.clear()
            known = [silenced(self.graph, plan.kept) if exact(self.graph, plan) else None]
            self._silenced[key] = known
        return known[0]

    def _smaller(self, plan: Plan) -> nn.Module:
        """Return the pruned network, kept for the next batch while there is room."""
        key = np.packbits(plan.kept).tobytes()
        with self._lock:
            if key in self._pruned:
                return self._pruned[key]
        model = prune(self.model, self.graph, plan)
        each = sum(p.nbytes for p in model.parameters())
        with self._lock:
            if (len(self._pruned) + 1) * each <= _PRUNED_BYTES:
                self._pruned[key] = model
        return model
