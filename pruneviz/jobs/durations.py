"""How long a run will take, judging by the runs done on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pruneviz.jobs.alive import host
from pruneviz.jobs.views import RunSpec, RunView


def expected(done: Sequence[RunView], spec: RunSpec) -> float | None:
    """Return the seconds that `spec` will probably take; None if nothing like it was done here.

    The median seconds per unit of work (an epoch, where the options name epochs) over runs of the
    same kind with the same network and data, times the work asked for. If some of them pruned as
    this one does, only those count: smaller networks are faster.
    """
    alike = [
        run
        for run in done
        if run.kind == spec.kind
        and run.host == host()
        and run.seconds > 0
        and dict(run.spec.model) == dict(spec.model)
        and dict(run.spec.data) == dict(spec.data)
        and _others(run.spec) == _others(spec)
    ]
    same = [run for run in alike if run.spec.plan == spec.plan]
    rates = [run.seconds / work(run.spec) for run in same or alike]
    return median(rates) * work(spec) if rates else None


def work(spec: RunSpec) -> float:
    """Return how much there is to do, in epochs where the options name them."""
    epochs = spec.options.get("epochs")
    return float(epochs) if isinstance(epochs, int | float) and epochs > 0 else 1.0


def _others(spec: RunSpec) -> dict[str, object]:
    """Return the options that change the work done in an epoch."""
    free = {"epochs", "seed", "lr", "label_smoothing", "momentum", "weight_decay", "name"}
    free |= {"strategies", "halving"}  # of a race, whoever else takes part
    return {name: value for name, value in spec.options.items() if name not in free}
