"""NSGA-II on problems with a known answer."""

from __future__ import annotations

import numpy as np

from pruneviz.strategies.nsga2 import Generation, evolve


def test_a_front_of_known_points() -> None:
    fitness = np.array([[0.5, 0.2], [0.1, 0.9], [0.5, 0.3], [0.3, 0.5], [0.3, 0.5], [0.1, 1.0]])
    front = Generation(np.ones((6, 3), dtype=bool), fitness).front()
    assert [fitness[i].tolist() for i in front] == [[0.5, 0.2], [0.3, 0.5], [0.1, 0.9]]
    assert len(front) == 3


def test_evolution_solves_a_toy_exactly() -> None:
    """Dropping the first half costs nothing, the second half all: the front's corner is known."""
    size = 12
    right = np.arange(size) >= size // 2

    def judge(genes: np.ndarray) -> Generation:
        wrong = (~genes & right).mean(axis=1)
        return Generation(genes, np.stack([wrong, genes.mean(axis=1)], axis=1))

    random = np.random.default_rng(0)
    generation = judge(random.random((16, size)) < 0.5)
    for _ in range(40):
        generation = evolve(
            generation, judge, lambda genes: genes, random, crossover=0.9, mutations=1.0
        )
    flawless = generation.fitness[:, 0] == 0
    assert generation.fitness[flawless, 1].min() == 0.5
    assert (generation.genes[flawless & (generation.fitness[:, 1] == 0.5)] == right).all()
