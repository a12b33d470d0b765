"""How near a plan for a target in milliseconds comes to it.

``python -m tests.benchmarks.bench_target`` asks, for each network and runtime, for a share of the
unpruned network's time at batch size 1, then times the plan beside the unpruned network once more,
in turns. It prints measured over asked: 1.00 is the target met to the dot. Measured is the ratio of
the two networks' times (medians; and their quickest tenths, which other programs disturb least)
times the unpruned network's quickest median.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import pruneviz as pv

NETWORKS = ("resnet20", "vgg16", "mobilenet_v2")
RUNTIMES = ("torch", "onnxruntime")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--runtimes", nargs="*", default=RUNTIMES)
    parser.add_argument("--shares", type=float, nargs="*", default=[0.6])
    parser.add_argument("--criterion", default="l1")
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, batch size 1, {args.criterion}")
    data = pv.load_dataset("digits")
    for name in args.networks:
        model = pv.load_model(name, weights="digits")
        graph = pv.trace(model, data.input_shape)
        for runtime in args.runtimes:
            for share in args.shares:
                _one(name, model, graph, data, runtime, share, args)


def _one(
    name: str,
    model: torch.nn.Module,
    graph: pv.ChannelGraph,
    data: pv.DataSet,
    runtime: str,
    share: float,
    args: argparse.Namespace,
) -> None:
    options = {"threads": 1, "runtime": runtime, "progress": False}
    timing = {**options, "repeats": 400, "seconds": args.seconds}
    nothing = pv.Plan(graph)
    before = min(
        1e3 * pv.latency(model, graph, nothing, **timing).of("baseline").median for _ in range(3)
    )
    start = time.perf_counter()
    plan = pv.allocate(
        model,
        graph,
        data,
        target_latency=share * before,
        criterion=args.criterion,
        images=128,
        **options,
    )
    took = time.perf_counter() - start
    timed = pv.latency(model, graph, plan, **timing)
    base, own = timed.timings
    whole = min(before, 1e3 * base.median)  # other programs only make it longer
    medians = own.median / base.median
    tenths = np.quantile(own.seconds, 0.1) / np.quantile(base.seconds, 0.1)
    accuracy = pv.evaluate(pv.repair(model, graph, plan, data), data).accuracy
    left = 1 / timed.macs_ratio("pruned")
    print(
        f"{name:13s} {runtime:12s} asked {share * before:.3f} of {before:.3f} ms: measured over "
        f"asked {medians * whole / (share * before):.2f} (medians), "
        f"{tenths * whole / (share * before):.2f} (quickest tenths); "
        f"{left:.2f} of the MACs, {accuracy:.3f} repaired; searched {took:.0f} s. "
        f"{timed.disturbance}",
        flush=True,
    )


if __name__ == "__main__":
    main()
