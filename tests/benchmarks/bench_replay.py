"""Sensitivity scan and oracle by replay, against the loop that one would write.

``python -m tests.benchmarks.bench_replay sensitivity oracle`` prints how many times faster each
is; ``--help`` lists networks and sizes. The loop is: for each plan copy the network, set its
filters to zero, evaluate, at the batch size that is best for it (found first). Both give the same
counts of correct images, which is checked before anything is timed. Ratios are what counts.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

import pruneviz as pv
from pruneviz.data import DataSet, ImageSet
from pruneviz.replay import Replay, Score, oracle, scan, score
from pruneviz.replay.scan import load
from tests.benchmarks.side_by_side import side_by_side

RATIOS = (0.1, 0.3, 0.5, 0.7, 0.9)


class Case:
    """A network, its graph, images, and a ranking by L1 norm."""

    def __init__(self, name: str, count: int, size: int) -> None:
        self.name = name
        if size == 32:
            self.model = pv.load_model(name, weights="digits")
            data = pv.load_dataset("digits")
            images = data.train.first(count)
            self.classes = data.classes
        else:
            self.model = _random(name)
            pixels = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)
            images = ImageSet(pixels, torch.randint(0, 1000, (count,)))
            self.classes = tuple(map(str, range(1000)))
        self.model.eval()
        self.graph = pv.trace(self.model, (3, size, size))
        self.rank = pv.rank(self.model, self.graph, None, criteria=["l1"])
        self.images = images
        self.data = DataSet(name, images, images, None, self.classes, (3, size, size), {})

    def plans(self, stride: int) -> list[pv.Plan]:
        """Every `stride`-th group pruned alone to each ratio."""
        groups = self.graph.prunable_groups[::stride]
        return [
            pv.threshold(self.graph, self.rank, "l1", {g.name: r}) for g in groups for r in RATIOS
        ]

    def loop(self, plans: Sequence[pv.Plan], batch: int, channels_last: bool) -> list[Score]:
        """Copy, mask, evaluate: one plan after the other."""
        found = []
        for plan in plans:
            model = pv.mask(self.model, self.graph, plan)
            found.append(evaluate(model, self.images, batch, channels_last))
        return found

    def best_batch(self, candidates: Sequence[int], channels_last: bool) -> int:
        """Return the batch size at which the loop is quickest."""
        plan = self.plans(1)[:1]
        ways: dict[str, Callable[[], object]] = {
            str(b): (lambda b=b: self.loop(plan, b, channels_last))
            for b in candidates
            if b <= len(self.images)
        }
        timing = side_by_side(ways, rounds=3)
        return int(min(timing.seconds, key=lambda k: timing.seconds[k]))


def _random(name: str) -> nn.Module:
    import torchvision

    torch.manual_seed(0)
    model: nn.Module = getattr(torchvision.models, name)(weights=None)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


def evaluate(model: nn.Module, images: ImageSet, batch: int, channels_last: bool) -> Score:
    """Evaluate a network the usual way."""
    total = Score(0, 0.0, 0)
    with torch.no_grad():
        for start in range(0, len(images), batch):
            x, y = load(images, start, min(start + batch, len(images)))
            if channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            total = total + score(model(x), y)
    return total


def total(case: Case, plans: Sequence[pv.Plan], **options: int | None) -> list[Score]:
    """Score plans by replay."""
    found: list[Score] | None = None
    for scores in scan(Replay(case.model, case.graph), case.images, plans, **options):
        found = scores if found is None else [a + b for a, b in zip(found, scores, strict=True)]
    assert found is not None
    return found


def check(slow: Sequence[Score], quick: Sequence[Score]) -> None:
    """Identical counts, losses to rounding; or there is nothing to time."""
    counts = [(a.correct, b.correct) for a, b in zip(slow, quick, strict=True)]
    assert all(a == b for a, b in counts), f"counts differ: {[c for c in counts if c[0] != c[1]]}"
    np.testing.assert_allclose([s.loss for s in slow], [s.loss for s in quick], rtol=1e-4)


def sensitivity(case: Case, args: argparse.Namespace) -> None:
    """The scan, all at once, and when its first points are there."""
    plans = case.plans(args.stride)
    plain, last = (case.best_batch(args.batches, cl) for cl in (False, True))
    check(case.loop(plans, plain, False), total(case, plans))
    firsts = []

    def ours() -> None:
        start = time.perf_counter()
        first = None
        groups = [g.name for g in case.graph.prunable_groups[:: args.stride]]
        for _ in pv.sensitivity(case.model, case.graph, case.data, case.rank, "l1", RATIOS,
                                after="cut", groups=groups):  # fmt: skip
            first = first or time.perf_counter() - start
        firsts.append((first or 0.0) / (time.perf_counter() - start))

    name = f"loop, batches of {plain}"
    timing = side_by_side(
        {
            name: lambda: case.loop(plans, plain, False),
            f"loop, channels last, {last}": lambda: case.loop(plans, last, True),
            "sensitivity()": ours,
        },
        rounds=args.rounds,
        warm_up=False,
    )
    print(f"\nsensitivity, {case.name}: {len(plans)} plans on {len(case.images)} images")
    for way in timing.seconds:
        print("  " + timing.line(way))
    print(f"  first point of every curve after {statistics.median(firsts):.1%} of the scan")


def oracle_row(case: Case, args: argparse.Namespace) -> None:
    """Every unit silenced by itself."""
    units = [u for g in case.graph.prunable_groups for u in g.units][:: args.stride]
    plain = case.best_batch(args.batches, False)
    plans = [pv.Plan(case.graph, [u]) for u in units]
    slow = case.loop(plans, plain, False)
    base = evaluate(case.model, case.images, plain, False)
    final = list(oracle(case.model, case.graph, case.data, images=None))[-1]
    changes = np.array([(s.loss - base.loss) / s.count for s in slow])
    gap = float(np.abs(changes - final.change[units]).max())
    assert gap <= 1e-5, f"loss changes differ by {gap}"
    share = len(units) / int(case.graph.prunable.sum())
    timing = side_by_side(
        {
            "loop": lambda: case.loop(plans, plain, False),
            "oracle()": lambda: list(oracle(case.model, case.graph, case.data, images=None)),
        },
        rounds=args.rounds,
        warm_up=False,
    )
    print(f"\noracle, {case.name}: {len(case.images)} images, loss changes within {gap:.1e}")
    print(f"  one masked evaluation a unit (batches of {plain}; {share:.0%} of the units timed)")
    print(f"  oracle() is x{timing.ratios['oracle()'] / share:.2f}")


def main() -> None:
    """Run the rows that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", default=["sensitivity", "oracle"])
    parser.add_argument("--models", nargs="*", default=["resnet20", "vgg16", "mobilenet_v2"])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--size", type=int, default=32, help="32: bundled networks and digits")
    parser.add_argument("--stride", type=int, default=1, help="only every n-th group or unit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="*", default=[32, 64, 128, 256])
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    rows = {"sensitivity": sensitivity, "oracle": oracle_row}
    for row in args.rows:
        for name in args.models:
            rows[row](Case(name, args.images, args.size), args)


if __name__ == "__main__":
    main()
