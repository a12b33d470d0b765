"""The form that starts a run, given what is no number."""

from __future__ import annotations

import pytest

from pruneviz.ui.frame import services
from tests.ui.conftest import Open
from tests.ui.helpers import texts


@pytest.mark.parametrize("typed", ["abc", "nan", "1e999"])
def test_what_is_no_number_can_be_corrected(studio: Open, typed: str) -> None:
    """The form lost its button, so that the number could not be sent again."""
    page = studio("runs")
    rate = next(t for t in page.text_input if t.label == "Learning rate")
    rate.set_value(typed)
    page = start(page).click().run()
    assert f"'Learning rate' must be a number, but got '{typed}'" in texts(page)
    assert not services.jobs().list()
    next(t for t in page.text_input if t.label == "Learning rate").set_value("0.01")
    page = start(page).click().run()
    assert not page.error
    (run,) = services.jobs().list()
    assert run.spec.options["lr"] == 0.01
    services.jobs().cancel(run.id)


def test_a_strategys_fields_stay_when_one_is_no_number(studio: Open) -> None:
    page = studio("runs")
    page.selectbox(key="method").set_value("taylor").run()
    fields = [t.label for t in page.text_input]
    page.text_input(key="taylor_epochs").set_value("inf")
    page = start(page).click().run()
    assert "must be a number, but got 'inf'" in texts(page)
    assert [t.label for t in page.text_input] == fields
    assert start(page)
    assert not services.jobs().list()


def start(page):
    return next(b for b in page.button if b.label == "Start")
