"""Ridge regression of what a layer's outputs lack, its strength chosen on rows left out.

With rows X (n, f) of what the layer reads now and R (n, o) of what its outputs lack,

    D = argmin ||X D - R||^2 + s m ||D||^2,    m = tr(X^T X) / f,

so that the weights are pulled towards the present ones, and the less so the more the rows say.
Where constants can be learned, rows are centred first. All solves are in double precision.

Where an output need not be one value, but may be any of an interval [L, U] (a ReLU makes 0 of all
that is negative), what counts is the distance to the interval:

    D = argmin sum_ij dist(X D, [L, U])_ij^2 + s m ||D||^2

The problem is convex. Regress on R, a point of the interval, see what that gives, regress on points
nearer to the intervals, and so on: X^T X is factored once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

STRENGTHS = (1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
START = STRENGTHS.index(1e-3)
EXACT_UP_TO = 768
"""Features up to which products are formed in double precision; beyond, in blocks of rows."""
BLOCK = 1024
ROUNDS = 8
"""How often the nearest points are looked for anew, at most."""
STEP = 1.8
"""How far to go towards the nearest points, as a multiple of the way; converges below 2."""
WORTH = 0.995
"""A round that leaves more of the distance, on rows left out, is the last."""


@dataclass(frozen=True)
class Lack:
    """What outputs (groups, n, o) lack: `value`, or anything of an interval that holds it."""

    value: Tensor
    interval: tuple[Tensor, Tensor] | None = None
    """The least and the most that will do; None: only the value will."""

    def nearest(self, added: Tensor) -> Tensor:
        """(groups, n, o) what will do, nearest to what is added."""
        return self.value if self.interval is None else added.clamp(*self.interval)

    def left(self, added: Tensor) -> float:
        """The mean squared distance from what is added to what will do."""
        return float((self.nearest(added) - added).double().square().mean())

    def of(self, rows: Tensor) -> Lack:
        """The same for some rows."""
        if self.interval is None:
            return Lack(self.value[:, rows])
        low, high = self.interval
        return Lack(self.value[:, rows], (low[:, rows], high[:, rows]))


@dataclass(frozen=True)
class Update:
    """What to add to a layer's weights and constant, and what that explains on rows left out."""

    weights: Tensor
    """(groups, f, o)."""
    constant: Tensor
    """(groups, o)."""
    strength: float
    before: float
    """Mean squared lack of the outputs before, on rows left out."""
    after: float


def ridge(x: Tensor, lack: Lack, held_out: Tensor, *, centred: bool) -> Update | None:
    """Fit `lack` (groups, n, o) by `x` (groups, n, f); None where leaving all as it is does best.

    Rows marked in `held_out` (n,) choose among `STRENGTHS`, say how often to look for the nearest
    points anew, and whether anything is gained at all; then all rows are used.
    """
    x_in, x_out = x[:, ~held_out], x[:, held_out]
    lack_in, lack_out = lack.of(~held_out), lack.of(held_out)
    fit: _Primal | _Dual
    fit = _Dual(x_in, centred) if x.shape[2] > x_in.shape[1] else _Primal(x_in, centred)
    fit.aim(lack_in.value)

    def error(update: _Solution) -> float:
        return lack_out.left(update.of(x_out))

    before = lack_out.left(torch.zeros_like(lack_out.value))
    solutions = {-1: fit.constant_alone(), START: fit.solve(STRENGTHS[START])}
    errors = {at: error(solution) for at, solution in solutions.items()}
    for step in (1, -1):  # towards the better neighbour, until it gets worse
        index = START
        while 0 <= index + step < len(STRENGTHS):
            solutions[index + step] = fit.solve(STRENGTHS[index + step])
            errors[index + step] = error(solutions[index + step])
            if errors[index + step] >= errors[index]:
                break
            index += step
        if index != START:
            break
    at = min(errors, key=errors.__getitem__)
    best, solution = errors[at], solutions[at]
    if not best < before:
        return None
    for _ in range(0 if lack.interval is None or at < 0 else ROUNDS):
        added = solution.of(x_in)
        fit.aim(added + STEP * (lack_in.nearest(added) - added))
        again = fit.solve(STRENGTHS[at])
        left = error(again)
        if left < best:
            solution = again
        if left > WORTH * best:
            best = min(left, best)
            break
        best = left
    wanted = lack.value if at < 0 else lack.nearest(solution.of(x))
    whole = fit.with_rows(x, x_out)
    del fit, solutions  # the equations of many features are large
    whole.aim(wanted)
    final = whole.constant_alone() if at < 0 else whole.solve(STRENGTHS[at])
    return Update(final.weights, final.constant, 0.0 if at < 0 else STRENGTHS[at], before, best)


@dataclass(frozen=True)
class _Solution:
    """Weights (groups, f, o) and constant (groups, o), in double precision."""

    weights: Tensor
    constant: Tensor

    def of(self, x: Tensor) -> Tensor:
        """What it gives for rows (groups, n, f)."""
        return torch.baddbmm(self.constant[:, None].to(x), x, self.weights.to(x))


@dataclass(frozen=True)
class _Sums:
    """Sums over rows of what they are less an origin, and of its products."""

    rows: int
    origin: Tensor
    x: Tensor
    """(groups, f)."""
    xx: Tensor
    """(groups, f, f)."""

    def __add__(self, other: _Sums) -> _Sums:
        """The sums over the rows of both; their origin is the same."""
        return _Sums(self.rows + other.rows, self.origin, self.x + other.x, self.xx + other.xx)


def _sums(x: Tensor, origin: Tensor) -> _Sums:
    """Sum over the rows of x (groups, n, f), block by block."""
    groups, n, f = x.shape
    xx = x.new_zeros((groups, f, f), dtype=torch.float64)
    x_sum = torch.zeros_like(xx[:, 0])
    for start in range(0, n, BLOCK):
        rows = _block(x, origin, start)
        x_sum += rows.sum(1)
        xx += rows.transpose(1, 2) @ rows
    return _Sums(n, origin, x_sum, xx)


def _block(x: Tensor, origin: Tensor, start: int) -> Tensor:
    """Some rows of x less an origin; in double precision, unless there are many features."""
    kind = torch.float64 if origin.shape[1] <= EXACT_UP_TO else x.dtype
    return x[:, start : start + BLOCK].to(kind) - origin[:, None].to(kind)


class _Primal:
    """The normal equations of some rows, solved for one strength and aim after another."""

    def __init__(self, x: Tensor, centred: bool, sums: _Sums | None = None) -> None:
        self.x, self.centred = x, centred
        if sums is None:
            groups, _, f = x.shape
            zero = torch.zeros((groups, f), dtype=torch.float64, device=x.device)
            sums = _sums(x, x.mean(1, dtype=torch.float64) if centred else zero)
        self.sums = sums
        mean = sums.x / sums.rows if centred else torch.zeros_like(sums.x)
        self.x_mean = sums.origin + mean
        own = sums.xx.diagonal(dim1=1, dim2=2) - sums.x * mean
        self.scale = own.mean(1).clamp_min(1e-30)
        self.factor = _Factor(lambda: sums.xx - sums.x[:, :, None] * mean[:, None])

    def with_rows(self, x: Tensor, others: Tensor) -> _Primal:
        """The equations of all rows `x`, which are these and `others`."""
        return _Primal(x, self.centred, self.sums + _sums(others, self.sums.origin))

    def aim(self, lack: Tensor) -> None:
        """Form the right-hand side for what is to be fitted: (groups, n, o)."""
        mean = lack.mean(1, dtype=torch.float64)
        self.lack_mean = mean if self.centred else torch.zeros_like(mean)
        self.target = torch.zeros(
            (*self.x_mean.shape, lack.shape[2]), dtype=torch.float64, device=lack.device
        )
        for start in range(0, lack.shape[1], BLOCK):
            rows = _block(self.x, self.x_mean, start)
            wanted = lack[:, start : start + BLOCK].to(rows) - self.lack_mean[:, None].to(rows)
            self.target += rows.transpose(1, 2) @ wanted

    def constant_alone(self) -> _Solution:
        return _Solution(torch.zeros_like(self.target), self.lack_mean)

    def solve(self, strength: float) -> _Solution:
        weights = self.factor.solve(strength * self.scale, self.target)
        return _Solution(weights, self.lack_mean - (self.x_mean[:, None] @ weights)[:, 0])


class _Dual:
    """The same where there are more features than rows: equations between rows."""

    def __init__(self, x: Tensor, centred: bool) -> None:
        groups, _, f = x.shape
        zero = torch.zeros((groups, f), dtype=torch.float64, device=x.device)
        self.centred = centred
        self.x_mean = x.mean(1, dtype=torch.float64) if centred else zero
        self.rows = x.double() - self.x_mean[:, None]
        self.gram = self.rows @ self.rows.transpose(1, 2)
        self.scale = (self.gram.diagonal(dim1=1, dim2=2).sum(1) / f).clamp_min(1e-30)
        self.factor = _Factor(self.gram.clone)

    def with_rows(self, x: Tensor, others: Tensor) -> _Dual:
        """The equations of all rows `x`."""
        return _Dual(x, self.centred)

    def aim(self, lack: Tensor) -> None:
        """Note what is to be fitted: (groups, n, o)."""
        mean = lack.mean(1, dtype=torch.float64)
        self.lack_mean = mean if self.centred else torch.zeros_like(mean)
        self.target = lack.double() - self.lack_mean[:, None]

    def constant_alone(self) -> _Solution:
        groups, _, f = self.rows.shape
        return _Solution(self.gram.new_zeros(groups, f, self.target.shape[2]), self.lack_mean)

    def solve(self, strength: float) -> _Solution:
        solution = self.factor.solve(strength * self.scale, self.target)
        weights = self.rows.transpose(1, 2) @ solution
        return _Solution(weights, self.lack_mean - (self.x_mean[:, None] @ weights)[:, 0])


class _Factor:
    """(G + a I)^-1 T by Cholesky, factored once for each a; by least squares where that fails."""

    def __init__(self, gram: Callable[[], Tensor]) -> None:
        self.gram = gram
        self.added: Tensor | None = None

    def solve(self, added: Tensor, target: Tensor) -> Tensor:
        if self.added is None or not torch.equal(self.added, added):
            self.added = added
            self.factor, info = torch.linalg.cholesky_ex(self._system(added))
            self.whole = not bool(info.any())
        if self.whole:
            return torch.cholesky_solve(target, self.factor)
        solution: Tensor = torch.linalg.lstsq(self._system(added), target).solution
        return solution

    def _system(self, added: Tensor) -> Tensor:
        system = self.gram()
        system.diagonal(dim1=1, dim2=2).add_(added[:, None])
        return system
