"""One mini-batch's forward pass, kept so that it can be run again in parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pruneviz.replay.fast import Kept, weights_of
from pruneviz.replay.program import (
    INPUT,
    NotReplayableError,
    Program,
    Step,
    bind,
    boundary,
    dirty,
    execute,
    references,
    schedule,
)
from pruneviz.replay.record import record

Changed = Mapping[str, Tensor]


@dataclass(eq=False)
class Recipe:
    """A program made ready for replays in which only the parameters `changing` change.

    Shared by the tapes of all mini-batches of one shape, and by threads: it only caches.
    """

    program: Program
    changing: frozenset[str]
    keep: frozenset[int] = frozenset()
    env: dict[str, Tensor] = field(default_factory=dict)
    used: frozenset[str] = frozenset()
    skippable: frozenset[str] = frozenset()
    seen_as: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Parameter -> the names under which operations use it, where its zero columns stay zero."""
    _full: dict[bool, tuple[Step, ...]] = field(default_factory=dict)
    _parts: dict[tuple[frozenset[str], bool], tuple[Step, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        program = self.program
        self.keep = boundary(program, self.changing)
        self.used, self.skippable = weights_of(program)
        derived = program.derived.items()
        for name in self.changing:
            scaled = [key for key, d in derived if d.scaled == name]
            self.seen_as[name] = tuple(k for k in (name, *scaled) if k in self.used)
        self.env = {**program.state, **derive(program, program.state, program.derived)}

    def kept(self, keep: bool) -> frozenset[int]:
        """Return the values that stay: all that a replay may read, or the output alone."""
        return self.keep if keep else frozenset(references(self.program.output))

    def full(self, keep: bool) -> tuple[Step, ...]:
        """Return all of the program."""
        if keep not in self._full:
            every = range(len(self.program.ops))
            self._full[keep] = schedule(self.program, every, self.kept(keep))
        return self._full[keep]

    def originals(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Return the recorded tensors under which operations use some parameters."""
        own = {self.program.aliases[n] for n in names}
        derived = [k for k, d in self.program.derived.items() if not own.isdisjoint(d.sources)]
        return {k: self.env[k] for k in (*own, *derived)}

    def steps(self, names: frozenset[str], keep: bool) -> tuple[Step, ...]:
        """Return what to do again when the parameters `names` change."""
        key = (names, keep)
        if key not in self._parts:
            self._parts[key] = schedule(self.program, dirty(self.program, names), self.kept(keep))
        return self._parts[key]

    def prepare(
        self, changed: Changed, env: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Return every tensor that differs from `env`, under the names that operations use."""
        env = self.env if env is None else env
        program = self.program
        unknown = sorted(set(changed) - set(program.aliases))
        if unknown:
            raise KeyError(f"the model has no parameter or buffer '{unknown[0]}'")
        own = {program.aliases[name]: tensor for name, tensor in changed.items()}
        outside = sorted(set(own) - self.changing)
        if outside:
            raise KeyError(f"'{outside[0]}' is not among the parameters this tape may change")
        affected = {
            k: d for k, d in program.derived.items() if not own.keys().isdisjoint(d.sources)
        }
        return {**own, **derive(program, {**env, **own}, affected)}


def derive(program: Program, env: Mapping[str, Tensor], wanted: Iterable[str]) -> dict[str, Tensor]:
    """Compute derived tensors (folded norms) from parameters."""
    return {
        key: program.derived[key].compute(*(env[s] for s in program.derived[key].sources))
        for key in wanted
    }


class Tape:
    """A recorded forward pass over one mini-batch.

    `run(changed)` returns what the model would return with the parameters in `changed` replaced:
    it computes the operations that depend on them and takes everything else as recorded.
    """

    def __init__(
        self,
        recipe: Recipe,
        images: Tensor,
        tensors: Mapping[str, Tensor | Kept] | None = None,
        *,
        keep: bool = True,
    ) -> None:
        """Run the recipe on images (N, C, H, W), on request with prepared tensors in place.

        Without `keep` only the output stays, and nothing can be replayed.
        """
        self.recipe = recipe
        self.env: dict[str, Any] = {**recipe.env, **(tensors or {})}
        self.values: dict[int, Tensor] = {INPUT: images}
        with torch.no_grad():
            execute(recipe.full(keep), self.values, self.env)
        if INPUT not in recipe.kept(keep):
            self.values.pop(INPUT, None)

    @classmethod
    def record(
        cls, model: nn.Module, images: Tensor, *, changing: Iterable[str] | None = None
    ) -> Tape:
        """Record `model` (in eval mode) on `images` (N, C, H, W).

        `changing` names the parameters and buffers that replays may replace (None: any); what no
        such replay reads is not kept. Raises `NotReplayableError` when the pass cannot be
        repeated faithfully.
        """
        return cls(recipe_of(record(model, images), changing), images)

    @property
    def output(self) -> Any:
        """What the recorded pass returned."""
        return bind(self.recipe.program.output, self.values, self.env)

    @property
    def nbytes(self) -> int:
        """Bytes of the activations that are kept."""
        storages = [value.untyped_storage() for value in self.values.values()]
        return sum({s._cdata: s.nbytes() for s in storages}.values())

    def run(self, changed: Changed, *, keep: bool = False) -> Any:
        """Return the output (as the model returns it: logits (N, classes)) with `changed` in place.

        `changed` maps names of parameters or buffers to tensors. With `keep`, the changed pass
        becomes the recorded one, from which later replays start.
        """
        recipe = self.recipe
        prepared = recipe.prepare(changed, self.env)
        return self.replay(prepared, recipe.steps(frozenset(changed), keep), keep)

    def replay(
        self, tensors: Mapping[str, Tensor | Kept], steps: Iterable[Step], keep: bool = False
    ) -> Any:
        """Run `steps` with prepared `tensors` (see `Recipe`) in place of the recorded ones."""
        env: dict[str, Any] = {**self.env, **tensors}
        with torch.no_grad():
            values = execute(steps, dict(self.values), env)
        output = bind(self.recipe.program.output, values, env)
        if keep:
            self.values = {v: t for v, t in values.items() if v in self.recipe.keep}
            self.env = env
        return output


def recipe_of(program: Program, changing: Iterable[str] | None = None) -> Recipe:
    """Make a program ready for replays that change `changing` (None: any parameter or buffer)."""
    names = program.aliases if changing is None else changing
    unknown = sorted(set(names) - set(program.aliases))
    if unknown:
        raise KeyError(f"the model has no parameter or buffer '{unknown[0]}'")
    return Recipe(program, frozenset(program.aliases[n] for n in names))


__all__ = ["Changed", "NotReplayableError", "Recipe", "Tape", "recipe_of"]
