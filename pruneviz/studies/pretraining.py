"""The pretraining study over networks, data sets and seeds: one value, one table, one figure.

Each run (`pretraining_run`) is independent of the others, so a queue can work through them in any
order; what each found is added here. No torch here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pruneviz import stored
from pruneviz.drawing import draw
from pruneviz.errors import InvalidValueError

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "pruneviz-pretraining/1"


@dataclass(frozen=True)
class StudyPoint:
    """One network of a study: what it started from, what it lost, and how accurate it is."""

    start: str
    """"pretrained" or "scratch"."""
    removed: float
    """Fraction of the parameters that is gone; 0 for the unpruned network."""
    macs: int
    params: int
    accuracy: float
    """On validation images."""
    test_accuracy: float | None
    """On test images, which decide nothing; None where there are none."""


@dataclass(frozen=True)
class StudyRun:
    """What one run measured."""

    network: str
    data: str
    seed: int
    points: tuple[StudyPoint, ...]
    chance: float | None = None
    """Accuracy of always predicting the most common class."""


@dataclass(frozen=True)
class PretrainingStudy:
    """All runs so far."""

    runs: tuple[StudyRun, ...] = ()

    def __post_init__(self) -> None:
        for run in self.runs:
            if not run.points:
                raise InvalidValueError(
                    f"A run of a study has at least one point, but that of '{run.network}' with "
                    f"seed {run.seed} has none."
                )

    def add(
        self,
        network: str,
        data: str,
        seed: int,
        points: Iterable[StudyPoint],
        chance: float | None = None,
    ) -> PretrainingStudy:
        """A study with one more run; one of the same network, data and seed is replaced."""
        key = (network, data, seed)
        rest = tuple(r for r in self.runs if (r.network, r.data, r.seed) != key)
        return PretrainingStudy((*rest, StudyRun(network, data, seed, tuple(points), chance)))

    def to_frame(self) -> pd.DataFrame:
        """One row a point: network, data, seed, start, removed, macs, params, accuracies."""
        import pandas as pd

        rows = [
            {"network": run.network, "data": run.data, "seed": run.seed, **asdict(point)}
            for run in self.runs
            for point in run.points
        ]
        return pd.DataFrame(rows)

    def reductions(self, tolerance: float = 0.01) -> pd.DataFrame:
        """The largest reduction of the parameters within a tolerance of each run's own baseline.

        One row for each network, data set and start: mean and standard deviation over the seeds of
        the furthest point up to which validation accuracy never fell by more than `tolerance`.
        """
        import pandas as pd

        rows = []
        for run in self.runs:
            for start in dict.fromkeys(p.start for p in run.points):
                curve = [p for p in run.points if p.start == start]
                best = largest_reduction(curve, tolerance)
                assert best is not None  # the first point is within any tolerance of itself
                rows.append(
                    {
                        "network": run.network,
                        "data": run.data,
                        "start": start,
                        "removed": best.removed,
                    }
                )
        columns = ["network", "data", "start", "removed"]
        grouped = pd.DataFrame(rows, columns=columns).groupby(columns[:3], sort=False)["removed"]
        return grouped.agg(["mean", "std", "count"]).reset_index()

    def figure(self, *, dark: bool = False, height: int | None = None) -> Any:
        """Accuracy against the parameters removed, both starts, for each network and data set."""
        return draw(self, dark=dark, height=height)

    def to_json(self) -> str:
        """The study as text; `from_json` gives the same again."""
        return json.dumps({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str | bytes) -> PretrainingStudy:
        """Read a study back. Raises `InvalidValueError` for anything else."""
        return stored.read(
            text,
            "A study",
            FORMAT,
            lambda values: stored.make(cls, {**values, "runs": values["runs"]}),
        )


def largest_reduction(
    curve: list[StudyPoint], tolerance: float = 0.01, of: float | None = None
) -> StudyPoint | None:
    """The furthest point up to which validation accuracy never fell below `of` - `tolerance`.

    `of` is the first point's own accuracy unless given; None where not even the first one holds.
    """
    goal = (curve[0].accuracy if of is None else of) - tolerance - 1e-9
    best = None
    for point in curve:
        if point.accuracy < goal:
            break
        best = point
    return best
