"""Measured time of real networks: fewer multiply-adds are not always less time.

MACs say how much arithmetic is left; whether it takes less time depends on the machine, the batch
size and the widths. So the networks themselves are timed, side by side: each is warmed up, then
they alternate in short bursts, every other round in reverse, so that other load on the machine
affects all of them. Times are medians, their spread the quartiles. Results load without torch.
"""

from pruneviz.latency.measure import latency, measure_latency, spaced, width_latency
from pruneviz.latency.result import BASELINE, PRUNED, Latency, Timing, WidthLatency
from pruneviz.latency.stored import latency_from, widths_from

__all__ = [
    "BASELINE",
    "PRUNED",
    "Latency",
    "Timing",
    "WidthLatency",
    "latency",
    "latency_from",
    "measure_latency",
    "spaced",
    "width_latency",
    "widths_from",
]
