"""An experiment of the lab as a queue: a run for each seed, put together when all have ended."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruneviz.jobs.views import RunSpec, RunView
from pruneviz.studies.papers.kinds import CLAIM, PARTS
from pruneviz.studies.papers.request import Request
from pruneviz.studies.papers.result import LabResult
from pruneviz.studies.queue import Study, id_of

if TYPE_CHECKING:
    from pruneviz.jobs.service import JobService


@dataclass(frozen=True)
class ClaimQueue(Study):
    """A claim put to the test with each of some seeds."""

    request: Request

    @property
    def id(self) -> str:
        """The parent of its runs. More seeds belong to the same experiment, other settings not."""
        return id_of("lab", _settings(self.request))

    @property
    def name(self) -> str:
        """What it is called."""
        return f"Lab: {self.request.about.title}, {self.request.network} on {self.request.called}"

    def specs(self, owner: str = "") -> tuple[RunSpec, ...]:
        """Its runs, one a seed."""
        return tuple(
            RunSpec(
                kind=CLAIM,
                options=replace(self.request, seeds=(seed,)).to_dict(),
                name=f"{self.name}, seed {seed}",
                parent=self.id,
                owner=owner,
                tag=self.name,
            )
            for seed in dict.fromkeys(self.request.seeds)
        )


def gather(service: JobService, runs: Iterable[RunView], request: Request) -> LabResult:
    """The result over all seeds, from the parts that the runs have done; nothing is done again.

    Parts are named by what was done and with which seed, so those of several runs stand beside each
    other as those of one run would.
    """
    from pruneviz.studies.papers.experiment import perform

    parts: dict[str, Any] = {}
    seconds = 0.0
    for run in runs:
        path = service.files(run.id) / PARTS
        own = json.loads(path.read_text(encoding="utf-8"))
        seconds += own.pop("seconds", 0.0)
        parts = {**own, **parts}
    # On a worker, the path of the images was another.
    parts |= {"seconds": seconds, "about": _settings(request)}
    with tempfile.TemporaryDirectory() as folder:
        keep = Path(folder) / PARTS
        keep.write_text(json.dumps(parts), encoding="utf-8")
        return perform(request, keep=keep, say=lambda _: None)


def _settings(request: Request) -> dict[str, Any]:
    return {name: value for name, value in request.to_dict().items() if name != "seeds"}
