"""What a strategy consists of: its name and options, and the events that it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

from pruneviz.errors import InvalidValueError, UnknownNameError

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


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] | Mapping[str, str] | Literal["criteria"] | None = None,
    label: str = "",
    unit: str = "",
) -> Any:
    """A field of an options class, with what a form needs to show it.

    Args:
        default: Its value where none is given.
        help: A sentence or two on what it does.
        minimum: The least value, if there is one.
        maximum: The greatest value, if there is one.
        choices: What it can be, also with what people call each (a mapping from value to words);
            "criteria" for the names of all criteria.
        label: What people call it; by default its name, with spaces.
        unit: What a number counts or its range: "epochs", "images", "0 to 1".
    """
    about = {"help": help, "minimum": minimum, "maximum": maximum, "choices": choices}
    return field(default=default, metadata={**about, "label": label, "unit": unit})


@dataclass(frozen=True)
class OptionInfo:
    """One option, as a form needs it."""

    name: str
    kind: str
    """"int", "float", "bool" or "str"."""
    optional: bool
    """Whether None is allowed."""
    default: Any
    help: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...] | None
    label: str = ""
    """What people call it."""
    unit: str = ""
    """What a number counts, or its range; empty where it has none."""
    choice_names: tuple[str, ...] = ()
    """What people call each of the choices, in their order."""

    @property
    def title(self) -> str:
        """The label with its unit, as a form shows it."""
        return f"{self.label}, {self.unit}" if self.unit else self.label


TEACHER = (
    "Once filters are gone, learn the unpruned network's softened outputs, too, "
    "if it was trained on these classes. An epoch takes about 1.5 times as long."
)


@dataclass(frozen=True)
class FineTuning:
    """Options that all strategies share: how the network is trained."""

    epochs: int = option(
        3,
        "Epochs of fine-tuning after the last removal.",
        minimum=0,
        label="Fine-tuning at the end",
        unit="epochs",
    )
    lr: float | None = option(
        None,
        "By default what suits the optimiser and the network.",
        minimum=0.0,
        label="Learning rate",
    )
    batch_size: int | None = option(
        None,
        "Images that one update learns from; by default what suits the data set.",
        minimum=1,
        label="Mini-batch",
        unit="images",
    )
    optimizer: str = option(
        "sgd",
        "What updates the weights: SGD, or AdamW (Loshchilov & Hutter 2019).",
        choices={"sgd": "SGD with Nesterov momentum", "adamw": "AdamW"},
        label="Optimiser",
    )
    schedule: str = option(
        "cosine",
        "How the learning rate changes.",
        choices=("cosine", "one-cycle", "steps", "constant"),
        label="Schedule of the learning rate",
    )
    weight_decay: float = option(
        5e-4,
        "How strongly each update pulls the weights towards zero.",
        minimum=0.0,
        label="Weight decay",
    )
    mixed_precision: bool = option(
        False, "Compute in bfloat16 where that is safe.", label="Mixed precision"
    )
    teacher: bool = option(
        False, f"{TEACHER} Not in the paper.", label="Learn from the unpruned network"
    )


@dataclass(frozen=True)
class OneOff(FineTuning):
    """Options of strategies that remove much at once, so that a repair pays off."""

    teacher: bool = option(True, TEACHER, label="Learn from the unpruned network")
    repair: bool = option(
        True,
        "Repair after each removal: refit the remaining weights in closed form before training.",
        label="Repair after each removal",
    )


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
        return tuple(_info(f, hints[f.name]) for f in fields(self.options))

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
            _check(self.name, known[name], value)
        return self.options(**given)


def _info(described: Field[Any], hint: Any) -> OptionInfo:
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    plain = next(kind for kind in kinds if kind is not NoneType)
    if described.default is MISSING:
        raise TypeError(f"Option '{described.name}' needs a default.")
    about = described.metadata
    choices = about["choices"]
    if choices == "criteria":
        from pruneviz.criteria.registry import registered

        choices = {name: f"{known.title} ({name})" for name, known in registered().items()}
    names = dict(choices) if isinstance(choices, Mapping) else {c: c for c in choices or ()}
    return OptionInfo(
        name=described.name,
        kind=plain.__name__,
        optional=NoneType in kinds,
        default=described.default,
        help=about["help"],
        minimum=about["minimum"],
        maximum=about["maximum"],
        choices=None if choices is None else tuple(names),
        label=about.get("label") or described.name.replace("_", " ").capitalize(),
        unit=about.get("unit", ""),
        choice_names=tuple(names.values()),
    )


def _check(strategy: str, info: OptionInfo, value: object) -> None:
    label = f"Option '{info.name}' of strategy '{strategy}'"
    if value is None and info.optional:
        return
    allowed = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}[info.kind]
    if not isinstance(value, allowed) or (isinstance(value, bool) and info.kind != "bool"):
        nouns = {"int": "a whole number", "float": "a number", "bool": "True or False"}
        raise InvalidValueError(
            f"{label} must be {nouns.get(info.kind, 'a text')}, but got {value!r}."
        )
    if info.choices is not None and value not in info.choices:
        raise UnknownNameError(f"{info.name} of strategy '{strategy}'", value, info.choices)
    low, high = info.minimum, info.maximum
    number: Any = value
    if low is not None and not number >= low:
        raise InvalidValueError(f"{label} must be at least {low}, but got {value}.")
    if high is not None and not number <= high:
        raise InvalidValueError(f"{label} must be at most {high}, but got {value}.")
