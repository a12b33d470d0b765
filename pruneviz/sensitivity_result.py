"""Accuracy against pruning ratio, group by group. Loads without torch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pruneviz.arguments import number
from pruneviz.drawing import Shown, draw

if TYPE_CHECKING:
    import pandas as pd


After = Literal["cut", "remeasured", "repaired"]
AFTER = ("cut", "remeasured", "repaired")


@dataclass(frozen=True, slots=True)
class SensitivityPoint:
    """One group pruned to one ratio, everything else whole.

    `removed` of the group's `width` units are pruned (0 where the ratio is too small to prune one:
    then nothing was pruned, and the point says so). `correct` of `images` are classified correctly
    (with a task, its metric times the images); `loss` is their mean cross-entropy; `macs` are the
    whole network's, `macs_saved` the fraction of the unpruned network's MACs that is saved.
    """

    group: str
    ratio: float
    removed: int
    width: int
    correct: float
    images: int
    loss: float
    macs: int
    macs_saved: float

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, 0..1."""
        return self.correct / self.images if self.images else math.nan


@dataclass(frozen=True)
class Sensitivity(Shown):
    """Accuracy against ratio for every group, on the images seen so far.

    `points` run over groups in execution order, within a group by ratio. `closed` are the groups
    that cannot be pruned, each with the reason; they have no points. `final` says that all
    `total` images have been seen.
    """

    criterion: str
    split: str
    baseline_correct: float
    baseline_loss: float
    images: int
    total: int
    ratios: tuple[float, ...]
    points: tuple[SensitivityPoint, ...]
    closed: tuple[tuple[str, str], ...]
    final: bool
    after: After = "cut"
    """How a pruned network was treated before it was measured."""
    chance: float | None = None
    """Accuracy (0..1) of always answering the images' commonest class."""

    @property
    def progress(self) -> float:
        """How much of the scan is done, 0..1."""
        if self.after == "cut":
            return self.images / self.total if self.total else 1.0
        return sum(p.images > 0 for p in self.points) / max(1, len(self.points))

    @property
    def baseline(self) -> float:
        """Accuracy (0..1) of the unpruned network on the same images."""
        return self.baseline_correct / self.images if self.images else math.nan

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups that have a curve."""
        return tuple(dict.fromkeys(p.group for p in self.points))

    def curve(self, group: str) -> tuple[SensitivityPoint, ...]:
        """Return the points of one group, by ratio."""
        return tuple(p for p in self.points if p.group == group)

    def allowed(self, drop: float) -> dict[str, float]:
        """Return, for each group, the largest measured ratio up to which accuracy holds.

        A ratio counts when it and all smaller measured ones lose at most `drop` (a fraction of
        all images, 0..1) of the baseline's accuracy. 0 where none does. The result can be given
        to `threshold(..., ratio=result, scope="group")`; groups pruned together lose more than
        each alone. Raises `InvalidValueError` for a drop outside 0..1.
        """
        number("A tolerated drop of accuracy", drop, 0, 1)
        slack = drop * self.images + 1e-9
        ratios = {}
        for group in self.groups:
            ratios[group] = 0.0
            for point in self.curve(group):
                if not point.images:
                    break  # not measured yet
                if self.baseline_correct - point.correct > slack:
                    break
                ratios[group] = point.ratio if point.removed else 0.0
        return ratios

    def to_frame(self) -> pd.DataFrame:
        """One row per point; groups that cannot be pruned have one row without numbers."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {
                "group": p.group,
                "ratio": p.ratio,
                "removed": p.removed,
                "width": p.width,
                "accuracy": p.accuracy,
                "drop": self.baseline - p.accuracy,
                "correct": p.correct,
                "images": p.images,
                "loss": p.loss,
                "macs": p.macs,
                "macs_saved": p.macs_saved,
                "reason": "",
            }
            for p in self.points
        ]
        rows += [{"group": name, "reason": reason} for name, reason in self.closed]
        columns = list(rows[0]) if self.points else None
        return pd.DataFrame(rows, columns=columns)

    def figure(
        self,
        *,
        tolerance: float | None = None,
        highlight: Iterable[str] = (),
        dark: bool = False,
        height: int | None = None,
    ) -> Any:
        """Draw one curve per group, with the baseline and, on request, a tolerated drop."""
        look: dict[str, Any] = {"dark": dark, "height": height}
        return draw(self, tolerance=tolerance, highlight=highlight, **look)
