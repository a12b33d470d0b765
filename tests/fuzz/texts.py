"""Stored JSON with values of other types, other keys, and bytes that are none of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pruneviz as pv
from pruneviz.catalog import ModelSource
from pruneviz.figures.lab_details import details_figure
from pruneviz.latency.stored import latency_from
from pruneviz.studies.papers import LabResult, results
from pruneviz.studies.papers.request import Request
from pruneviz.studies.pretraining import PretrainingStudy
from pruneviz.studies.race_result import Outcome, Race
from tests.fuzz.api import World
from tests.fuzz.trials import Trial

VALUES: tuple[Any, ...] = (
    None, True, 0, 1, -1, 0.5, 1e400, float("nan"), 10**40, "", "x", "taylor", "x" * 3_000_000,
    [], [1], ["x"], [[]], {}, {"a": 1}, [None] * 50, {"points": []}, [{}],
)  # fmt: skip


def readers(world: World) -> Mapping[str, tuple[str, Callable[[str], object]]]:
    """What reads JSON, each with a text that it takes; what is read is drawn, too."""
    race = Race(
        "resnet20", "digits", "val", 500, 0.5, 1, (0,), ("taylor", "control"), {}, 1000, 100, 0.9,
        (Outcome("taylor", 0, 500, 50, 0.8, 0.8, 1.0, 2.0, ""),),
    )  # fmt: skip
    study = PretrainingStudy()
    oracle, *others = results()
    pretrained = next(r for r in others if r.claim == "pretraining")
    times = pv.measure_latency({"a": world.model}, (3, 8, 8), repeats=3, seconds=0.01)
    return {
        "plan": (world.plan.to_json(), partial(pv.Plan.from_json, world.graph)),
        "ranking": (world.rank.to_json(), partial(pv.Ranking.from_json, world.graph)),
        "race": (race.to_json(), lambda text: Race.from_json(text).to_frame()),
        "study": (study.to_json(), lambda text: PretrainingStudy.from_json(text).reductions()),
        "oracle": (oracle.to_json(), _use),
        "pretraining": (pretrained.to_json(), _use),
        "request": (
            json.dumps(Request("oracle").to_dict()),
            lambda text: Request.from_dict(_mapping(text)).command(),
        ),
        "source": (
            json.dumps(ModelSource("resnet20").to_dict()),
            lambda text: ModelSource.from_dict(_mapping(text)).digest,
        ),
        "latency": (
            json.dumps({
                "timings": [{"name": t.name, "seconds": t.seconds} for t in times.timings],
                "input_shape": [3, 8, 8], "batch_size": 1, "threads": 1, "device": "cpu",
            }),
            lambda text: latency_from(_mapping(text)).to_frame(),
        ),
    }  # fmt: skip


def _use(text: str) -> None:
    result = LabResult.from_json(text)
    result.to_frame()
    result.figure()
    details_figure(result)


def _mapping(text: str) -> Any:
    """These readers are given what a database or JSON parser has read already."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def trials(rng: random.Random, folder: Path) -> Iterator[Trial]:
    """A text with a value exchanged somewhere, a key too few or too many, or bytes exchanged."""
    known = readers(World())
    while True:
        name = rng.choice(list(known))
        text, read = known[name]
        if rng.random() < 0.2:
            at = rng.randrange(len(text))
            changed = (
                text[:at]
                + rng.choice(("", "\0", "{", "]", "\ud800", "é", "9" * 5000))
                + text[at + rng.randrange(4) :]
            )
            yield f"{name}: character {at}", partial(read, changed)
            continue
        value = json.loads(text)
        where = _exchange(rng, value)
        yield f"{name}: {where}", partial(read, json.dumps(value))


def _exchange(rng: random.Random, value: Any) -> str:
    """Change one place of a nested value, any number of levels deep; what was done."""
    path = []
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return "nothing"
        key = rng.choice(keys)
        path.append(str(key)[:20])
        inner = value[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.7:
            value = inner
            continue
        way = rng.random()
        if way < 0.1 and isinstance(value, dict):
            del value[key]
        elif way < 0.2 and isinstance(value, dict):
            value["later"] = rng.choice(VALUES)
        else:
            value[key] = rng.choice(VALUES)
            return f"{'/'.join(path)} = {str(value[key])[:30]!a}"
        return f"{'/'.join(path)} {way:.1f}"
