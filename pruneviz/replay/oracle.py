"""The oracle: what the loss does when one unit is silenced.

Molchanov et al., *Pruning Convolutional Neural Networks for Resource Efficient Inference* (2016):
`ΔL(h) = C(D, h = 0) - C(D, h)`, measured for every unit by itself. It is exact and
expensive, and other criteria are compared with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np
import numpy.typing as npt

from pruneviz.channels import ChannelGraph
from pruneviz.errors import UnknownNameError
from pruneviz.plan import Plan
from pruneviz.replay.columns import silenced_by_unit
from pruneviz.replay.scan import Images, scan
from pruneviz.replay.scores import Change, Replay, Score

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

Kind = Literal["abs", "loss"]


@dataclass(frozen=True, eq=False)
class Oracle:
    """The loss change of every unit on the images seen so far.

    `change` is float64 (num_units,): mean cross-entropy with the unit silenced, minus `loss`, the
    mean without; nan for units that cannot be pruned or were not asked for. `correct` is int64
    (num_units,): images still classified right, -1 where `change` is nan.
    """

    graph: ChannelGraph
    change: npt.NDArray[np.float64]
    correct: npt.NDArray[np.int64]
    loss: float
    baseline_correct: int
    images: int
    total: int
    final: bool

    def scores(self, kind: Kind = "abs") -> npt.NDArray[np.float64]:
        """Return scores (num_units,), higher = keep.

        "abs": `|ΔL|`, a unit matters when the loss moves either way (oracle-abs). "loss": `ΔL`, a
        unit whose removal lowers the loss should go first (oracle-loss). Raises
        `UnknownNameError` for any other kind.
        """
        if kind not in ("abs", "loss"):
            raise UnknownNameError("kind of oracle", kind, ("abs", "loss"))
        return np.abs(self.change) if kind == "abs" else self.change.copy()

    def to_frame(self) -> pd.DataFrame:
        """One row a measured unit: group, index in the group, loss change, correct."""
        import pandas as pd

        units = np.flatnonzero(~np.isnan(self.change))
        groups = [self.graph.group_of(int(u)) for u in units]
        return pd.DataFrame(
            {
                "unit": units,
                "group": [g.name for g in groups],
                "index": [int(u) - g.start for u, g in zip(units, groups, strict=True)],
                "loss_change": self.change[units],
                "correct": self.correct[units],
            }
        )


class _Data(Protocol):
    def split(self, name: str) -> Any: ...


def oracle(
    model: nn.Module,
    graph: ChannelGraph,
    data: _Data,
    *,
    images: int | None = 256,
    split: str = "train",
    groups: Iterable[str] | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
) -> Iterator[Oracle]:
    """Measure the loss change of every unit; yields a result that grows by mini-batches.

    Each unit costs a replay from its first consumer on. Units of groups that masking cannot
    imitate (LayerNorm, GroupNorm) are measured in the pruned network.

    Args:
        model: The network; it is not changed.
        graph: Its channels.
        data: Images (N, C, H, W) and labels.
        images: How many images, balanced over the classes; None for the whole split.
        split: "train", "val" or "test". Images that rank should not be those that judge.
        groups: Names of the groups to measure; None for all that can be pruned.
        batch_size: Images per mini-batch; None to choose for the network and the machine.
        workers: Mini-batches computed side by side; None for as many threads as torch may use.

    Raises:
        UnknownNameError: An unknown group or split.
        InvalidValueError: Fewer than one image.
        DataError: The split is absent or empty, or has labels without an output.
    """
    chosen = graph.prunable_groups if groups is None else [graph.group(g) for g in groups]
    wanted = [g for g in chosen if g.prunable]
    source = data.split(split)
    source = cast("Images", source if images is None else source.first(images))

    def run() -> Iterator[Oracle]:
        columns = silenced_by_unit(graph)
        changes: list[Change] = [()]
        changes += [columns[u] for g in wanted if g.maskable for u in g.units]
        changes += [Plan(graph, [u]) for g in wanted if not g.maskable for u in g.units]
        units = [u for g in wanted if g.maskable for u in g.units]
        units += [u for g in wanted if not g.maskable for u in g.units]
        replay = Replay(model, graph, groups=[g.name for g in wanted])
        total: list[Score] | None = None
        for scores in scan(replay, source, changes, batch_size=batch_size, workers=workers):
            total = scores if total is None else [a + b for a, b in zip(total, scores, strict=True)]
            yield _result(graph, np.array(units, dtype=np.int64), total, len(source))

    return run()


def _result(
    graph: ChannelGraph, units: npt.NDArray[np.int64], total: Sequence[Score], images: int
) -> Oracle:
    base, rest = total[0], total[1:]
    change = np.full(graph.num_units, np.nan)
    correct = np.full(graph.num_units, -1, dtype=np.int64)
    change[units] = (np.array([s.loss for s in rest]) - base.loss) / base.count
    correct[units] = [s.correct for s in rest]
    return Oracle(
        graph=graph,
        change=change,
        correct=correct,
        loss=base.loss / base.count,
        baseline_correct=base.correct,
        images=base.count,
        total=images,
        final=base.count == images,
    )
