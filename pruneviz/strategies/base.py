"""What a strategy consists of: its name and options, and the events that it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, get_type_hints

from pruneviz.errors import UnknownNameError
from pruneviz.strategies.options import OptionInfo, check_option, described_option

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.channels import ChannelGraph
    from pruneviz.plan import Plan
    from pruneviz.strategies.details import Details


@dataclass(frozen=True, eq=False)
class StrategyResult:
    """What a strategy ends with: the pruned network, and its plan."""

    model: nn.Module
    plan: Plan


@dataclass(frozen=True)
class FrontPoint:
    """One network of a Pareto front: the units pruned, its accuracy and its MACs."""

    dropped: Mapping[str, tuple[int, ...]] = field(repr=False)
    """Group name -> pruned units of the group, as in `Plan.by_group`."""
    macs: int
    accuracy: float

    def plan(self, graph: ChannelGraph) -> Plan:
        """The point as a plan of the network that it was found for."""
        from pruneviz.plan import Plan

        units = [graph.group(n).start + index for n, own in self.dropped.items() for index in own]
        return Plan(graph, units)


@dataclass(frozen=True, eq=False)
class Step:
    """What a strategy tells about each step, and what is kept of it.

    `accuracy` and `val_loss` are of the network without what the plan prunes, on the validation
    images; `loss` is the mean training loss since the step before (nan where nothing was trained).
    """

    step: int
    """Counts the steps from 1."""
    phase: str
    """"fine-tune", "rank", "prune", "search" or "done"."""
    message: str
    progress: float
    """How much of the work is done, 0..1."""
    macs: int
    params: int
    passes: float
    """Passes over the training images so far: what the training cost."""
    loss: float
    val_loss: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class StrategyEvent(Step):
    """A step is done: the network was trained for an epoch, units were removed, a trial was made.

    `state` is a plain dict that `torch.save` writes and `weights_only=True` reads;
    `run_strategy(..., resume=state)` continues from there and ends with the same weights.
    """

    strategy: str
    steps: int | None
    """How many there will be, where that is known."""
    units_left: int
    """Prunable units that the plan keeps."""
    plan: str = field(repr=False)
    """The plan so far, for the original network, as `Plan.from_json` reads it."""
    state: dict[str, Any] | None = field(default=None, repr=False)
    front: tuple[FrontPoint, ...] = field(default=(), repr=False)
    """The Pareto front so far, of a strategy that looks for one."""
    details: Details | None = field(default=None, repr=False)
    """How the step was decided, see `pruneviz.strategies.details`."""
    final: bool = False
    result: StrategyResult | None = field(default=None, repr=False)
    """The pruned network and its plan, on the last event."""


RunFunction = Callable[[Any, Any], Iterator[StrategyEvent]]
"""(the `pruneviz.strategies.run.Run`, the strategy's options) -> events."""
BudgetFunction = Callable[[int, int], Mapping[str, Any]]


@dataclass(frozen=True)
class Strategy:
    """One way to prune a network."""

    name: str
    title: str
    help: str
    """One sentence."""
    paper: str
    options: type[Any]
    run: RunFunction
    reaches_target: bool = True
    """Whether it ends at the MACs target; if not, something else decides the widths."""
    takes_target: bool = True
    """Whether a MACs target means anything to it (an end of the search, a point of the front)."""
    default_target: float | None = 0.5
    """The MACs target (fraction of the unpruned network's) where none is given."""
    other_targets: tuple[str, ...] = ()
    """Options that say where to stop; with one of them there is no default target."""
    budget: BudgetFunction = lambda epochs, images: {"epochs": epochs}
    """(epochs, training images) -> options with which it trains for that many epochs in all."""

    @property
    def defaults(self) -> dict[str, Any]:
        """Option name -> default."""
        return asdict(self.options())

    @property
    def fields(self) -> tuple[OptionInfo, ...]:
        """The options in order, as a form needs them."""
        hints = get_type_hints(self.options)
        return tuple(described_option(f, hints[f.name]) for f in fields(self.options))

    def make_options(self, given: Mapping[str, Any]) -> Any:
        """Check these values and return the options with them.

        Raises:
            UnknownNameError: No such option; the message lists them.
            InvalidValueError: A value of the wrong kind or outside its range.
        """
        known = {info.name: info for info in self.fields}
        for name, value in given.items():
            if name not in known:
                raise UnknownNameError(f"option of strategy '{self.name}'", name, known)
            check_option(self.name, known[name], value)
        return self.options(**given)
