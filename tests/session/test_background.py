"""Background answers: once each, the last slider position only, errors as sentences."""

from __future__ import annotations

import threading
import time

import numpy as np

from pruneviz.errors import PlanError
from pruneviz.session.background import Background


def test_each_thing_is_computed_once() -> None:
    background, calls = Background(), []

    def work() -> int:
        calls.append(1)
        return 42

    assert not background.ask("k", work).ready
    assert background.wait("k").value == 42
    assert background.ask("k", work).value == 42
    assert len(calls) == 1


def test_only_the_last_question_of_an_owner_is_answered() -> None:
    background, gate, done = Background(), threading.Event(), []
    background.ask("first", lambda: gate.wait(10), owner="me")
    time.sleep(0.05)  # begun, so it cannot be withdrawn
    for i in range(5):
        background.ask(i, lambda i=i: done.append(i) or True, owner="me")
    assert background.pending("me")
    gate.set()
    background.wait(4)
    assert done == [4]
    assert not background.pending("me")


def test_what_someone_else_waits_for_is_not_withdrawn() -> None:
    background, gate = Background(), threading.Event()
    background.ask("block", lambda: gate.wait(10))
    background.ask("shared", lambda: "x", owner="one")
    background.ask("shared", lambda: "x", owner="two")
    background.ask("other", lambda: "y", owner="one")
    gate.set()
    assert background.wait("shared").value == "x"
    assert background.wait("other").value == "y"


def test_errors_become_sentences() -> None:
    background = Background()

    def refuse() -> None:
        raise PlanError("Too much.")

    background.ask("bad", refuse)
    assert background.wait("bad").error == "Too much."
    assert background.look("bad").state == "failed"
    background.ask("worse", lambda: 1 / 0)
    assert background.wait("worse").error == "ZeroDivisionError: division by zero"


def test_old_answers_are_forgotten() -> None:
    background = Background(limit=3500)
    for i in range(5):
        background.ask(i, lambda: np.zeros(1000, np.uint8))  # and some bytes for the answer
        background.wait(i)
    states = [background.look(i).state for i in range(5)]
    assert states == ["pending", "pending", "ready", "ready", "ready"]
