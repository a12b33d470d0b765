"""A kind of run that counts, for visitors to press buttons about."""

from __future__ import annotations

import time

from pruneviz.jobs import register
from pruneviz.jobs.context import JobContext


@register("counts", uses_torch=False)
def counts(context: JobContext) -> None:
    """Count to `steps`, a few a second, obeying."""
    for step in range(1, context.options["steps"] + 1):
        time.sleep(0.01)
        context.record("step", step=step)
        context.tick(step, context.options["steps"])
    context.keep("counted", context.options["steps"])
