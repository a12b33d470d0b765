"""Values kept as JSON: what is not one of them is refused with a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest

from pruneviz import stored
from pruneviz.errors import InvalidValueError, PlanError, PruneVizError
from pruneviz.latency.stored import latency_from, widths_from
from pruneviz.studies.papers import LabResult, results
from pruneviz.studies.papers.request import Request
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


def test_a_format_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidValueError) as caught:
        Race.from_json(json.dumps({"format": "x" * 3_000_000}))
    assert len(str(caught.value)) < 300


@dataclass(frozen=True)
class Inner:
    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Outer:
    count: int
    inner: tuple[Inner, ...]
    kind: Literal["a", "b"] = "a"
    pair: tuple[str, bool] = ("x", True)
    share: float | None = None
    rest: Mapping[str, Any] = field(default_factory=dict)


def test_a_value_is_made_of_what_it_was_written_as() -> None:
    value = Outer(3, (Inner("n", (1.0, 2.5)),), "b", ("y", False), 0.5, {"any": [1, "x"]})
    assert stored.make(Outer, json.loads(json.dumps(asdict(value)))) == value


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": "3"}, {"count": 3.5}, {"count": True}, {"count": None}, {"inner": {}},
        {"inner": [{"name": 1, "values": []}]}, {"inner": [{"name": "n", "values": ["1"]}]},
        {"inner": [{"name": "n"}]}, {"inner": "n"}, {"kind": "c"}, {"kind": ["a"]},
        {"pair": ["x"]}, {"pair": ["x", 1]}, {"pair": ["x", True, 1]}, {"share": "0.5"},
        {"rest": []}, {"later": 1},
    ],
)  # fmt: skip
def test_wrong_types_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=rf"Outer.*{next(iter(wrong))}|Inner.*values"):
        stored.make(Outer, {"count": 3, "inner": [], **wrong})


def test_stored_results_are_read_as_they_were() -> None:
    for result in results():
        assert LabResult.from_json(result.to_json()) == result


@pytest.mark.parametrize("reader", [latency_from, widths_from, Request.from_dict])
@pytest.mark.parametrize("found", [{}, {"timings": []}, {"timings": 3}, {"claim": 3}, {"group": 1}])
def test_readers_of_mappings_refuse_with_a_sentence(
    reader: Callable[[dict[str, Any]], Any], found: dict[str, Any]
) -> None:
    with pytest.raises(PruneVizError):
        reader(found)
