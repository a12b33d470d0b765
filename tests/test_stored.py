"""Values kept as JSON: what is not one of them is refused with a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pruneviz import stored
from pruneviz.errors import InvalidValueError, PlanError
from pruneviz.studies.papers import LabResult, results
from pruneviz.studies.pretraining import PretrainingStudy
from pruneviz.studies.race_result import Race

READERS: dict[str, Callable[[str], Any]] = {
    "pruneviz-race/1": Race.from_json,
    "pruneviz-pretraining/1": PretrainingStudy.from_json,
    "pruneviz-lab/1": LabResult.from_json,
}


def test_values_come_without_their_format() -> None:
    assert stored.read('{"format": "x/1", "a": 2}', "An x", "x/1", dict) == {"a": 2}


@pytest.mark.parametrize("text", ["", "[1", "[]", "3", "null", "{}", '{"format": "x/2"}', b"\xff"])
def test_other_texts_are_refused(text: str | bytes) -> None:
    with pytest.raises(PlanError, match="An x"):
        stored.read(text, "An x", "x/1", dict, PlanError)


@pytest.mark.parametrize("format", READERS)
def test_damaged_values_are_refused(format: str) -> None:
    for rest in ({}, {"runs": 3, "outcomes": 3, "findings": 3}, {"runs": [{}], "outcomes": [{}]}):
        with pytest.raises(InvalidValueError, match="damaged"):
            READERS[format](json.dumps({"format": format, **rest}))


def test_a_result_with_a_key_too_many_is_refused() -> None:
    whole = json.loads(results()[0].to_json())
    assert LabResult.from_json(json.dumps(whole)) == results()[0]
    with pytest.raises(InvalidValueError, match="another version"):
        LabResult.from_json(json.dumps({**whole, "later": 1}))
