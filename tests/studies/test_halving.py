"""Successive halving, by hand: who stops after which seed, and what is left to run."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.data import DataSet
from pruneviz.studies.race import race
from pruneviz.studies.race_result import Outcome, Race

RIVALS = ("taylor", "soft", "uniform", "random")
SEEDS = (7, 3, 5, 1)
ACCURACY = {  # on validation images, by seed in that order
    "taylor": (0.9, 0.8, 0.8, 0.8),
    "soft": (0.7, 1.0, 1.0, 1.0),
    "uniform": (0.8, 0.95, 0.9, 0.9),
    "random": (0.6, 1.0, 1.0, 1.0),
    "control": (0.1, 0.1, 0.1, 0.1),
}


def lined_up(strategies: tuple[str, ...] = (*RIVALS, "control")) -> Race:
    return Race(
        "resnet20", "digits", "test", 100, 0.5, 1, SEEDS, strategies, {}, 100, 20, 0.9, (),
        halving=True,
    )  # fmt: skip


def run(race: Race, name: str, seed: int) -> Race:
    """Add a run's outcome; the accuracy on test images is the opposite of what decides."""
    found = ACCURACY[name][SEEDS.index(seed)]
    return replace(
        race, outcomes=(*race.outcomes, Outcome(name, seed, 50, 10, 1 - found, found, 1, 1, ""))
    )


def test_the_better_half_goes_on_to_twice_as_many_seeds() -> None:
    race, order = lined_up(), []
    while waiting := race.left:
        order.append(waiting[0])
        race = run(race, *waiting[0])
    # After one seed 0.9 and 0.8 are the better half, 0.7 and 0.6 stop. After two the means are
    # (0.9 + 0.8) / 2 = 0.85 and (0.8 + 0.95) / 2 = 0.875, and uniform is left for the last two.
    assert race.stopped == {"soft": 1, "random": 1, "taylor": 2}
    assert order == [
        ("taylor", 7), ("soft", 7), ("uniform", 7), ("random", 7), ("control", 7),
        ("taylor", 3), ("uniform", 3), ("control", 3),
        ("uniform", 5), ("control", 5),
        ("uniform", 1), ("control", 1),
    ]  # fmt: skip
    assert race.final
    assert race.total == 12
    frame = race.to_frame().set_index("strategy")
    assert list(frame["runs"]) == [2, 1, 4, 1, 4]
    assert list(frame["stopped"]) == [True, True, False, True, False]
    assert Race.from_json(race.to_json()) == race
    assert replace(race, halving=False).stopped == {}
    assert not replace(race, halving=False).final


def test_a_comparison_waits_for_all_of_its_runs() -> None:
    race = lined_up()
    for name in RIVALS[:3]:
        race = run(race, name, 7)
    assert race.stopped == {}
    open_now = race.left
    assert ("random", 7) in open_now
    assert [one for one in open_now if one[0] in RIVALS] == [("random", 7)]
    assert [seed for name, seed in open_now if name == "control"] == list(SEEDS), "it never stops"
    race = run(race, "random", 7)
    assert [one for one in race.left if one[0] in RIVALS] == [("taylor", 3), ("uniform", 3)]


def test_who_is_as_accurate_as_the_last_one_goes_on_too() -> None:
    race = lined_up(("taylor", "uniform", "random"))
    for name, accuracy in (("taylor", 0.9), ("uniform", 0.8), ("random", 0.8)):
        one = Outcome(name, 7, 50, 10, 0.0, accuracy, 1, 1, "")
        race = replace(race, outcomes=(*race.outcomes, one))
    assert race.stopped == {}
    alone = replace(lined_up(("control", "taylor")), seeds=(7, 3))
    assert replace(run(run(alone, "taylor", 7), "taylor", 3)).stopped == {}


def test_a_real_race_is_halved(model: nn.Module, graph: ChannelGraph, data: DataSet) -> None:
    field = ("uniform", "random", "control")
    *_, last = race(model, graph, data, field, epochs=1, seeds=(0, 1), network="tiny", halving=True)
    first = {o.strategy: o.val_accuracy for o in last.outcomes if o.seed == 0}
    behind = [n for n in field[:2] if first[n] < max(first["uniform"], first["random"])]
    assert list(last.stopped) == behind
    assert len(last.outcomes) == last.total == 6 - len(behind)
    assert last.final


def test_halving_is_off_unless_asked_for(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    (only,) = race(model, graph, data, ["control"], epochs=0, seeds=(0,), network="tiny")
    assert not only.halving
    assert only.stopped == {}
