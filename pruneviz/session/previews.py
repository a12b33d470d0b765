"""What a plan is worth, measured in the background while a person decides.

A preview has a kind: what is done to the cut network before it is measured. It is named by its
kind, the subject, the plan and the number of images, and each is measured once for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from pruneviz.errors import UnknownNameError
from pruneviz.plan import Plan
from pruneviz.repair import Depth
from pruneviz.repair.repairer import DEPTHS
from pruneviz.session.background import Answer, Background
from pruneviz.session.workbench import Workbench
from pruneviz.surgery import prune
from pruneviz.training import Evaluation, evaluate

CUT = "cut"
INSTANT = "instant repair"
REPAIRED = "repaired"
FINE_TUNED = "fine-tuned"
BASELINE = "baseline"

Measure = Callable[[Workbench, Plan | None], Evaluation]


class PreviewKey(NamedTuple):
    """Names a measurement."""

    kind: str
    subject: str
    plan: str
    images: int


def measure_cut(workbench: Workbench, plan: Plan | None) -> Evaluation:
    """Measure the network that a plan leaves, as it is; None is the unpruned network."""
    model = workbench.model
    if plan is not None and plan.dropped:
        model = prune(model, workbench.graph, plan)
    return evaluate(model, workbench.data, limit=workbench.preview_images)


def measure_instant(workbench: Workbench, plan: Plan | None) -> Evaluation:
    """Measure the network that a plan leaves, repaired from moments gathered once."""
    if plan is None or not plan.dropped:
        return measure_cut(workbench, plan)
    network = workbench.repairer.instant(plan).network
    return evaluate(network, workbench.data, limit=workbench.preview_images)


def measure_repaired(workbench: Workbench, plan: Plan | None) -> Evaluation:
    """Measure the network that a plan leaves, repaired layer by layer: what `pv.repair` gives."""
    if plan is None or not plan.dropped:
        return measure_cut(workbench, plan)
    network = workbench.repairer.full(plan).network
    return evaluate(network, workbench.data, limit=workbench.preview_images)


def _prepared(workbench: Workbench, depth: Depth) -> bool:
    workbench.repairer.prepare(depth)
    return True


MEASURES: Mapping[str, Measure] = {
    CUT: measure_cut,
    INSTANT: measure_instant,
    REPAIRED: measure_repaired,
}
"""By kind. A new kind is a new entry."""


@dataclass(frozen=True)
class Worth:
    """What is known of a plan so far; the unpruned network is the same under every kind."""

    cut: Answer[Evaluation]
    instant: Answer[Evaluation]
    repaired: Answer[Evaluation]
    whole: bool = False
    """Whether nothing is pruned."""

    @property
    def best(self) -> Evaluation | None:
        """The measurement that says most about the plan: repaired fully, else at once, else cut."""
        return self.repaired.value or self.instant.value or self.cut.value

    @property
    def kind(self) -> str:
        """Of what `best` is the accuracy; empty where nothing is pruned, or nothing known."""
        if self.whole or self.best is None:
            return ""
        if self.repaired.value is not None:
            return REPAIRED
        return INSTANT if self.instant.value is not None else CUT

    @property
    def error(self) -> str | None:
        """Why there is no accuracy."""
        return self.repaired.error or self.instant.error or self.cut.error


class Previews:
    """Measures plans in the background, the unpruned network alike under every kind.

    Args:
        background: Does the work and keeps the answers.
        measures: By kind, how a plan is measured.
    """

    def __init__(self, background: Background, measures: Mapping[str, Measure] = MEASURES) -> None:
        self._background = background
        self._measures = measures

    def key(self, workbench: Workbench, plan: Plan | None, kind: str = CUT) -> PreviewKey:
        """Name the measurement of a plan; `UnknownNameError` for an unknown kind."""
        if kind not in self._measures:
            raise UnknownNameError("kind of preview", kind, self._measures)
        whole = plan is None or not plan.dropped
        return PreviewKey(
            CUT if whole else kind,
            workbench.subject.digest,
            BASELINE if plan is None or whole else plan.digest,
            workbench.preview_images,
        )

    def ask(
        self,
        workbench: Workbench,
        plan: Plan | None,
        kind: str = CUT,
        *,
        owner: str | None = None,
    ) -> Answer[Evaluation]:
        """Return what is known of a plan's worth, and have it measured if nothing is.

        Of an `owner`'s questions of one kind only the last is answered.
        """
        key = self.key(workbench, plan, kind)
        measure = self._measures[key.kind]
        asked_by = None if owner is None else f"{owner} {kind}"
        return self._background.ask(key, lambda: measure(workbench, plan), owner=asked_by)

    def ask_of_run(
        self, workbench: Workbench, run: str, measure: Callable[[], Evaluation]
    ) -> Answer[Evaluation]:
        """Return what is known of the network that a run left, and have it measured if nothing is.

        `measure` evaluates it on the workbench's preview images.
        """
        key = PreviewKey(FINE_TUNED, workbench.subject.digest, run, workbench.preview_images)
        return self._background.ask(key, measure)

    def worth(
        self,
        workbench: Workbench,
        plan: Plan | None,
        *,
        ask: bool = False,
        owner: str | None = None,
    ) -> Worth:
        """Return what is known of a plan under every kind.

        With `ask`, what is missing is asked for: the instant repair first; once that is known, the
        full one (where it takes seconds) and the cut, so that while a slider moves on only the
        former is computed.
        """
        if plan is None or not plan.dropped:
            one = (
                self.ask(workbench, plan, owner=owner) if ask else self._look(workbench, plan, CUT)
            )
            return Worth(one, one, one, whole=True)
        if ask:
            repaired = self._look(workbench, plan, REPAIRED)
            first = None if repaired.ready else self.ask(workbench, plan, INSTANT, owner=owner)
            if first is None or first.ready:
                if workbench.repairs_quickly:
                    self.ask(workbench, plan, REPAIRED, owner=owner)
                self.ask(workbench, plan, CUT, owner=owner)
        cut, instant, full = (self._look(workbench, plan, k) for k in (CUT, INSTANT, REPAIRED))
        return Worth(cut, instant, full)

    def prepare(self, workbench: Workbench) -> None:
        """Gather, in the background, what the repair of any plan needs."""
        if workbench.repairs_quickly:
            for depth in DEPTHS:
                key = (depth, workbench.subject.digest)
                self._background.ask(key, partial(_prepared, workbench, depth))

    def _look(self, workbench: Workbench, plan: Plan | None, kind: str) -> Answer[Evaluation]:
        return self._background.look(self.key(workbench, plan, kind))  # type: ignore[return-value]

    def known(self, workbench: Workbench, plan: Plan | None, kind: str = CUT) -> Evaluation | None:
        """Return what was measured already, without asking for it."""
        value = self._background.look(self.key(workbench, plan, kind)).value
        return value if isinstance(value, Evaluation) else None

    def wait(
        self, workbench: Workbench, plan: Plan | None, kind: str = CUT, timeout: float = 60
    ) -> Answer[Evaluation]:
        """Ask, and wait for the answer; for notebooks and scripts."""
        self.ask(workbench, plan, kind)
        self._background.wait(self.key(workbench, plan, kind), timeout)
        return self.ask(workbench, plan, kind)

    def pending(self, owner: str) -> bool:
        """Whether something that this owner asked for is still being measured."""
        return any(self._background.pending(f"{owner} {kind}") for kind in self._measures)
