"""NSGA-II: from one population to the next, for two objectives that are both minimised.

Deb, Pratap, Agarwal & Meyarivan (2002), *A Fast and Elitist Multiobjective Genetic Algorithm*,
with pymoo's operators: binary tournaments, uniform crossover, bit flips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from pruneviz.strategies.budget import FloatArray

GeneArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Generation:
    """A population: which prunable units each network keeps, and how it does."""

    genes: GeneArray
    """(population, prunable units) True for units that stay."""
    fitness: FloatArray
    """(population, 2): 1 - accuracy, and MACs as a fraction of the unpruned network's."""

    def front(self) -> npt.NDArray[np.int64]:
        """Indices of the networks that no other beats in both, cheapest first, each once."""
        order = np.lexsort((self.fitness[:, 0], self.fitness[:, 1]))
        best, indices = np.inf, []
        for index in order:
            if self.fitness[index, 0] < best:
                best = self.fitness[index, 0]
                indices.append(index)
        return np.asarray(indices, dtype=np.int64)


def evolve(
    last: Generation,
    judge: Callable[[GeneArray], Generation],
    repair: Callable[[GeneArray], GeneArray],
    random: np.random.Generator,
    *,
    crossover: float,
    mutations: float,
) -> Generation:
    """The next generation, a function of the last one and a random generator alone.

    Args:
        last: The population whose networks are parents.
        judge: Measures the children.
        repair: Turns any genes into allowed ones.
        random: Draws parents, crossovers and mutations.
        crossover: Probability of a crossover.
        mutations: Genes flipped per child, on average.
    """
    # Imported here: it takes a while, and the registry needs none of it.
    from pymoo.core.duplicate import DefaultDuplicateElimination
    from pymoo.core.mating import Mating
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.ux import UniformCrossover
    from pymoo.operators.mutation.bitflip import BitflipMutation
    from pymoo.operators.selection.tournament import TournamentSelection
    from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

    count, genes = last.genes.shape
    problem = Problem(n_var=genes, n_obj=2, xl=0, xu=1, vtype=bool)
    survival = RankAndCrowding()
    parents = Population.new("X", last.genes, "F", last.fitness)
    parents = survival.do(problem, parents, n_survive=count, random_state=random)
    mating = Mating(
        TournamentSelection(func_comp=_tournament),
        UniformCrossover(prob=crossover),
        BitflipMutation(prob=1.0, prob_var=min(0.5, mutations / genes)),
        repair=lambda _problem, children, **_: children.set("X", repair(children.get("X"))),
        eliminate_duplicates=DefaultDuplicateElimination(),
    )
    children = mating.do(
        problem,
        parents,
        count,
        random_state=random,
        algorithm=SimpleNamespace(random_state=random),
    )
    judged = judge(children.get("X").astype(bool))
    both = Population.new(
        "X",
        np.concatenate([parents.get("X").astype(bool), judged.genes]),
        "F",
        np.concatenate([parents.get("F"), judged.fitness]),
    )
    best = survival.do(problem, both, n_survive=count, random_state=random)
    return Generation(best.get("X").astype(bool), best.get("F").astype(np.float64))


def _tournament(pop: Any, P: Any, algorithm: Any, **_: Any) -> Any:  # noqa: N803 (pymoo's name)
    """The better rank wins, then the emptier neighbourhood, then chance."""
    winners = []
    for a, b in P:
        keys = [(pop[i].get("rank"), -pop[i].get("crowding")) for i in (a, b)]
        tie = algorithm.random_state.random() < 0.5
        winners.append(a if keys[0] < keys[1] or (keys[0] == keys[1] and tie) else b)
    return np.asarray(winners)[:, None]
