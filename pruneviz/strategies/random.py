"""Random: what any criterion must beat."""

from __future__ import annotations

from collections.abc import Iterator

from pruneviz.strategies.base import Strategy, StrategyEvent
from pruneviz.strategies.budget import by_score, reach
from pruneviz.strategies.options import OneOff
from pruneviz.strategies.run import Run


def run(run: Run, options: OneOff) -> Iterator[StrategyEvent]:
    """Remove units drawn at random over the whole network until the target is met; fine-tune."""
    run.steps = options.epochs + 2
    if run.once("prune"):
        scores = run.rank("random", "prune", comparable=True)
        run.shrink(reach(run.graph, by_score(run.graph, scores), run.target), repair=options.repair)
        yield run.event("prune", f"Removed {len(run.plan)} units drawn at random")
    yield from run.fine_tune("final", options.epochs)


STRATEGY = Strategy(
    name="random",
    title="Random",
    help="Removes filters drawn at random, then fine-tunes: what a criterion must beat.",
    paper="",
    options=OneOff,
    run=run,
)
