"""How long a run will take and how large its files will be, judging by the runs done before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from pruneviz.jobs.alive import host
from pruneviz.jobs.listing import Which
from pruneviz.jobs.migrations import listed_by
from pruneviz.jobs.records import RunStore
from pruneviz.jobs.views import RunSpec, RunView

LOOKED_AT = 200
"""The newest runs of the same kind, network and data; older ones say nothing new."""
MEASURED = 20
"""Of those, the ones whose files are measured."""


@dataclass(frozen=True)
class Outlook:
    """What some runs will probably take; runs without any like them are not in the sums."""

    seconds: float
    timed: int
    """Runs whose time is known."""
    size: int
    """Bytes of the files that they leave; their checkpoints, deleted at the end, are not in it."""
    sized: int
    """Runs whose size is known."""


def outlook(store: RunStore, specs: Sequence[RunSpec], *, anywhere: bool = False) -> Outlook:
    """Sum up what runs will probably take; see `expected` and `expected_size`.

    With `anywhere`, runs done on other machines count, too.
    """
    done: dict[tuple[object, ...], tuple[RunView, ...]] = {}
    sizes: dict[str, int] = {}

    def measured(ids: Sequence[str]) -> Mapping[str, int]:
        sizes.update(store.files.sizes([run_id for run_id in ids if run_id not in sizes]))
        return sizes

    times, bytes_ = [], []
    for spec in specs:
        listed = listed_by(spec.to_dict())
        key = spec.kind, listed["network"], listed["data"]
        if key not in done:
            which = Which(
                status="done", kinds=(spec.kind,), network=listed["network"], data=listed["data"]
            )
            done[key] = store.list(which, limit=LOOKED_AT)
        times.append(expected(done[key], spec, anywhere=anywhere))
        bytes_.append(expected_size(done[key], spec, measured))
    known = [seconds for seconds in times if seconds is not None]
    sized = [size for size in bytes_ if size is not None]
    return Outlook(sum(known), len(known), sum(sized), len(sized))


def expected(done: Sequence[RunView], spec: RunSpec, *, anywhere: bool = False) -> float | None:
    """Return the seconds that `spec` will probably take; None if nothing like it was done here.

    The median seconds per unit of work (an epoch, where the options name epochs) over runs of the
    same kind with the same network and data, times the work asked for. If some of them pruned as
    this one does, only those count: smaller networks are faster. Only runs of this machine count,
    unless `anywhere` is set.
    """
    alike = [
        run for run in _alike(done, spec) if run.seconds > 0 and (anywhere or run.host == host())
    ]
    rates = [run.seconds / work(run.spec) for run in _planned(alike, spec)]
    return median(rates) * work(spec) if rates else None


def expected_size(
    done: Sequence[RunView], spec: RunSpec, sizes: Callable[[Sequence[str]], Mapping[str, int]]
) -> int | None:
    """Return the bytes of the files that `spec` will probably leave; None: nothing like it ended.

    The median over runs like it, on any machine; `sizes` gives the bytes of runs by their ids.
    """
    ids = [run.id for run in _planned(_alike(done, spec), spec)][:MEASURED]
    known = sizes(ids) if ids else {}
    return round(median(known[run_id] for run_id in ids)) if ids else None


def _alike(done: Sequence[RunView], spec: RunSpec) -> list[RunView]:
    return [
        run
        for run in done
        if run.kind == spec.kind
        and dict(run.spec.model) == dict(spec.model)
        and dict(run.spec.data) == dict(spec.data)
        and _others(run.spec) == _others(spec)
    ]


def _planned(alike: Sequence[RunView], spec: RunSpec) -> Sequence[RunView]:
    """Return those that pruned as `spec` does, or all if none did."""
    return [run for run in alike if run.spec.plan == spec.plan] or alike


def work(spec: RunSpec) -> float:
    """Return how much there is to do, in epochs where the options name them."""
    epochs = spec.options.get("epochs")
    return float(epochs) if isinstance(epochs, int | float) and epochs > 0 else 1.0


def _others(spec: RunSpec) -> dict[str, object]:
    """Return the options that change the work done in an epoch."""
    free = {"epochs", "seed", "lr", "label_smoothing", "momentum", "weight_decay", "name"}
    free |= {"strategies", "halving"}  # of a race, whoever else takes part
    return {name: value for name, value in spec.options.items() if name not in free}
