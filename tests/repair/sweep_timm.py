"""The repair over timm's convolutional networks: is what is left nearer to the unpruned network?

    python -m tests.repair.sweep_timm [--largest 9e6] [name ...]

The smallest network of each family that `pruneviz/catalog/timm_networks.json` says works, with
random weights and batch norms whose statistics are not those of the images, one random plan of up
to 60 % of every group's units. Prints the mean square of what the outputs lack, as a fraction of
the unpruned ones', after the cut, the instant and the full repair. Exit status 1 if a repair is
worse than the cut in a network with batch norms, or the full one in any.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings

import timm
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from pruneviz.repair import Repairer
from pruneviz.surgery import prune
from pruneviz.trace import trace
from tests.core.laws import random_plan, shake
from tests.repair.helpers import error, images_of
from tests.sweep_timm import TABLE


def smallest_of_families(largest: float) -> dict[str, int]:
    """Network -> side of its images in pixels."""
    listed = json.loads(TABLE.read_text())["networks"]
    works = [r for r in listed if r["outcome"] == "kept" and r["prunable_layers"]]
    families: dict[str, dict[str, int]] = {}
    for row in sorted(works, key=lambda r: r["parameters"]):
        if row["parameters"] <= largest:
            families.setdefault(row["family"], {row["name"]: row["checked_at"]})
    return {name: side for found in families.values() for name, side in found.items()}


def examine(name: str, side: int) -> tuple[float, float, float, bool]:
    """Errors after the cut, the instant and the full repair; whether there are batch norms."""
    torch.manual_seed(0)
    model = shake(timm.create_model(name, num_classes=7))
    data = images_of(side, 32, classes=7)
    graph = trace(model, (3, side, side))
    repairer = Repairer(model, graph, data)
    plan = random_plan(graph, seed=1, most=0.6)
    x, _ = next(data.val.batches(16))
    networks = (
        prune(model, graph, plan),
        repairer.instant(plan).network,
        repairer.full(plan).network,
    )
    cut, instant, full = (error(network, model, x) for network in networks)
    return cut, instant, full, any(isinstance(m, _BatchNorm) for m in model.modules())


def main() -> int:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="names of timm's; all where there are none")
    parser.add_argument("--largest", type=float, default=9e6, help="parameters")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    sides = smallest_of_families(options.largest)
    worse = 0
    for name in options.names or sides:
        cut, instant, full, norms = examine(name, sides.get(name, 64))
        bad = not full <= 1.02 * cut or (norms and not instant <= 1.02 * cut)
        worse += bad
        told = f"cut {cut:.3g}, instant {instant:.3g}, full {full:.3g}"
        print(f"{name:34s} {told}{'  WORSE' if bad else ''}", flush=True)
    print(f"{worse} worse than the cut")
    return bool(worse)


if __name__ == "__main__":
    sys.exit(main())
