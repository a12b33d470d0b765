"""The results of the lab, small JSON files that come with the package. No torch here."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruneviz import stored
from pruneviz.drawing import draw

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "pruneviz-lab/1"
STORED = Path(__file__).parent / "results"


def deviation(values: Sequence[float]) -> float:
    """The standard deviation (n - 1); nan for a single value, and where one is not finite."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return math.nan
    return statistics.stdev(values)


@dataclass(frozen=True)
class Finding:
    """One line of a result: a mean over the seeds, and what it is of."""

    label: str
    value: float
    seeds: tuple[float, ...]
    """One value a seed."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else was measured: MACs, accuracy by layer, ..."""

    @property
    def spread(self) -> float:
        """The standard deviation (n - 1) over the seeds; nan for one."""
        return deviation(self.seeds)

    def percent(self) -> str:
        """The mean as a percentage, with the spread over the seeds where there are several."""
        spread = f" ± {100 * self.spread:.2f}" if len(self.seeds) > 1 else ""
        return f"{100 * self.value:.2f}{spread} %"


@dataclass(frozen=True)
class _Behind:
    """What the second figures draw of a finding's detail."""

    by_layer: Mapping[str, float | None] = field(default_factory=dict)
    """Layer -> correlation."""
    curves: tuple[tuple[tuple[float, float, float], ...], ...] = ()
    """A curve a seed: parameters removed, accuracy on validation and on held-out images."""


def named(*parts: str) -> str:
    """The name of a result from what it is about, fit for a file: a network may have a path."""
    return "-".join(re.sub(r"[\\/:]+", "-", part).strip("-") for part in parts)


@dataclass(frozen=True)
class LabResult:
    """One claim, measured with one network on one data set."""

    claim: str
    network: str
    data: str
    scale: str
    seeds: tuple[int, ...]
    findings: tuple[Finding, ...]
    readings: tuple[tuple[str, bool], ...]
    """Sentences of the claim's test with the figures in them, and whether each holds."""
    settings: Mapping[str, Any]
    """Budget, images and whatever else decided the figures."""
    command: str
    commit: str
    machine: str
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether every sentence of the claim's test holds."""
        return all(holds for _, holds in self.readings)

    @property
    def outdated(self) -> str:
        """What the claim's experiment has by now that this result lacks; empty if nothing."""
        from pruneviz.studies.papers.claims import find_claim

        claim = find_claim(self.claim)
        return claim.changed if self.settings.get("form", 1) < claim.form else ""

    def count_seeds(self) -> str:
        """In words: "3 seeds"."""
        return f"{len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''}"

    @property
    def name(self) -> str:
        """The name of its file, without the ending."""
        return named(self.claim, self.network, self.data, self.scale)

    def to_frame(self) -> pd.DataFrame:
        """One row a finding: mean and standard deviation over the seeds, and what goes with them.

        Columns: what, mean, std, seeds, and the mean of each number that was measured beside it a
        seed (such as macs and params, fractions of the unpruned network's).
        """
        import pandas as pd

        rows = []
        for finding in self.findings:
            row = {"what": finding.label, "mean": finding.value, "std": finding.spread}
            beside = {
                name: statistics.fmean(values)
                for name, values in finding.detail.items()
                if isinstance(values, list)
                and len(values) == len(finding.seeds)
                and all(isinstance(v, int | float) for v in values)
            }
            rows.append({**row, "seeds": len(finding.seeds), **beside})
        return pd.DataFrame(rows)

    def figure(self, *, title: bool = True, dark: bool = False, height: int | None = None) -> Any:
        """The findings with their spread over seeds, and the published figures."""
        return draw(self, title=title, dark=dark, height=height)

    def to_json(self) -> str:
        """The result as text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> LabResult:
        """Read a result back. Raises `InvalidValueError` for anything else."""
        return stored.read(text, "A result of the lab", FORMAT, cls._from_values)

    @classmethod
    def _from_values(cls, document: dict[str, Any]) -> LabResult:
        from pruneviz.studies.papers.claims import find_claim

        result = stored.make(cls, document)
        find_claim(result.claim)
        if not result.findings or not all(f.seeds for f in result.findings):
            raise ValueError("a result has findings, each with a value for every seed")
        for finding in result.findings:
            behind = {k: v for k, v in finding.detail.items() if k in ("by_layer", "curves")}
            stored.make(_Behind, behind)
        return result


def results(folder: Path = STORED) -> tuple[LabResult, ...]:
    """What was measured by us: the results that the package carries, by name."""
    return tuple(
        LabResult.from_json(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    )
