"""How well each figure that takes no training predicts the accuracy after it. Loads without torch.

For plans p with a predicted figure a_p and an accuracy r_p after fine-tuning, the agreement is
Spearman's rank correlation of a and r: 1 where the figure orders the plans as training does. The
MACs alone order plans well, so what counts is the agreement among plans of about the same MACs.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruneviz import stored
from pruneviz.drawing import draw

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "pruneviz-trust/1"
STORED = Path(__file__).parent / "results"
PREDICTORS = ("macs", "cut", "remeasured", "repaired")
"""MACs left, and accuracy: right after the cut, with batch norms re-measured, repaired."""
FEWEST = 4
"""Plans of about the same MACs that a correlation needs at least."""


@dataclass(frozen=True)
class TrustPoint:
    """One plan: what was predicted of it, and what fine-tuning reached. Fractions, 0..1."""

    origin: str
    """How the plan was made: "random", a criterion, or "allocated"."""
    budget: float
    """MACs that it was drawn for."""
    macs: float
    """MACs that it leaves."""
    cut: float
    remeasured: float
    repaired: float
    reached: float


@dataclass(frozen=True)
class Rejected:
    """A plan that one figure ranks lowest of its budget though training takes it far."""

    point: TrustPoint
    predicted_rank: int
    """Its place by the figure, 1 the best."""
    reached_rank: int
    """Its place after fine-tuning."""
    of: int
    """Plans of the same budget."""


@dataclass(frozen=True)
class Trust:
    """Predicted against reached, over many plans of one network."""

    network: str
    data: str
    start: str
    """"repaired" or "cut": what fine-tuning began from."""
    images: int
    """Validation images that predictions were measured on."""
    split: str
    """Where `reached` was measured: "test", or "val": half of it, which predicted nothing."""
    reached_images: int
    epochs: int
    train_images: int
    seed: int
    baseline: float
    """The unpruned network's accuracy on `split`."""
    points: tuple[TrustPoint, ...]
    command: str = ""
    commit: str = ""

    def agreement(self, predictor: str) -> float:
        """Spearman's rank correlation with what was reached, over all plans; nan if undefined."""
        return _spearman([_value(p, predictor) for p in self.points], self._reached)

    def agreement_within(self, predictor: str) -> float:
        """The mean, weighted by plans, of the correlations among plans of the same budget.

        Plans of a budget differ by at most 3 % of its MACs. Where a figure is the same for all of
        them it orders nothing and counts 0.
        """
        total, weight = 0.0, 0
        for plans in self.by_budget().values():
            if len(plans) < FEWEST or len({p.reached for p in plans}) < 2:
                continue
            value = _spearman([_value(p, predictor) for p in plans], [p.reached for p in plans])
            total += (0.0 if math.isnan(value) else value) * len(plans)
            weight += len(plans)
        return total / weight if weight else math.nan

    def by_budget(self) -> dict[float, list[TrustPoint]]:
        """The plans of each budget."""
        groups: dict[float, list[TrustPoint]] = {}
        for point in self.points:
            groups.setdefault(point.budget, []).append(point)
        return dict(sorted(groups.items()))

    def rejected(self, predictor: str = "cut") -> Rejected | None:
        """The plan that the figure undervalues most: its rank falls furthest short of its worth."""
        worst: Rejected | None = None
        for plans in self.by_budget().values():
            for point in plans:
                mine = _value(point, predictor)
                rejected = Rejected(
                    point,
                    1 + sum(_value(p, predictor) > mine for p in plans),
                    1 + sum(p.reached > point.reached for p in plans),
                    len(plans),
                )
                if worst is None or _lost(rejected) > _lost(worst):
                    worst = rejected
        return worst if worst is not None and _lost(worst) > 0 else None

    def to_frame(self) -> pd.DataFrame:
        """One row a predictor: its agreement over all plans, and within a budget."""
        import pandas as pd

        return pd.DataFrame(
            {
                "predictor": PREDICTORS,
                "all plans": [self.agreement(p) for p in PREDICTORS],
                "same MACs": [self.agreement_within(p) for p in PREDICTORS],
            }
        )

    def figure(self, *, dark: bool = False, height: int | None = None) -> Any:
        """Predicted against reached, a point a plan, cut and repaired."""
        return draw(self, dark=dark, height=height)

    def to_json(self) -> str:
        """The result as text; `from_json` gives the same again."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Trust:
        """Read a result back. Raises `InvalidValueError` for anything else."""
        return stored.read(text, "A trust study", FORMAT, lambda held: stored.make(cls, held))

    @property
    def _reached(self) -> list[float]:
        return [p.reached for p in self.points]


def stored_trust(folder: Path = STORED) -> tuple[Trust, ...]:
    """The results that come with the package."""
    return tuple(Trust.from_json(path.read_text("utf-8")) for path in sorted(folder.glob("*.json")))


def _value(point: TrustPoint, predictor: str) -> float:
    return float(getattr(point, predictor))


def _lost(rejected: Rejected) -> int:
    return rejected.predicted_rank - rejected.reached_rank


def _spearman(a: list[float], b: list[float]) -> float:
    if len(a) < FEWEST or len(set(a)) < 2 or len(set(b)) < 2:
        return math.nan
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)
