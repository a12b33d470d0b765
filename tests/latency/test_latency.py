"""Measured time: exact with a clock of our own, sound with the machine's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from torch import nn

import pruneviz as pv
from pruneviz.figures import TradeoffPoint, tradeoff_figure, tradeoff_info
from pruneviz.figures.latency import latency_info, widths_info
from pruneviz.latency import (
    Latency,
    Timing,
    WidthLatency,
    alternation,
    latency_from,
    measure_latency,
    spaced,
    width_latency,
    widths_from,
)
from pruneviz.latency import measure as measuring
from pruneviz.latency.alternation import Calls, in_turns


class Clock:
    """A clock that only what is called moves on, and a list of what was called."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def way(self, name: str, *seconds: float) -> Callable[[], None]:
        """Return something that takes these seconds in turn, then the last one for ever."""
        left = list(seconds)

        def once() -> None:
            self.now += left.pop(0) if len(left) > 1 else left[0]
            self.calls.append(name)

        return once


def calm() -> int:
    """Nothing interrupts."""
    return 0


def test_turns_alternate_and_leave_the_warm_up_out() -> None:
    clock = Clock()
    ways = {"a": clock.way("a", 9.0, 1.0), "b": clock.way("b", 7.0, 0.5)}
    taken = in_turns(ways, 3, 1000.0, clock=clock, count=calm)
    assert taken == {"a": Calls([1.0] * 3), "b": Calls([0.5] * 3)}
    assert "".join(clock.calls) == "aabb" + "aabb" + "bbaa" + "aabb"


def test_quick_calls_come_in_bursts_of_equal_number() -> None:
    clock = Clock()
    ways = {"a": clock.way("a", 0.004), "b": clock.way("b", 0.002)}
    taken = in_turns(ways, 12, 1000.0, clock=clock, count=calm)
    assert {name: len(t.calm) for name, t in taken.items()} == {"a": 12, "b": 12}
    size = int(alternation.BURST_SECONDS / 0.004)  # the slower one's
    assert "".join(clock.calls[4:]).startswith("a" * (size + 1) + "b" * (size + 1))


def test_the_budget_ends_it_but_never_below_three() -> None:
    clock = Clock()
    assert len(in_turns({"a": clock.way("a", 1.0)}, 100, 0.1, clock=clock, count=calm)["a"]) == 3
    clock = Clock()  # two calls of warm-up, then rounds of two
    assert len(in_turns({"a": clock.way("a", 1.0)}, 100, 13.0, clock=clock, count=calm)["a"]) == 6


def test_interrupted_calls_are_told_apart_and_made_up_for() -> None:
    def measured(hit: set[int], budget: float, seconds: float = 0.03125) -> Calls:
        clock = Clock()
        way = clock.way("a", seconds)

        def count() -> int:
            return sum(len(clock.calls) >= call for call in hit)

        return in_turns({"a": way}, 4, budget, clock=clock, count=count)["a"]

    # Two calls of warm-up, then rounds of two, the second one timed: the 4th, 6th, 8th ... call.
    assert measured({5, 7}, 1000.0) == Calls([0.03125] * 4)
    assert measured({4, 8}, 1000.0) == Calls([0.03125] * 4, [0.03125] * 2)
    assert measured(set(range(50)), 0.34375) == Calls([], [0.03125] * 5)  # the budget ends it
    # One in 50 ms does not count.
    assert measured({4, 8}, 1000.0, seconds=0.0625) == Calls([0.0625] * 4)


def test_interrupted_passes_count_only_where_hardly_any_other_is_there() -> None:
    some = measuring._timing("a", Calls([1.0] * 3, [9.0] * 5), None)
    assert (some.seconds, some.interrupted, some.left_out) == ((1.0,) * 3, 5, True)
    assert found(some).disturbance.startswith("5 of 8 passes were interrupted")
    few = measuring._timing("a", Calls([1.0] * 2, [9.0] * 5), None)
    assert (few.median, few.interrupted, few.left_out) == (9.0, 5, False)
    assert "interrupted 5 of 7 passes. Measure again" in found(few).disturbance
    assert found(measuring._timing("a", Calls([1.0] * 20, [9.0]), None)).disturbance == ""


def test_progress_follows_what_ends_first() -> None:
    clock, seen = Clock(), []
    way = {"a": clock.way("a", 1.0)}
    in_turns(
        way, 100, 10.0, clock=clock, count=calm, progress=lambda done, of: seen.append((done, of))
    )
    assert seen == [(0, 100), (40, 100), (60, 100), (80, 100), (100, 100)]


def times(name: str, *ms: float, macs: int | None = None) -> Timing:
    return Timing(name, tuple(m / 1000 for m in ms), macs)


def found(*timings: Timing) -> Latency:
    return Latency(timings, (3, 32, 32), 4, 1)


def test_median_and_quartiles() -> None:
    timing = times("a", 4, 1, 3, 2, 100)
    assert (timing.median, timing.low, timing.high) == pytest.approx((0.003, 0.002, 0.004))
    assert times("a", 1, 2).low == pytest.approx(0.00125)
    assert times("a", 5).high == pytest.approx(0.005)


def test_speed_up_beside_macs() -> None:
    latency = found(times("baseline", 10, macs=100), times("half", 4, macs=20))
    assert latency.speedup("half") == pytest.approx(2.5)
    assert latency.macs_ratio("half") == 5
    frame = latency.to_frame().set_index("network")
    assert frame.loc["half", "ms"] == pytest.approx(4)
    assert frame.loc["half", "images_per_second"] == pytest.approx(1000)
    with pytest.raises(pv.errors.InvalidValueError, match="there are baseline, half"):
        latency.of("whole")


def test_the_warning_says_when_fewer_macs_are_not_faster() -> None:
    base = times("baseline", 9, 10, 11, macs=100)
    pays = times("plan", 3.9, 4, 4.1, macs=20)  # 2.5 times as fast, exactly half of 5
    assert found(base, pays).warning == ""
    slow = times("plan", 4.9, 5, 5.1, macs=20)  # 2 times, under half of 5
    assert found(base, slow).warning == (
        "plan: 5.00 times fewer MACs, but only 2.00 times as fast at batch size 4 with 1 thread "
        "here, less than half of that."
    )
    same = times("plan", 9, 9.6, 11, macs=50)  # the quartiles overlap
    assert "not measurably faster" in found(base, same).warning
    whole = times("plan", 9, 10, 11, macs=96)  # as good as nothing pruned
    assert found(base, whole).warning == ""
    assert found(times("baseline", 10), times("plan", 10)).warning == ""  # MACs unknown
    other = times("other", 3.9, 4, 4.1, macs=20)
    assert found(base, slow, other).warning == found(base, slow).warning


def test_steps_are_where_time_falls_by_more_than_its_spread() -> None:
    rows = {8: (10, 10.2), 7: (9.9, 10.1), 6: (8, 8.1), 5: (8.2, 8.3), 4: (7.95, 8.1), 3: (5, 5)}
    latency = found(*(times(str(w), *ms, macs=w) for w, ms in rows.items()))
    widths = WidthLatency("conv1", tuple(rows), latency)
    assert widths.steps == (8, 6, 3)
    assert list(widths.to_frame()["step"]) == [True, False, True, False, False, True]


def test_infos_put_the_promise_of_the_macs_beside_the_time() -> None:
    latency = found(times("baseline", 10, macs=100), times("plan", 8, macs=25))
    info = latency_info(latency)
    assert info.promised == pytest.approx((10, 2.5))
    assert info.median == pytest.approx((10, 8))
    bars, marks = latency.figure().data
    assert list(bars.x) == pytest.approx([10, 8])
    assert list(marks.x) == pytest.approx([2.5])
    widths = WidthLatency("conv1", (8, 2), latency)
    assert widths_info(widths).widths == (2, 8)
    assert widths_info(widths).promised == pytest.approx((2.5, 10))
    assert list(widths.figure().data[1].y) == pytest.approx([8, 10])


def test_measured_time_is_an_axis_of_the_trade_off() -> None:
    points = [
        TradeoffPoint("baseline", "nothing pruned", "baseline", 100, 10, 0.9, latency=1.0),
        TradeoffPoint("a", "half", "plan", 50, 5, 0.8, latency=0.7),
        TradeoffPoint("b", "not measured", "plan", 20, 2, 0.7),
    ]
    info = tradeoff_info(points, "latency")
    assert [p.key for p in info.points] == ["baseline", "a"]
    assert info.front == ("a", "baseline")
    drawn = tradeoff_figure(info)
    assert drawn.layout.xaxis.title.text == "measured time (unpruned: 100 %)"
    told = next(t for t in drawn.data if t.name == "repaired").customdata[0][1]
    assert "70.0\N{NARROW NO-BREAK SPACE}% of the unpruned network's time" in told


def test_results_load_without_torch() -> None:
    code = "import sys, pruneviz.latency, pruneviz.figures.latency; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert out.stdout.strip() == "False", out.stderr


def test_results_come_back_from_json() -> None:
    latency = found(times("baseline", 10, macs=100), times("plan", 8, 9))
    assert latency_from(json.loads(json.dumps(asdict(latency)))) == latency
    widths = WidthLatency("conv1", (8, 2), latency)
    assert widths_from(json.loads(json.dumps(asdict(widths)))) == widths


@pytest.mark.parametrize("width", [1, 5, 16, 100, 512])
def test_spaced_widths(width: int) -> None:
    chosen = spaced(width)
    assert chosen[0] == width
    assert min(chosen) >= 1
    assert len(chosen) <= 17
    assert list(chosen) == sorted(set(chosen), reverse=True)
    assert spaced(100)[:3] == (100, 96, 88)
    assert len(spaced(width)) >= min(width, 8)


class Slow(nn.Module):
    """A convolution whose forward pass moves a clock by what its filters cost."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.conv, self.next = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)
        self.drop = nn.Dropout(0.5)
        self.clock = clock
        self.seen: list[tuple[bool, bool, tuple[int, ...], int]] = []

    def __deepcopy__(self, memo: dict[int, object]) -> Slow:
        copied = Slow(self.clock)  # they share the clock
        for name in ("conv", "next"):
            own, other = getattr(copied, name), getattr(self, name)
            for kind in ("weight", "bias"):
                setattr(own, kind, memo.get(id(getattr(other, kind)), getattr(other, kind)))
        return copied.train(self.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.next(self.conv(x))
        self.clock.now += 0.1 + 0.1 * self.conv.weight.shape[0]
        grad, threads = torch.is_grad_enabled(), torch.get_num_threads()
        self.seen.append((self.drop.training, grad, tuple(x.shape), threads))
        return out.mean((2, 3))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    measured = measuring.in_turns
    monkeypatch.setattr(
        measuring, "in_turns", lambda *args, **more: measured(*args, **more, clock=made, count=calm)
    )
    return made


def test_networks_are_timed_in_eval_mode_without_gradients(clock: Clock) -> None:
    model, before = Slow(clock).train(), torch.get_num_threads()
    latency = measure_latency({"it": model}, (3, 4, 4), batch_size=2, repeats=5, threads=1)
    assert latency.of("it").seconds == pytest.approx([0.9] * 5)
    assert set(model.seen) == {(False, False, (2, 3, 4, 4), 1)}
    assert model.training
    assert model.drop.training
    assert torch.get_num_threads() == before
    assert (latency.batch_size, latency.threads, latency.device) == (2, 1, "cpu")


def test_a_plan_beside_the_baseline(clock: Clock) -> None:
    model = Slow(clock).eval()
    graph = pv.trace(model, (3, 4, 4))
    plan = pv.Plan(graph).drop("conv", [0, 1, 2, 3])
    latency = pv.latency(model, graph, plan, repeats=3)
    assert [t.name for t in latency.timings] == ["baseline", "pruned"]
    assert latency.of("baseline").median == pytest.approx(0.9)
    assert latency.of("pruned").median == pytest.approx(0.5)
    assert latency.of("pruned").macs == pv.cost(graph, plan).macs
    assert latency.of("baseline").macs == pv.cost(graph).macs
    with pytest.raises(pv.errors.InvalidValueError, match="baseline"):
        pv.latency(model, graph, {"baseline": plan})


def test_time_against_width(clock: Clock) -> None:
    model = Slow(clock).eval()
    graph = pv.trace(model, (3, 4, 4))
    plan = pv.Plan(graph).drop("conv", [7])
    group = graph.layer("conv").group
    widths = width_latency(model, graph, group, [2, 4], plan=plan, repeats=3)
    assert widths.widths == (8, 4, 2)  # the plan's own picks in the group do not count
    assert [t.median for t in widths.latency.timings] == pytest.approx([0.9, 0.5, 0.3])
    assert widths.steps == (8, 4, 2)
    with pytest.raises(pv.errors.InvalidValueError, match="whole number from 1 to 8, but got 0"):
        width_latency(model, graph, group, [0])
    with pytest.raises(pv.errors.UnknownNameError):
        width_latency(model, graph, "nowhere")


@pytest.mark.parametrize(
    ("options", "said"),
    [({"batch_size": 0}, "batch_size"), ({"repeats": 0}, "repeats"), ({"threads": 0}, "threads")],
)
def test_refusals(options: dict[str, int], said: str) -> None:
    with pytest.raises(pv.errors.InvalidValueError, match=f"{said} must be a whole number from 1"):
        measure_latency({"it": nn.Identity()}, (3, 4, 4), **options)
    with pytest.raises(pv.errors.InvalidValueError, match="networks by name, at least one"):
        measure_latency({}, (3, 4, 4))


def test_a_real_network_is_faster_with_a_tenth_of_it() -> None:
    model = pv.load_model("resnet20", weights="digits")
    graph = pv.trace(model, (3, 32, 32))
    rank = pv.rank(model, graph, None, criteria=["l1"])
    plan = pv.threshold(graph, rank, "l1", 0.9)
    latency = pv.latency(model, graph, plan, batch_size=16, repeats=5, seconds=5.0)
    assert all(len(timing.seconds) >= 3 for timing in latency.timings)
    assert latency.speedup("pruned") > 1.3  # usually several times
    assert latency.macs_ratio("pruned") > 10


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_another_runtime_times_the_same_networks(runtime: str) -> None:
    pytest.importorskip(runtime)
    pytest.importorskip("onnxscript")
    data = pv.load_dataset("digits")
    model = pv.load_model("resnet20", weights="digits")
    graph = pv.trace(model, data.input_shape)
    plan = pv.threshold(graph, pv.rank(model, graph, None, ["l1"]), "l1", 0.5)
    found = pv.latency(model, graph, plan, runtime=runtime, repeats=5, threads=1)
    assert found.runtime == runtime
    assert set(found.to_frame()["runtime"]) == {runtime}
    assert [t.name for t in found.timings] == ["baseline", "pruned"]
    assert all(len(t.seconds) >= 3 and t.low > 0 for t in found.timings)
    assert not model.training


def test_an_unknown_runtime_lists_the_choices() -> None:
    with pytest.raises(pv.errors.UnknownNameError, match="torch, onnxruntime, openvino"):
        pv.measure_latency({"a": torch.nn.Identity()}, (3, 8, 8), runtime="magic")
