"""The control: the unpruned network, fine-tuned with the same budget."""

from __future__ import annotations

from collections.abc import Iterator

from pruneviz.strategies.base import Strategy, StrategyEvent
from pruneviz.strategies.options import FineTuning
from pruneviz.strategies.run import Run


def run(run: Run, options: FineTuning) -> Iterator[StrategyEvent]:
    """Fine-tune, and remove nothing: training longer often raises accuracy by itself."""
    run.steps = options.epochs + 1
    yield from run.fine_tune("final", options.epochs)


STRATEGY = Strategy(
    name="control",
    title="Control (nothing pruned)",
    help="Fine-tunes the unpruned network with the same budget, for comparison.",
    paper="",
    options=FineTuning,
    run=run,
    reaches_target=False,
    takes_target=False,
    default_target=None,
)
