"""A home in which everything that the pages show has happened already, without waiting for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pruneviz.jobs import RunSpec
from pruneviz.jobs.leases import claim
from pruneviz.jobs.recovery import fail
from pruneviz.jobs.steps import PLAN, WEIGHTS
from pruneviz.session.decisions import Subject
from pruneviz.session.workbench import Workbench
from pruneviz.ui.frame import services, workbench
from pruneviz.ui.runs import records as runs_data
from tests.ui.test_lab_page import race

RATIOS = (0.1, 0.5, 0.9)


def populate(loaded: Workbench | None = None, layer: str = "layer1.0.conv1") -> None:
    """Fill the home with a run of each kind and status, all on one subject: the first by default.

    `layer` is one with four filters or more.
    """
    loaded = workbench.bench(Subject()) if loaded is None else loaded
    model, data = loaded.source, loaded.data.source
    from pruneviz.plan import Plan

    plan = Plan(loaded.graph).drop(layer, [0, 3])
    tuned = runs_data.spec(loaded, plan, {"epochs": 2}, "tuned", "me")
    _done(tuned, _tuned(loaded, plan), network=(loaded, plan))
    _done(runs_data.spec(loaded, None, {"epochs": 1}, "unpruned", "me"), _tuned(loaded, None),
          network=(loaded, None))  # fmt: skip
    _done(runs_data.spec(loaded, plan, {"epochs": 1}, "lost", "me"), {}, status="interrupted")
    broken = services.jobs().store.create(
        runs_data.spec(loaded, plan, {"epochs": 1}, "broken", "me"), submitter="test"
    )
    fail(services.jobs().store, broken.id, "The lights went out.")
    front = [
        {"dropped": {n: list(u) for n, u in plan.by_group().items()}, "accuracy": 0.9,
         "macs": workbench.cost_of(loaded, plan).macs}
    ]  # fmt: skip
    genetic = runs_data.strategy_spec(loaded, "genetic", {}, "front", "me")
    _done(genetic, {**_tuned(loaded, plan), "front": front}, network=(loaded, plan))
    _done(runs_data.scan_spec(loaded, "fisher", RATIOS, 100, "me"), {"sensitivity": _scan(loaded)})
    for outcome in (whole := race(4)).outcomes:
        part = replace(whole, seeds=(outcome.seed,), outcomes=(outcome,))
        one = RunSpec(
            "race", model, data,
            options={"strategy": outcome.strategy, "seed": outcome.seed, "epochs": 2,
                     "target_macs": 0.5},
            name=f"race, {outcome.strategy}, seed {outcome.seed}", parent="race-1", tag="race",
        )  # fmt: skip
        _done(one, {"race": json.loads(part.to_json())}, network=(loaded, None))


def _done(
    spec: RunSpec,
    found: Mapping[str, Any],
    *,
    status: str = "done",
    network: tuple[Any, Any] | None = None,
) -> str:
    store = services.jobs().store
    mine = claim(store, store.create(spec, submitter="test").id, threads=1)
    assert mine is not None
    for name, payload in found.items():
        mine.keep(name, payload)
    if network is not None:
        _keep_network(store.directory(mine.run.id), *network)
    mine.beat([_epoch(0.4, 1), _epoch(0.8, 2)])
    mine.finish(status)
    return mine.run.id


def _epoch(accuracy: float, epoch: int) -> dict[str, Any]:
    import time

    columns = ("loss", "val_loss", "macs", "params", "units_left", "seconds")
    row: dict[str, Any] = dict.fromkeys(columns, 1.0)
    return {
        **row, "units_left": 398, "level": "epoch", "time": time.time(), "epoch": float(epoch),
        "step": epoch, "accuracy": accuracy, "extra": {},
    }  # fmt: skip


def _keep_network(folder: Any, loaded: Any, plan: Any) -> None:
    from safetensors.torch import save_file

    from pruneviz.surgery import prune

    folder.mkdir(parents=True, exist_ok=True)
    model = loaded.model if plan is None else prune(loaded.model, loaded.graph, plan)
    state = {k: v.detach().clone().contiguous() for k, v in model.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    if plan is not None:
        (folder / PLAN).write_text(plan.to_json())


def _tuned(loaded: Any, plan: Any) -> dict[str, Any]:
    cost = workbench.cost_of(loaded, plan)
    count, classes = len(loaded.data.val), list(loaded.data.classes)
    per_class = [0.9] * len(classes)

    def told(accuracy: float) -> dict[str, Any]:
        return {"accuracy": accuracy, "loss": 1.0, "count": count, "classes": classes,
                "per_class": per_class}  # fmt: skip

    return {
        "cost": {"macs": cost.macs, "params": cost.params, "baseline_macs": cost.baseline_macs,
                 "baseline_params": cost.baseline_params, "units_left": 398, "units": 400},
        "baseline": told(0.99), "before": told(0.4), "after": told(0.8),
    }  # fmt: skip


def _scan(loaded: Any) -> dict[str, Any]:
    from pruneviz.criteria import rank
    from pruneviz.jobs.steps import portable
    from pruneviz.sensitivity import sensitivity

    ranking = rank(loaded.model, loaded.graph, loaded.data, ["l1"])
    *_, found = sensitivity(loaded.model, loaded.graph, loaded.data, ranking, "l1",
                             ratios=(0.5,), images=100)  # fmt: skip
    return {**portable(found), "criterion": "fisher"}
