"""Costs by hand, and without torch."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from pruneviz.cost import cost
from pruneviz.errors import PlanError
from pruneviz.plan import Plan
from pruneviz.trace import trace
from tests.core.networks import NETWORKS, SHAPE

GRAPH = trace(NETWORKS["Plain"](), SHAPE)  # conv1 3→8 3×3 at 16×16, conv2 8→12 3×3 at 7×7, 12→4


def test_closed_form() -> None:
    whole = cost(GRAPH)
    assert whole.macs == 16 * 16 * 8 * 3 * 9 + 7 * 7 * 12 * 8 * 9 + 12 * 4
    assert whole.params == (8 * 27 + 8) + 16 + (12 * 8 * 9 + 12) + (12 * 4 + 4)
    assert whole.macs_ratio == whole.params_ratio == 1

    left = cost(GRAPH, Plan(GRAPH).drop("conv1", [0, 1, 2]).drop("conv2", [11]))
    assert left.macs == 16 * 16 * 5 * 3 * 9 + 7 * 7 * 11 * 5 * 9 + 11 * 4
    assert left.params == (5 * 27 + 5) + 10 + (11 * 5 * 9 + 11) + (11 * 4 + 4)
    assert left.filters == (5, 11, 4)
    assert left.layer_macs == (16 * 16 * 5 * 27, 7 * 7 * 11 * 45, 44)
    assert (left.baseline_macs, left.baseline_params) == (whole.macs, whole.params)


def test_the_frame_adds_up() -> None:
    left = cost(GRAPH, Plan(GRAPH).drop("conv1", [0]))
    frame = left.to_frame()
    assert frame["macs"].sum() == left.macs
    assert frame["params"].sum() == left.params
    assert frame["params_before"].sum() == left.baseline_params
    assert list(frame["layer"]) == ["conv1", "conv2", "head.2", "(other)"]


def test_transposed_convolutions_count_at_input_positions() -> None:
    whole = cost(trace(NETWORKS["GroupedTransposed"](), SHAPE))
    # up: 12 → 8 channels in 4 groups, 2×2 kernel, read at 16×16 positions
    assert whole.layer_macs[1] == 16 * 16 * 12 * 2 * 4


def test_shared_layers_count_as_often_as_they_run() -> None:
    graph = trace(NETWORKS["SharedModules"](), SHAPE)
    shared = graph.layer("shared")
    assert shared.macs == 3 * 16 * 16 * 8 * 8 * 9
    assert cost(graph).params == sum(p.numel() for p in NETWORKS["SharedModules"]().parameters())


def test_plans_for_another_network_are_refused() -> None:
    other = trace(NETWORKS["TiedBranches"](), SHAPE)
    with pytest.raises(PlanError, match="another network"):
        cost(GRAPH, Plan(other))


def test_graph_plan_and_cost_need_no_torch(tmp_path) -> None:
    plan = Plan(GRAPH).drop("conv1", [0, 1, 2])
    path = tmp_path / "plan.pickle"
    path.write_bytes(pickle.dumps(plan))
    code = (
        "import pickle, sys; from pathlib import Path\n"
        f"plan = pickle.loads(Path({str(path)!r}).read_bytes())\n"
        "from pruneviz.cost import cost\n"
        "print(cost(plan.graph, plan.drop('conv2', 0)).macs, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = cost(GRAPH, plan.drop("conv2", 0)).macs
    assert out.stdout.split() == [str(expected), "False"]
