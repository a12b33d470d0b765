"""What-if, and trace + prune, against Torch-Pruning (the `peers` extra).

``python -m tests.benchmarks.bench_graph`` prints how often faster PruneViz is. Ratios are what
counts.

- What-if: a plan changed; what are the MACs and parameters now? Torch-Pruning prunes a copy of the
  network and counts its operations; `pv.cost` computes.
- Trace + prune: from the network to a pruned one with half of the prunable filters gone. Both
  build their graph and prune; what PruneViz prunes is run once more, to be sure that it runs.
"""

from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Callable

import torch
import torch_pruning as tp
import torchvision
from torch import Tensor, nn

import pruneviz as pv
from tests.benchmarks.side_by_side import side_by_side

NETWORKS = ("densenet121", "resnet50", "mobilenet_v2")
SHAPE = (3, 224, 224)


def build(name: str) -> nn.Module:
    """Return a network with random weights."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: nn.Module = getattr(torchvision.models, name)(weights=None)
    return model.eval()


def theirs(model: nn.Module, image: Tensor, ratio: float) -> nn.Module:
    """Prune a copy with Torch-Pruning: each layer but the classifier to the same ratio."""
    pruned = copy.deepcopy(model)
    last = [m for m in pruned.modules() if isinstance(m, nn.Linear)][-1:]
    pruner = tp.pruner.MagnitudePruner(
        pruned,
        image,
        importance=tp.importance.MagnitudeImportance(p=1),
        pruning_ratio=ratio,
        ignored_layers=last,
    )
    pruner.step()
    return pruned


def ours(model: nn.Module, ratio: float) -> nn.Module:
    """Trace, rank by L1 norm, prune each group to the same ratio."""
    graph = pv.trace(model, SHAPE)
    rank = pv.rank(model, graph, None, criteria=["l1"])
    return pv.prune(model, graph, pv.threshold(graph, rank, "l1", ratio))


def same_network(a: nn.Module, b: nn.Module) -> float:
    """Return how far two pruned networks' parameter counts are apart, as a fraction."""
    first, second = (sum(p.numel() for p in m.parameters()) for m in (a, b))
    return abs(first - second) / max(first, second)


def what_if(rounds: int) -> None:
    """A changed plan's MACs and parameters on ResNet-50."""
    model, image = build("resnet50"), torch.randn(1, *SHAPE)
    graph = pv.trace(model, SHAPE)
    rank = pv.rank(model, graph, None, criteria=["l1"])
    plans = [pv.threshold(graph, rank, "l1", r / 1000) for r in range(200, 300)]
    pruned = pv.prune(model, graph, plans[50])
    macs, params = tp.utils.count_ops_and_params(pruned, image)
    cost = pv.cost(graph, plans[50])
    assert cost.params == params, (cost.params, params)

    def hundred() -> None:
        for plan in plans:
            pv.cost(graph, plan)

    def prune_and_count() -> None:
        tp.utils.count_ops_and_params(theirs(model, image, 0.25), image)

    timing = side_by_side(
        {"Torch-Pruning": prune_and_count, "100 of cost()": hundred}, rounds=rounds
    )
    each = timing.seconds["100 of cost()"] / 100
    print(f"what-if on ResNet-50 ({cost.macs / 1e9:.2f} GMACs; their counter, which also counts "
          f"norms: {macs / 1e9:.2f})")  # fmt: skip
    print("  " + timing.line("Torch-Pruning"))
    print(f"  cost(): {each * 1000:.3f} ms, x{timing.ratios['100 of cost()'] * 100:.0f}")


def trace_and_prune(name: str, rounds: int) -> None:
    """From a network to its half."""
    model, image = build(name), torch.randn(1, *SHAPE)
    gap = same_network(theirs(model, image, 0.5), ours(model, 0.5))
    graph = pv.trace(model, SHAPE)
    rank = pv.rank(model, graph, None, criteria=["l1"])
    plan = pv.threshold(graph, rank, "l1", 0.5)
    ways: dict[str, Callable[[], object]] = {
        "Torch-Pruning: graph, prune": lambda: theirs(model, image, 0.5),
        "PruneViz: trace, rank, prune": lambda: ours(model, 0.5),
        "  trace": lambda: pv.trace(model, SHAPE),
        "  prune": lambda: pv.prune(model, graph, plan),
    }
    timing = side_by_side(ways, rounds=rounds)
    print(f"\ntrace + prune, {name} (parameter counts {gap:.2%} apart)")
    for way in ways:
        print("  " + timing.line(way))


def main() -> None:
    """Run all rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    parser.add_argument("--networks", nargs="*", default=NETWORKS)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, Torch-Pruning {tp.__version__}")
    what_if(args.rounds)
    for name in args.networks:
        trace_and_prune(name, args.rounds)


if __name__ == "__main__":
    main()
