"""The widget behind `pv.explore`: a session's decisions as traits that the browser moves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from pruneviz.arguments import network, one_of
from pruneviz.data import check_data
from pruneviz.errors import PruneVizError
from pruneviz.session.background import Background
from pruneviz.session.decisions import Change, Decisions, release, set_group_ratios, set_ratio
from pruneviz.session.previews import Previews, Worth
from pruneviz.session.session import Session
from pruneviz.session.workbench import Workbench
from pruneviz.session.workbenches import Workbenches

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.channels import ChannelGraph
    from pruneviz.cost import Cost
    from pruneviz.data import DataSet
    from pruneviz.plan import Plan

POLL_SECONDS = 0.05
HERE = Path(__file__).parent


class Explorer(anywidget.AnyWidget):  # type: ignore[misc]
    """Sliders, costs, repaired accuracy and the trade-off, in a notebook's cell.

    The browser sets `ratio`, `ratios` and `asked`; what follows from them is told in the other
    traits. All accuracies are measured on one sample, in a thread of their own.
    """

    _esm = HERE / "explorer.js"
    _css = HERE / "explorer.css"

    ratio = traitlets.Float(0.0).tag(sync=True)
    """Pruning ratio, whole network, 0..1."""
    ratios = traitlets.Dict().tag(sync=True)
    """Groups whose own slider was moved: name -> ratio."""
    asked = traitlets.Dict().tag(sync=True)
    """What a button asks for: {"do": "undo" | "redo" | "go", "step": digest}."""
    groups = traitlets.List().tag(sync=True)
    """Prunable groups: name, width, units kept, ratio."""
    state = traitlets.Dict().tag(sync=True)
    """Costs and worth of the plan, and what may be undone."""
    points = traitlets.List().tag(sync=True)
    """The plans visited: MACs left (0..1), accuracy, label, step."""

    def __init__(self, model: nn.Module, data: DataSet, criterion: str = "fisher") -> None:
        super().__init__()
        self._bench = Workbench.of(network(model), check_data(data))
        benches = Workbenches()
        benches.put(self._bench)
        one_of("criterion", criterion, self._bench.rankings.offered())
        self._session = Session(benches, self._bench.subject)
        self._criterion = criterion
        self._previews = Previews(Background())
        self._following = False
        self._visited: dict[str, dict[str, Any]] = {}
        self._watcher: threading.Thread | None = None
        self._show()

    @property
    def graph(self) -> ChannelGraph:
        """The network's channels."""
        return self._bench.graph

    @property
    def plan(self) -> Plan:
        """The current plan."""
        return self._session.in_hand.plan

    @property
    def cost(self) -> Cost:
        """What it costs."""
        return self._session.in_hand.cost

    @property
    def worth(self) -> Worth:
        """What is known of it so far: accuracy of the cut network, and repaired."""
        return self._previews.worth(self._bench, self.plan)

    def wait(self, timeout: float = 120) -> Explorer:
        """Wait until the plan's accuracy is measured; for scripts."""
        if self._watcher is not None:
            self._watcher.join(timeout)
        return self

    # ------------------------------------------------------------------- what the browser moves
    @traitlets.observe("ratio")  # type: ignore[untyped-decorator]
    def _ratio_moved(self, change: Any) -> None:
        if not self._following:
            self._take(partial(set_ratio, self._decisions, float(change.new)), "ratio")

    @traitlets.observe("ratios")  # type: ignore[untyped-decorator]
    def _ratios_moved(self, change: Any) -> None:
        if self._following:
            return
        wanted, now = dict(change.new), dict(self._decisions.ratios)
        moved = {name: float(r) for name, r in wanted.items() if now.get(name) != r}
        for name in [name for name in now if name not in wanted]:
            self._take(partial(release, self._decisions, name))
        if moved:
            label = ", ".join(f"{name} {100 * r:.3g} %" for name, r in moved.items())
            self._take(partial(set_group_ratios, self._decisions, moved, label), ",".join(moved))

    @traitlets.observe("asked")  # type: ignore[untyped-decorator]
    def _button_pressed(self, change: Any) -> None:
        history, wanted = self._session.history, change.new
        if wanted.get("do") == "undo" and history.can_undo:
            self._session.undo()
        elif wanted.get("do") == "redo" and history.can_redo:
            self._session.redo()
        elif wanted.get("do") == "go" and wanted.get("step") in history.steps:
            self._session.go(str(wanted["step"]))
        else:
            return
        self._show()

    @property
    def _decisions(self) -> Decisions:
        return replace(self._session.decisions, criterion=self._criterion)

    def _take(self, change: Callable[[], Change], slider: str | None = None) -> None:
        try:
            self._session.take(change(), slider=slider)
        except PruneVizError as error:
            self._show(str(error))
        else:
            self._show()

    # ------------------------------------------------------------------------- what it is told
    def _show(self, refused: str = "") -> None:
        """Tell the browser where things stand, and have the accuracy measured."""
        plan, now = self.plan, self._session.decisions
        gone, own = plan.by_group(), dict(now.ratios)
        self._following = True
        try:
            with self.hold_sync():
                self.ratio, self.ratios = now.ratio, own
                self.groups = [
                    {
                        "name": group.name,
                        "width": group.width,
                        "left": group.width - len(gone.get(group.name, ())),
                        "ratio": own.get(group.name, len(gone.get(group.name, ())) / group.width),
                    }
                    for group in self.graph.prunable_groups
                ]
                self.state = self._told(self._ask(), refused)
        finally:
            self._following = False
        if self._watcher is None or not self._watcher.is_alive():
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()

    def _ask(self) -> Worth:
        return self._previews.worth(self._bench, self.plan, ask=True, owner="explorer")

    def _told(self, worth: Worth, refused: str = "") -> dict[str, Any]:
        cost, history = self.cost, self._session.history
        best = worth.best
        return {
            "macs": cost.macs,
            "baseline_macs": cost.baseline_macs,
            "params": cost.params,
            "baseline_params": cost.baseline_params,
            "pruned": len(self.plan),
            "accuracy": None if best is None else best.accuracy,
            "cut": None if worth.cut.value is None else worth.cut.value.accuracy,
            "kind": worth.kind,
            "images": self._bench.preview_images,
            "error": refused or worth.error or "",
            "label": history.step.label,
            "undo": history.can_undo,
            "redo": history.can_redo,
        }

    def _watch(self) -> None:
        """Ask again until the plan that is current then is measured, and tell each answer."""
        asked, baseline = threading.Event(), None
        while True:
            # Read once: a hand that moves on amends the step, whose name is then another.
            history, (plan, cost) = self._session.history, self._session.in_hand
            try:
                worth, base = self._ask(), self._previews.ask(self._bench, None)
            except RuntimeError:  # Python ends, and its threads with it
                return
            told = self._told(worth)
            refused = self.state.get("error", "")
            if {**self.state, "error": ""} != {**told, "error": ""}:
                self.state = {**told, "error": told["error"] or refused}
            if base.value is not None and baseline is None:
                baseline = base.value.accuracy
                self._visit("unpruned", 1.0, baseline, "nothing pruned", self._first)
            if worth.best is not None and plan.dropped:
                label, share = history.step.label, cost.macs_ratio
                self._visit(plan.digest, share, worth.best.accuracy, label, history.current)
            full = worth.repaired.ready or not self._bench.repairs_quickly
            done = (worth.instant.ready and full and worth.cut.ready) or worth.whole
            if base.ready and done and worth.cut.ready and plan == self.plan:
                return
            asked.wait(POLL_SECONDS)

    @property
    def _first(self) -> str:
        return next(iter(self._session.history.steps))

    def _visit(self, key: str, macs: float, accuracy: float, label: str, step: str) -> None:
        point = {"macs": macs, "accuracy": accuracy, "label": label, "step": step}
        if self._visited.get(key) != point:
            self._visited[key] = point
            self.points = list(self._visited.values())
