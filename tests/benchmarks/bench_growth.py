"""How costs grow: with depth, units, ratios, images and image size; and how much memory it takes.

``python -m tests.benchmarks.bench_growth --out growth`` prints the tables and writes
``growth.json`` and ``growth.html`` (and ``growth.png`` where Playwright finds a Chromium). Times
are CPU seconds of one thread, so that a busy machine does not bend the curves; what counts is
their shape, told by the exponent of the best power law (1: linear).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import pruneviz as pv
from pruneviz.data import DataSet, ImageSet
from pruneviz.replay import Replay, scan

DEPTHS = (20, 32, 44, 56, 110)
Row = tuple[float, float]


def cpu(way: Callable[..., object], *args: object, rounds: int = 1) -> float:
    """Return the least CPU seconds of this thread over some rounds."""
    taken = []
    for _ in range(rounds):
        start = time.thread_time()
        way(*args)
        taken.append(time.thread_time() - start)
    return min(taken)


def sample(count: int, size: int = 32) -> ImageSet:
    """Return images of noise."""
    pixels = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(count) % 10)


def resnet(depth: int) -> nn.Module:
    """Return a CIFAR ResNet with random weights."""
    torch.manual_seed(0)
    model = pv.load_model(f"resnet{depth}", num_classes=10)
    return model.eval()


def plans_of(graph: pv.ChannelGraph, rank: Any, ratios: tuple[float, ...]) -> list[pv.Plan]:
    """Every group pruned alone to each ratio."""
    return [
        pv.threshold(graph, rank, "l1", {g.name: r}) for g in graph.prunable_groups for r in ratios
    ]


def loop(model: nn.Module, graph: pv.ChannelGraph, plans: list[pv.Plan], data: DataSet) -> None:
    """Mask and evaluate plan after plan."""
    for plan in plans:
        pv.evaluate(pv.mask(model, graph, plan), data, batch_size=32)


def replayed(
    model: nn.Module, graph: pv.ChannelGraph, plans: list[pv.Plan], images: ImageSet
) -> None:
    """The same by replay."""
    for _ in scan(Replay(model, graph), images, plans, workers=1, batch_size=32):
        pass


def with_depth() -> dict[str, list[Row]]:
    """Trace, cost, and a sensitivity scan (one ratio, 16 images) of deeper and deeper networks."""
    names = ("trace", "cost", "scan by loop", "scan by replay")
    found: dict[str, list[Row]] = {name: [] for name in names}
    images = sample(16)
    data = DataSet("noise", images, images, None, tuple("abcdefghij"), (3, 32, 32), {})
    for depth in DEPTHS:
        model = resnet(depth)
        graph = pv.trace(model, (3, 32, 32))
        rank = pv.rank(model, graph, None, criteria=["l1"])
        plan, plans = pv.threshold(graph, rank, "l1", 0.3), plans_of(graph, rank, (0.5,))
        seconds = (
            cpu(pv.trace, model, (3, 32, 32), rounds=3),
            cpu(pv.cost, graph, plan, rounds=20),
            cpu(loop, model, graph, plans, data),
            cpu(replayed, model, graph, plans, images),
        )
        for name, value in zip(names, seconds, strict=True):
            found[name].append((depth, value))
    return found


def with_size() -> dict[str, list[Row]]:
    """A sensitivity scan of ResNet-20 with more ratios, images, and larger images."""
    model = resnet(20)
    graph = pv.trace(model, (3, 32, 32))
    rank = pv.rank(model, graph, None, criteria=["l1"])
    found: dict[str, list[Row]] = {"ratios": [], "images": [], "pixels": []}
    for count in (1, 2, 4, 8):
        plans = plans_of(graph, rank, tuple((i + 1) / (count + 1) for i in range(count)))
        found["ratios"].append((count, cpu(replayed, model, graph, plans, sample(32))))
    plans = plans_of(graph, rank, (0.5,))
    for count in (32, 64, 128, 256):
        found["images"].append((count, cpu(replayed, model, graph, plans, sample(count))))
    for size in (16, 32, 64):
        found["pixels"].append((size**2, cpu(replayed, model, graph, plans, sample(32, size))))
    return found


def memory(name: str, size: int, images: int) -> dict[str, float]:
    """Return the bytes kept per image, and the peak of a process that scans as it does by itself.

    Every twelfth group to one ratio: the number of plans does not matter for the memory, the
    mini-batches and how many of them are worked on side by side do.
    """
    code = f"""
import resource, torch, torchvision, warnings
warnings.simplefilter("ignore")
import pruneviz as pv
from pruneviz.data import DataSet, ImageSet
from pruneviz.replay import Replay
from pruneviz.replay.scan import batch_size_for, workers_for
model = torchvision.models.{name}(weights=None).eval()
graph = pv.trace(model, (3, {size}, {size}))
rank = pv.rank(model, graph, None, criteria=["l1"])
pixels = torch.randint(0, 256, ({images}, 3, {size}, {size}), dtype=torch.uint8)
sample = ImageSet(pixels, torch.arange({images}))
names = tuple(map(str, range(1000)))
data = DataSet("noise", sample, sample, None, names, (3, {size}, {size}), {{}})
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
groups = [g.name for g in graph.prunable_groups[::12]]
for scan in pv.sensitivity(model, graph, data, rank, "l1", (0.5,), groups=groups, after="cut"):
    pass
assert scan.final
after, replay = peak(), Replay(model, graph)
workers = workers_for(replay)
batch = batch_size_for(replay, sample, workers)
x = torch.randn(2, 3, {size}, {size})
weights = sum(p.nbytes for p in model.parameters())
print(batch, workers, replay.tape(x).nbytes / 2, after - before, after, weights)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = ("batch", "workers", "kept_per_image", "peak", "whole", "weights")
    return dict(zip(names, map(float, out.stdout.split()), strict=True))


def exponent(rows: list[Row]) -> float:
    """Return the slope of a line through the logarithms: 1 for linear growth."""
    x, y = np.log(np.array(rows)).T
    return float(np.polyfit(x, y, 1)[0])


def figure(depth: dict[str, list[Row]], size: dict[str, list[Row]]) -> Any:
    """Draw growth with depth, and with ratios, images and pixels, on logarithmic axes."""
    from plotly.subplots import make_subplots

    titles = ("with depth (CIFAR ResNets)", "sensitivity scan, ResNet-20")
    drawn = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.09)
    for column, curves in ((1, depth), (2, size)):
        for name, rows in curves.items():
            x, y = zip(*rows, strict=True)
            first = x[0] if column == 2 else 1
            drawn.add_scatter(
                x=[v / first for v in x],
                y=y,
                name=f"{name} (∝ n^{exponent(rows):.2f})",
                mode="lines+markers",
                row=1,
                col=column,
            )
    drawn.update_xaxes(type="log", title_text="layers", row=1, col=1, tickvals=list(DEPTHS))
    drawn.update_xaxes(
        type="log", title_text="times as many", tickvals=[1, 2, 4, 8, 16], row=1, col=2
    )
    drawn.update_yaxes(type="log", title_text="CPU seconds", dtick=1, exponentformat="power")
    drawn.update_yaxes(tickvals=[0.1, 0.2, 0.5, 1, 2, 5], dtick=None, row=1, col=2)
    margin = {"l": 60, "r": 10, "t": 40, "b": 50}
    drawn.update_layout(template="plotly_white", width=1100, height=400, margin=margin)
    return drawn


def shoot(html: Path, png: Path) -> None:
    """Take a picture of the page, where there is a browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return
    with sync_playwright() as play:
        found = next((p for p in ("/usr/bin/chromium",) if Path(p).exists()), None)
        browser = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1120, "height": 420})
        page.goto(html.resolve().as_uri())
        page.wait_for_timeout(1500)
        page.screenshot(path=str(png))
        browser.close()


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("growth"))
    parser.add_argument("--no-memory", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    depth, size = with_depth(), with_size()
    for name, rows in {**depth, **size}.items():
        cells = "  ".join(f"{n:g}: {s:.4f}" for n, s in rows)
        print(f"{name:16s} n^{exponent(rows):.2f}   {cells}")
    result: dict[str, Any] = {"depth": depth, "size": size}
    if not args.no_memory:
        result["memory"] = {
            "resnet50 at 224": memory("resnet50", 224, 32),
            "densenet201 at 224": memory("densenet201", 224, 32),
        }
        for name, row in result["memory"].items():
            print(
                f"{name}: {row['kept_per_image'] / 1e6:.0f} MB kept an image; {row['workers']:.0f} "
                f"mini-batches of {row['batch']:.0f} peak at {row['peak'] / 1e6:.0f} MB over the "
                f"model ({row['weights'] / 1e6:.0f} MB of weights; the process "
                f"{row['whole'] / 1e6:.0f} MB)"
            )
    args.out.with_suffix(".json").write_text(json.dumps(result, indent=1))
    html = args.out.with_suffix(".html")
    figure(depth, size).write_html(html)
    shoot(html, args.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
