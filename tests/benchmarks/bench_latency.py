"""Measured time of the bundled networks with half of their units pruned, beside their MACs.

``python -m tests.benchmarks.bench_latency`` prints, for each network and batch size, how often
faster the pruned network is than the unpruned one, both run in turns in this process. Half of the
units of every group go, those with the smallest L1 norms.
"""

from __future__ import annotations

import argparse

import torch

import pruneviz as pv
from pruneviz.latency import Timing

NETWORKS = ("resnet20", "vgg16", "mobilenet_v2")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--ratio", type=float, default=0.5)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 64])
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()
    print(f"torch {torch.__version__}")
    for name in args.networks:
        model = pv.load_model(name, weights="digits")
        graph = pv.trace(model, (3, 32, 32))
        rank = pv.rank(model, graph, None, criteria=["l1"])
        plan = pv.threshold(graph, rank, "l1", args.ratio)
        for batch in args.batches:
            found = pv.latency(
                model,
                graph,
                plan,
                batch_size=batch,
                threads=args.threads or None,
                repeats=args.repeats,
                seconds=args.seconds,
            )
            base, own = found.timings
            print(
                f"{name:14s} batch {batch:3d}, {found.threads} thread(s): MACs "
                f"{found.macs_ratio('pruned'):.2f} times fewer, {found.speedup('pruned'):.2f} "
                f"times as fast; {_ms(base)} to {_ms(own)}, {len(base.seconds)} and "
                f"{len(own.seconds)} passes"
            )
            print("  " + " ".join(filter(None, (found.warning, found.disturbance))))


def _ms(timing: Timing) -> str:
    return f"{1e3 * timing.median:.2f} ms ({1e3 * timing.low:.2f}-{1e3 * timing.high:.2f})"


if __name__ == "__main__":
    main()
