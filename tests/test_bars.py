"""Bars: seen by whoever looks on, by nobody else, and once."""

from __future__ import annotations

import io
import sys
import threading

import pytest

import pruneviz as pv
from pruneviz import bars


class Terminal(io.StringIO):
    """A terminal as long as it is entered; pytest puts its own in place between the phases."""

    def isatty(self) -> bool:
        return True

    def __enter__(self) -> Terminal:
        self.before, sys.stderr = sys.stderr, self
        return self

    def __exit__(self, *_: object) -> None:
        sys.stderr = self.before


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setattr(bars, "PATIENCE", 0.0)
    monkeypatch.delenv(bars.VARIABLE, raising=False)
    return Terminal()


@pytest.fixture(scope="module")
def subject() -> tuple[object, ...]:
    data = pv.load_dataset("digits")
    model = pv.load_model("resnet20", weights="digits")
    graph = pv.trace(model, data.input_shape)
    ranking = pv.rank(model, graph, None, ["l1"])
    return model, graph, data, ranking, pv.threshold(graph, ranking, "l1", 0.5)


def _all(progress: object, subject: tuple) -> dict[str, object]:  # type: ignore[type-arg]
    """Everything that may take over a second, in its shortest form."""
    model, graph, data, ranking, plan = subject
    more = {} if progress is None else {"progress": progress}
    scan = {"ratios": (0.5,), "images": 20, "groups": ["conv1"], **more}
    return {
        "Ranking": lambda: pv.rank(model, graph, data, ["taylor"], images=20, **more),
        "Evaluating": lambda: pv.evaluate(model, data, limit=20, **more),
        "Sensitivity": lambda: list(pv.sensitivity(model, graph, data, ranking, "l1", **scan)),
        "Repairing": lambda: pv.repair(model, graph, plan, data, images=16, **more),
        "Gathering": lambda: pv.statistics(model, graph, data, images=16, **more),
        "Timing": lambda: pv.latency(model, graph, plan, repeats=3, seconds=0.1, **more),
        "Fine-tuning": lambda: list(
            pv.fine_tune(pv.prune(model, graph, plan), data, epochs=1, **more)
        ),
    }


NAMES = ["Ranking", "Evaluating", "Sensitivity", "Repairing", "Gathering", "Timing", "Fine-tuning"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_terminal_shows_one_bar(terminal: Terminal, subject: tuple, name: str) -> None:  # type: ignore[type-arg]
    with terminal:
        _all(None, subject)[name]()  # type: ignore[operator]
        said = terminal.getvalue()
        assert f"{name}" in said
        assert not [n for n in NAMES if n != name and n in said], "one bar, not those within it"
        assert not bars._open


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_false_is_silence(terminal: Terminal, subject: tuple, name: str) -> None:  # type: ignore[type-arg]
    with terminal:
        _all(False, subject)[name]()  # type: ignore[operator]
        assert terminal.getvalue() == ""


def test_the_variable_pipes_and_threads_are_silence(
    terminal: Terminal,
    subject: tuple,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[type-arg]
) -> None:
    with terminal:
        evaluate = _all(None, subject)["Evaluating"]
        thread = threading.Thread(target=evaluate)  # type: ignore[arg-type]
        thread.start()
        thread.join()
        monkeypatch.setenv(bars.VARIABLE, "0")
        evaluate()  # type: ignore[operator]
        monkeypatch.delenv(bars.VARIABLE)
        monkeypatch.setattr(terminal, "isatty", lambda: False)
        evaluate()  # type: ignore[operator]
        assert terminal.getvalue() == ""


def test_a_function_is_told_and_no_bar_is_shown(terminal: Terminal, subject: tuple) -> None:  # type: ignore[type-arg]
    with terminal:
        told: list[tuple[int, int]] = []
        model, _, data, *_ = subject
        pv.evaluate(model, data, limit=50, batch_size=20, progress=lambda *at: told.append(at))
        assert told == [(20, 50), (40, 50), (50, 50)]
        assert terminal.getvalue() == ""


def test_a_bar_that_was_left_makes_room(terminal: Terminal, subject: tuple) -> None:  # type: ignore[type-arg]
    with terminal:
        model, graph, data, ranking, _ = subject
        scan = pv.sensitivity(model, graph, data, ranking, "l1", (0.5,), images=20, after="cut")
        next(scan)
        scan.close()  # type: ignore[attr-defined]
        assert not bars._open


@pytest.mark.sweep
def test_allocate_shows_one_bar(terminal: Terminal, subject: tuple) -> None:  # type: ignore[type-arg]
    with terminal:
        model, graph, data, ranking, _ = subject
        protected = [g.name for g in graph.prunable_groups[2:]]
        *_, scan = pv.sensitivity(
            model, graph, data, ranking, "l1", (0.5,), images=20, groups=["conv1"], progress=False
        )
        pv.allocate(
            model, graph, data, target_macs=0.97, criterion="l1", ranking=ranking, scan=scan,
            protected=protected, images=20,
        )  # fmt: skip
        said = terminal.getvalue()
        assert "Allocating" in said
        assert "Evaluating" not in said
        assert "Repairing" not in said
