"""A hand on every control of every view of every page: nothing raises, nothing shows an error.

The studio's home has seen runs of every kind; what a control starts in the background is noted
and not done. By default one control of each sort, one after the other on the same page; with
`-m slow` every single one, each on a page of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pruneviz.jobs import JobService
from pruneviz.session.decisions import Decisions
from pruneviz.session.session import Session
from pruneviz.ui.frame import services
from tests.ui.populated import populate

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 120
KNOWN = "The lights went out."
"""The error of a run that failed is shown as such."""

VIEWS: dict[str, tuple[dict[str, Any], ...]] = {
    "choose": tuple({"choose_tab": n} for n in ("The whole network", "Costs by layer",
                                                "Accuracy by class")),
    "rank": ({"rank_tab": "One layer"}, {"rank_tab": "Two criteria"}),
    "sensitivity": ({},),
    "prune": tuple({"view": n} for n in ("Trade-off", "Network", "Costs", "Latency", "Classes",
                                         "History", "Prunability")),
    "explain": tuple({"explain": n} for n in ("One image", "What it looks at",
                                             "New and fixed errors", "Remove one filter")),
    "runs": ({}, {"method": "taylor"}),
    "export": ({},),
    "lab": ({},),
    "lessons": ({},),
    "help": ({},),
}  # fmt: skip
WALK = [(name, view) for name, views in VIEWS.items() for view in views]


@dataclass(frozen=True)
class Hand:
    """A control, found again by its place, and what is done with it."""

    kind: str
    index: int
    label: str

    @property
    def sort(self) -> tuple[str, str]:
        """Controls that differ in numbers and names alone are of one sort."""
        return self.kind, re.sub(r"[\d.,]+|\*\*.*?\*\*|'.*?'", "#", self.label)

    def use(self, page: AppTest) -> AppTest:
        """Press it, or give it another value."""
        element = getattr(page, self.kind)[self.index]
        act: Callable[[Any], Any] = ACTIONS[self.kind]
        done: AppTest = act(element).run(timeout=TIMEOUT)
        return done


def _other(options: list[Any], now: Any) -> Any:
    return next((o for o in options if o != now), now)


def _other_number(e: Any) -> Any:
    low, high = e.min, e.max
    middle = type(e.value)((low + high) // 2 if isinstance(low, int) else (low + high) / 2)
    return e.set_value(middle if middle != e.value else low)


ACTIONS: dict[str, Callable[[Any], Any]] = {
    "button": lambda e: e.click(),
    "selectbox": lambda e: e.select_index(((e.index or 0) + 1) % len(e.options)),
    "multiselect": lambda e: e.set_value([]),
    "segmented_control": lambda e: e.set_value(_other(e.options, e.value)),
    "slider": _other_number,
    "number_input": lambda e: e.increment(),
    "text_input": lambda e: e.set_value("0.5"),
    "checkbox": lambda e: e.set_value(not e.value),
    "toggle": lambda e: e.set_value(not e.value),
}


def controls(page: AppTest) -> Iterator[Hand]:
    for kind in ACTIONS:
        for index, element in enumerate(getattr(page, kind)):
            if not getattr(element, "disabled", False):
                yield Hand(kind, index, element.label)


def fine(page: AppTest) -> None:
    """No exception, and no error box but that of the run that failed."""
    assert not page.exception, [e.message for e in page.exception]
    wrong = [e.value for e in page.error if KNOWN not in e.value]
    assert not wrong, wrong


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("walked")
    shared = (services.home, services.steps, services.jobs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRUNEVIZ_HOME", str(folder))
        for cached in shared:
            cached.clear()
        patch.setattr(JobService, "submit", _note)
        patch.setattr(JobService, "keep_study", lambda self, study: None)
        patch.setattr(JobService, "resume", lambda self, run_id: self.get(run_id))
        patch.setattr(JobService, "delete", lambda self, run_id: None)
        populate()
        yield folder
        services.jobs().close()
    for cached in shared:
        cached.clear()


def _note(service: JobService, spec: Any, **_: Any) -> str:
    """Take a run down as one that was cancelled, so that the next hand finds the same home."""
    run_id = service.store.create(spec, submitter="test").id
    service.store.delete(run_id)
    return run_id


def opened(name: str, view: dict[str, Any]) -> AppTest:
    """A fresh visitor on a page, in a view, with a plan in hand."""
    page = AppTest.from_function(draw, args=(name,), default_timeout=TIMEOUT)
    page.session_state["session"] = Session(services.workbenches())
    page.session_state["session"].take((Decisions(ratio=0.3), "fisher 30 %"))
    for key, value in view.items():
        page.session_state[key] = value
    return page.run()


def draw(name: str) -> None:
    from importlib import import_module

    from pruneviz.ui.frame import navigation

    navigation.frame(name.title(), import_module(f"pruneviz.ui.{name}.page").show)


def leave(page: AppTest) -> None:
    """Stay where a button wanted to leave: this page is drawn without the app around it."""
    if "going_to" in page.session_state:
        del page.session_state["going_to"]


def hands_one_after_the_other(name: str, views: tuple[dict[str, Any], ...]) -> list[str]:
    """Use one control of each sort, those of later views (and that appear) if they are new."""
    found, used = [], set()
    for view in views:
        page = opened(name, view)
        fine(page)
        while new := next((h for h in controls(page) if h.sort not in used), None):
            used.add(new.sort)
            try:
                fine(new.use(page))
            except AssertionError as error:
                found.append(f"{new.kind} '{new.label}': {error}")
                page = opened(name, view)
            leave(page)
        fine(page.run())
    assert used
    return found


def hands_one_by_one(name: str, view: dict[str, Any]) -> list[str]:
    """Use every single control, each on a page that was opened for it."""
    found = []
    for hand in controls(opened(name, view)):
        page = opened(name, view)
        try:
            fine(hand.use(page))
            leave(page)
            fine(page.run())
        except AssertionError as error:
            found.append(f"{hand.kind} '{hand.label}': {error}")
    return found


IDS = ["-".join([name, *view.values()]) for name, view in WALK]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.sweep if n == "export" else ()) for n in VIEWS]
)
def test_one_control_of_each_sort(home: Path, name: str) -> None:
    assert hands_one_after_the_other(name, VIEWS[name]) == []


@pytest.mark.sweep
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "view"), WALK, ids=IDS)
def test_every_single_control(home: Path, name: str, view: dict[str, Any]) -> None:
    assert hands_one_by_one(name, view) == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "view"), WALK, ids=IDS)
def test_the_bar_leads_to_the_page_runs_from_everywhere(
    home: Path, name: str, view: dict[str, Any]
) -> None:
    page = opened(name, view)
    page.button(key="to_runs").click().run()
    fine(page)
    assert page.session_state["going_to"] == "runs"


def test_pages_are_left_in_one_place_and_bind_nothing_that_would_hold_them() -> None:
    # Streamlit refuses to switch the page while a query parameter is bound to a widget.
    for path in (ROOT / "pruneviz" / "ui").rglob("*.py"):
        text = path.read_text()
        assert "bind=" not in text, path
        assert "st.switch_page(" not in text or path.name == "leaving.py", path
