"""Timing networks: any networks, plans beside the baseline, or one group's widths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pruneviz.arguments import network, number, one_of, several, whole
from pruneviz.bars import Progress, bar
from pruneviz.channels import ChannelGraph, check_graph
from pruneviz.cost import cost
from pruneviz.errors import InvalidValueError, shown
from pruneviz.latency.alternation import FEWEST, Calls, in_turns
from pruneviz.latency.result import BASELINE, PRUNED, Latency, Timing, WidthLatency
from pruneviz.latency.runtimes import RUNTIMES, TORCH, passes
from pruneviz.modes import eval_mode
from pruneviz.plan import Plan, check_plan

if TYPE_CHECKING:
    from torch import nn


def measure_latency(
    models: Mapping[str, nn.Module],
    input_shape: Sequence[int],
    *,
    batch_size: int = 1,
    repeats: int = 100,
    seconds: float = 10.0,
    threads: int | None = None,
    runtime: str = TORCH,
    macs: Mapping[str, int] | None = None,
    progress: Progress = None,
) -> Latency:
    """Time forward passes (eval mode, no gradients) of several networks, side by side.

    Args:
        models: By name; the others are compared with the first. They are not changed.
        input_shape: (C, H, W) of one image; the images are noise.
        batch_size: Images per pass.
        repeats: Timed passes of each network, warm-up aside. Passes that other programs
            interrupted are left out and repeated, as long as there is time.
        seconds: Budget for all together; once it is spent no further round begins, but each
            network is timed at least three times.
        threads: CPU threads per operation; None for torch's own setting.
        runtime: "torch", operation by operation; "onnxruntime" (extra `export`) or "openvino"
            (extra `openvino`): each network is exported to it first, and it runs on the CPU.
        macs: Multiply-adds for one image by name, shown beside the times.
        progress: Called with the passes done and wanted, after each warm-up and each round; False
            for no bar.

    Raises:
        InvalidValueError: No network, or a number below one.
        UnknownNameError: An unknown runtime.
        MissingExtraError: The runtime is not installed.
        ExportError: The runtime cannot represent a network.
    """
    import torch

    one_of("runtime", runtime, RUNTIMES)

    if not isinstance(models, Mapping) or not models:
        raise InvalidValueError(
            f"Latency needs networks by name, at least one, but got {shown(models)}."
        )
    whole("batch_size", batch_size)
    whole("repeats", repeats)
    if threads is not None:
        whole("threads", threads)
    shape = tuple(whole("Each of input_shape", s) for s in several("input_shape", input_shape))
    if len(shape) != 3:
        raise InvalidValueError(f"input_shape must be (C, H, W), but got {shown(input_shape)}.")
    number("seconds", seconds, 0)
    for model in models.values():
        network(model)
    at = next(iter(models.values()))
    tensor = next(at.parameters(), torch.empty(0))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(batch_size, *shape, generator=generator)
    images = noise.to(device=tensor.device, dtype=tensor.dtype)
    with _threads(threads) as used, eval_mode(*models.values()):
        ways = {n: passes(runtime, model, images, used) for n, model in models.items()}
        with torch.inference_mode(), bar("Timing", progress, "pass") as tick:
            taken = in_turns(ways, repeats, seconds, progress=tick)
    return Latency(
        tuple(_timing(name, calls, (macs or {}).get(name)) for name, calls in taken.items()),
        shape,
        batch_size,
        used,
        str(images.device) if runtime == TORCH else "cpu",
        runtime,
    )


def _timing(name: str, calls: Calls, macs: int | None) -> Timing:
    """Leave the interrupted passes out, unless hardly any other is there."""
    enough = len(calls.calm) >= min(FEWEST, len(calls))
    seconds = calls.calm if enough else [*calls.calm, *calls.interrupted]
    return Timing(name, tuple(seconds), macs, len(calls.interrupted), enough)


def latency(
    model: nn.Module,
    graph: ChannelGraph,
    plan: Plan | Mapping[str, Plan],
    **options: Any,
) -> Latency:
    """Time the networks that plans leave beside the unpruned one (named "baseline").

    Args:
        model: The unpruned network; it is not changed.
        graph: Its channels.
        plan: What is pruned; the network is called "pruned". Or several plans by name.
        options: Those of `measure_latency`.

    Raises:
        InvalidValueError: As `measure_latency`; or a plan called "baseline".
        PlanError: A plan that belongs to another network.

    Example:
        >>> plan = pv.Plan(graph).drop("layer1.0.conv1", range(8))
        >>> times = pv.latency(model, graph, plan, repeats=3, seconds=1)
        >>> [timing.name for timing in times.timings]
        ['baseline', 'pruned']
    """
    from pruneviz.surgery import prune

    plans = dict(plan) if isinstance(plan, Mapping) else {PRUNED: plan}
    if BASELINE in plans:
        raise InvalidValueError(
            "'baseline' names the unpruned network; give the plan another name."
        )
    models = {BASELINE: model, **{n: prune(model, graph, p) for n, p in plans.items()}}
    macs = {BASELINE: cost(graph).macs, **{n: cost(graph, p).macs for n, p in plans.items()}}
    return measure_latency(models, graph.input_shape, macs=macs, **options)


def width_latency(
    model: nn.Module,
    graph: ChannelGraph,
    group: str,
    widths: Sequence[int] | None = None,
    *,
    plan: Plan | None = None,
    **options: Any,
) -> WidthLatency:
    """Time the whole network while one group gets narrower, to find where time really drops.

    Which units stay does not matter for the time: the first ones do.

    Args:
        model: The unpruned network; it is not changed.
        graph: Its channels.
        group: Name of the group.
        widths: Units kept, each in 1..the group's width; None for up to 16, evenly spaced.
            The whole width is always measured too.
        plan: What is pruned of the other groups; None for nothing.
        options: Those of `measure_latency`.

    Raises:
        UnknownNameError: There is no such group.
        PlanError: The group cannot be pruned.
        InvalidValueError: A width outside its range.

    Example:
        >>> times = pv.width_latency(
        ...     model, graph, "layer1.0.conv1", widths=[8], repeats=3, seconds=1
        ... )
        >>> times.widths
        (16, 8)
    """
    from pruneviz.surgery import prune

    entry = check_graph(graph).group(group)
    full = entry.width
    given = spaced(full) if widths is None else several("widths", widths)
    wanted = [whole("A width", width, 1, full) for width in given]
    chosen = tuple(sorted({full, *wanted}, reverse=True))
    others = (Plan(graph) if plan is None else check_plan(graph, plan)).keep_units(entry.units)
    units = list(entry.units)
    plans = {str(w): others.drop_units(units[w:]) for w in chosen}
    models = {name: prune(model, graph, p) for name, p in plans.items()}
    macs = {name: cost(graph, p).macs for name, p in plans.items()}
    result = measure_latency(models, graph.input_shape, macs=macs, **options)
    return WidthLatency(group, chosen, result)


def spaced(width: int, count: int = 16) -> tuple[int, ...]:
    """Return the whole width and, below it, about `count` multiples of a power of two.

    Processors compute several channels at once, a power of two of them: the widths to try first.
    """
    step = 1
    while step * count < width:
        step *= 2
    return tuple(sorted({width, *range(step, width + 1, step)}, reverse=True))


@contextmanager
def _threads(count: int | None) -> Iterator[int]:
    """Give torch that many threads, and afterwards its own number again."""
    import torch

    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
