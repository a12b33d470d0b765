"""Accuracy at a budget: PruneViz against Torch-Pruning (the `peers` extra), on CIFAR-10.

``python -m tests.benchmarks.bench_accuracy cifar10-jpeg.zip --out accuracy.json`` prunes the
bundled CIFAR-10 networks to a fraction of their MACs, each way, and trains what is left: a usual
loop (SGD with Nesterov momentum, cosine schedule, crops and flips, labels alone) and PruneViz's
fine-tuning, which learns from the unpruned network, too. Every way gets both, so the table tells
apart what comes from the choice of filters, from repair and from the teacher. Same images, updates,
learning rate and seeds for all; accuracy on the 10,000 test images, which decide nothing.

The way "unpruned" is the control: the whole network, trained as much. Torch-Pruning's l2 is the
norm over all layers that a group couples. fasterai's structured pruning is Torch-Pruning's (its
`Pruner` calls `tp.pruner.MetaPruner`), so it has no rows of its own.

Rows are stored as they are measured: the command, called again, goes on where it stopped.
`--table` prints what is stored: means over the seeds, and their standard deviation.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
import torch
import torch_pruning as tp
from torch import nn

import pruneviz as pv
from pruneviz.data import DataSet
from pruneviz.jobs.files import atomic_write
from pruneviz.machine import commit, described

NETWORKS = ("resnet20", "vgg16", "mobilenet_v2")
BUDGETS = (0.5, 0.25)
RANKED = 512
"""Training images that Taylor importances look at, there and here."""


@dataclass(frozen=True)
class Row:
    """One network pruned one way: test accuracies (0..1) before and after each training."""

    network: str
    budget: float
    way: str
    seed: int
    macs_ratio: float
    before: float
    usual: float
    taught: float
    commit: str


@dataclass(frozen=True)
class Case:
    """What every way is given."""

    model: nn.Module
    graph: pv.ChannelGraph
    data: DataSet
    budget: float
    seed: int
    epochs: int

    def macs_ratio(self, network: nn.Module) -> float:
        """The MACs of a pruned network as a fraction of the unpruned one's, by our count."""
        return pv.cost(pv.trace(network, self.data.input_shape)).macs / pv.cost(self.graph).macs


def taylor_gradients(model: nn.Module, case: Case) -> None:
    """Leave the gradients of the loss in the weights, for their Taylor importance."""
    model.zero_grad()
    for images, labels in case.data.train.first(RANKED).batches(128):
        nn.functional.cross_entropy(model(images), labels).backward()


def theirs(
    case: Case, importance: Callable[[], tp.importance.Importance], scope: bool, steps: int = 1
) -> nn.Module:
    """Torch-Pruning's network at the budget: the lowest ratio that meets it, by bisection.

    With several steps (its iterative mode) the network is trained for a share of the epochs after
    every step but the last.
    """
    image = torch.randn(1, *case.data.input_shape)

    def pruned(ratio: float, train: bool = False) -> nn.Module:
        model = copy.deepcopy(case.model)
        rule = importance()
        pruner = tp.pruner.MagnitudePruner(
            model,
            image,
            importance=rule,
            pruning_ratio=ratio,
            global_pruning=scope,
            iterative_steps=steps if train else 1,
            max_pruning_ratio=0.95,
            ignored_layers=[m for m in model.modules() if isinstance(m, nn.Linear)][-1:],
        )
        for step in range(steps if train else 1):
            if isinstance(rule, tp.importance.TaylorImportance):
                model.eval()
                taylor_gradients(model, case)
            pruner.step()
            model.zero_grad()
            if train and step < steps - 1:
                for _ in pv.fine_tune(model, case.data, epochs=1, seed=case.seed, progress=False):
                    pass
        return model.eval()

    low, high = 0.0, 0.95
    for _ in range(9):
        middle = (low + high) / 2
        met = case.macs_ratio(pruned(middle)) <= case.budget
        low, high = (low, middle) if met else (middle, high)
    return pruned(high, train=True)


def ours(case: Case, how: str) -> nn.Module:
    """PruneViz's network at the budget: which units, and whether they are repaired."""
    model, graph, data = case.model, case.graph, case.data
    if how == "allocated":
        plan = pv.allocate(model, graph, data, target_macs=case.budget, progress=False)
    else:
        rank = pv.rank(model, graph, None, ("l2",))
        low, high = 0.0, 0.95
        for _ in range(9):
            middle = (low + high) / 2
            met = pv.cost(graph, pv.threshold(graph, rank, "l2", middle)).macs_ratio <= case.budget
            low, high = (low, middle) if met else (middle, high)
        plan = pv.threshold(graph, rank, "l2", high)
    if how == "cut":
        return pv.prune(model, graph, plan)
    return pv.repair(model, graph, plan, data, images=1024, seed=case.seed, progress=False)


WAYS: dict[str, Callable[[Case], nn.Module]] = {
    "Torch-Pruning: l2, every layer alike": lambda c: theirs(
        c, lambda: tp.importance.MagnitudeImportance(p=2), False
    ),
    "Torch-Pruning: l2, global": lambda c: theirs(
        c, lambda: tp.importance.MagnitudeImportance(p=2), True
    ),
    "Torch-Pruning: Taylor, global": lambda c: theirs(
        c, lambda: tp.importance.TaylorImportance(), True
    ),
    "Torch-Pruning: Taylor, every layer alike": lambda c: theirs(
        c, lambda: tp.importance.TaylorImportance(), False
    ),
    "Torch-Pruning: l2, iterative": lambda c: theirs(
        c, lambda: tp.importance.MagnitudeImportance(p=2), False, steps=3
    ),
    "PruneViz: l2, every group alike, cut": lambda c: ours(c, "cut"),
    "PruneViz: the same, repaired": lambda c: ours(c, "repaired"),
    "PruneViz: allocated and repaired": lambda c: ours(c, "allocated"),
    "unpruned": lambda c: copy.deepcopy(c.model),
}


def measure(case: Case, network: str, way: str) -> Row:
    """Prune one way; accuracy before training, after the usual loop, after ours."""
    held_out = replace(case.data, val=case.data.split("test"))
    small = WAYS[way](case)
    before = pv.evaluate(small, held_out).accuracy
    after = []
    for teacher in (None, case.model):
        trained = copy.deepcopy(small)
        settings = {"epochs": case.epochs, "seed": case.seed, "progress": False}
        for _ in pv.fine_tune(trained, case.data, teacher=teacher, **settings):
            pass
        after.append(pv.evaluate(trained, held_out).accuracy)
    ratio = case.macs_ratio(small)
    return Row(network, case.budget, way, case.seed, ratio, before, *after, commit())


def table(rows: list[Row]) -> str:
    """Means over the seeds and their deviation, percent; the peers first."""
    frame = pd.DataFrame([asdict(row) for row in rows])
    lines = ["| network, MACs left | way | before | usual training | with the teacher | seeds |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    ordered = frame.sort_values("budget", ascending=False, kind="stable")
    for (network, budget, way), group in ordered.groupby(["network", "budget", "way"], sort=False):
        cells = []
        for column in ("before", "usual", "taught"):
            values = 100 * group[column].to_numpy()
            spread = f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.1f}{spread}")
        name = f"{network}, {budget:.0%}"
        lines.append(f"| {name} | {way} | {' | '.join(cells)} | {len(group)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, a row at a time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", help="CIFAR-10 as a folder or zip of train/ and test/")
    parser.add_argument("--out", type=Path, required=True, help="where rows are stored (JSON)")
    parser.add_argument("--models", nargs="+", default=NETWORKS)
    parser.add_argument("--budgets", nargs="+", type=float, default=BUDGETS)
    parser.add_argument("--ways", nargs="+", default=[""], help="those that contain a word")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--train-images", type=int, default=10_000)
    parser.add_argument("--table", action="store_true", help="print what is stored, and end")
    args = parser.parse_args()
    stored = json.loads(args.out.read_text()) if args.out.exists() else {"rows": []}
    rows = [Row(**row) for row in stored["rows"]]
    if args.table:
        print(table(rows))
        return
    ways = [way for way in WAYS if any(word in way for word in args.ways)]
    data = pv.load_dataset("folder", root=args.root, size=32)
    data = replace(data, train=data.train.first(args.train_images))
    about = {
        "machine": described(),
        "torch_pruning": tp.__version__,
        "epochs": args.epochs,
        "train_images": args.train_images,
    }
    for seed in range(args.seeds):
        for network in args.models:
            model = pv.load_model(network, weights="cifar10")
            graph = pv.trace(model, data.input_shape)
            for budget in args.budgets:
                case = Case(model, graph, data, budget, seed, args.epochs)
                for way in ways:
                    key = (network, budget, way, seed)
                    if key in {(r.network, r.budget, r.way, r.seed) for r in rows}:
                        continue
                    rows.append(measure(case, network, way))
                    print(rows[-1], flush=True)
                    stored = {**about, "rows": [asdict(row) for row in rows]}
                    atomic_write(args.out, (json.dumps(stored, indent=1) + "\n").encode())
    print(table(rows))


if __name__ == "__main__":
    main()
