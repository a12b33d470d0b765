"""The scores of one network by each criterion, computed once, families of criteria together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.criteria import Criterion, Ranking, applicable, rank
from pruneviz.criteria.registry import registered
from pruneviz.criteria.usual import usual_images
from pruneviz.data import DataSet
from pruneviz.session.byte_cache import ByteCache
from pruneviz.session.decisions import Decisions
from pruneviz.session.sizes import bytes_of

KEPT_BYTES = 64 << 20

Scores = npt.NDArray[np.float64]
Stored = Callable[[], Mapping[str, Ranking]]


def criteria() -> dict[str, Criterion]:
    """Return the criteria by name, the one that a session begins with first."""
    first = Decisions().criterion
    known = registered()
    return {name: known[name] for name in sorted(known, key=lambda name: name != first)}


def nothing_stored() -> Mapping[str, Ranking]:
    """Return no ranking: where there are no runs."""
    return {}


class Rankings:
    """What is known of a network's filters; `stored` gives what long runs have computed."""

    def __init__(
        self,
        model: nn.Module,
        graph: ChannelGraph,
        data: DataSet,
        stored: Stored = nothing_stored,
    ) -> None:
        self._model, self._graph, self._data = model, graph, data
        self._computed: ByteCache[tuple[str, ...], Ranking] = ByteCache(
            KEPT_BYTES, lambda ranking: bytes_of(ranking.scores)
        )
        self._stored = stored
        self._applicable: dict[tuple[str, ...], frozenset[str]] = {}
        self._minutes: dict[Callable[[ChannelGraph], bool], bool] = {}

    def of(self, criterion: str) -> Ranking:
        """Return the scores by a criterion, and by those computed with it.

        Raises:
            UnknownNameError: There is no such criterion.
        """
        stored = self._stored().get(criterion) if self.takes_long(criterion) else None
        if stored is not None:
            return stored
        names = self._family(criterion)
        return self._computed.compute(names, lambda: self._rank(names))

    def known(self, criterion: str) -> bool:
        """Whether `of` answers at once."""
        if self.takes_long(criterion) and criterion in self._stored():
            return True
        return self._family(criterion) in self._computed

    def takes_long(self, criterion: str) -> bool:
        """Whether it is left to a run in the background.

        It needs passes of its own, as the oracle does, which runs the network for every unit, or
        takes minutes on this network.
        """
        known = registered().get(criterion)
        return known is not None and (known.own_pass or self._takes_minutes(known))

    def _takes_minutes(self, criterion: Criterion) -> bool:
        """What a criterion says of this network; asked once, since every slider's move asks."""
        ask = criterion.takes_minutes
        if ask not in self._minutes:
            self._minutes[ask] = ask(self._graph)
        return self._minutes[ask]

    def offered(self) -> list[str]:
        """Return the criteria that take seconds here, and those whose long runs are done."""
        stored = self._stored()
        return [
            name
            for name in criteria()
            if (name in stored if self.takes_long(name) else name in self._able)
        ]

    def scores(self) -> dict[str, Scores]:
        """Return the scores computed so far, by criterion."""
        rankings = [ranking for _, ranking in self._computed.items()]
        known = {name: values for r in rankings for name, values in r.scores.items()}
        known |= {name: ranking.of(name) for name, ranking in self._stored().items()}
        return {name: known[name] for name in criteria() if name in known}

    @property
    def _able(self) -> frozenset[str]:
        """The criteria with something to look at: batch-norm scales need batch norms."""
        names = tuple(registered())  # a user may register more
        if names not in self._applicable:
            self._applicable = {names: frozenset(applicable(self._model, self._graph))}
        return self._applicable[names]

    def _family(self, criterion: str) -> tuple[str, ...]:
        """Return the criteria computed together: from weights, from one pass, or alone."""
        known = criteria()
        wanted = known.get(criterion)
        if wanted is None or self.takes_long(criterion):
            return (criterion,)  # an unknown one is refused by `rank`, with the choices
        return tuple(
            name
            for name, other in known.items()
            if not self.takes_long(name)
            and other.needs_data == wanted.needs_data
            and (name == criterion or name in self._able)
        )

    def _rank(self, names: tuple[str, ...]) -> Ranking:
        images = usual_images(self._graph, names[0])
        return rank(self._model, self._graph, self._data, list(names), images=images)
