"""Ridge regression of what a layer's outputs lack, its strength chosen on rows left out.

With rows X (n, f) of what the layer reads now and R (n, o) of what its outputs lack,

    D = argmin ||X D - R||^2 + s m ||D||^2,    m = tr(X^T X) / f,

so that the weights are pulled towards the present ones, and the less so the more the rows say.
Where constants can be learned, rows are centred first. All solves are in double precision.
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


def ridge(x: Tensor, lack: Tensor, held_out: Tensor, *, centred: bool) -> Update | None:
    """Fit `lack` (groups, n, o) by `x` (groups, n, f); None where leaving all as it is does best.

    Rows marked in `held_out` (n,) choose among `STRENGTHS`, and whether anything is gained at all;
    then all rows are used.
    """
    fit, whole = _fits(x, lack, held_out, centred)
    x_out, lack_out = x[:, held_out], lack[:, held_out]

    def error(update: tuple[Tensor, Tensor]) -> float:
        weights, constant = update
        left = lack_out - torch.baddbmm(constant[:, None].to(x), x_out, weights.to(x))
        return float(left.double().square().mean())

    before = float(lack_out.double().square().mean())
    errors = {-1: error(fit.constant_alone()), START: error(fit.solve(STRENGTHS[START]))}
    for step in (1, -1):  # towards the better neighbour, until it gets worse
        index = START
        while 0 <= index + step < len(STRENGTHS):
            errors[index + step] = error(fit.solve(STRENGTHS[index + step]))
            if errors[index + step] >= errors[index]:
                break
            index += step
        if index != START:
            break
    at = min(errors, key=errors.__getitem__)
    best = errors[at]
    if not best < before:
        return None
    weights, constant = whole().constant_alone() if at < 0 else whole().solve(STRENGTHS[at])
    return Update(weights, constant, 0.0 if at < 0 else STRENGTHS[at], before, best)


def _fits(
    x: Tensor, lack: Tensor, held_out: Tensor, centred: bool
) -> tuple[_Primal | _Dual, Callable[[], _Primal | _Dual]]:
    """The fit of the rows that are not held out, and, on request, the one of all rows."""
    f, n = x.shape[2], int((~held_out).sum())
    if f > n:
        return _Dual(x[:, ~held_out], lack[:, ~held_out], centred), lambda: _Dual(x, lack, centred)
    zero = torch.zeros((), dtype=torch.float64, device=x.device)
    x_origin = x.mean(1, dtype=torch.float64) if centred else zero.expand(len(x), f)
    y_origin = lack.mean(1, dtype=torch.float64) if centred else zero.expand(len(x), lack.shape[2])
    sums = _sums(x[:, ~held_out], lack[:, ~held_out], x_origin, y_origin)

    def whole() -> _Primal:  # the products of the other rows are there already
        return _Primal(sums + _sums(x[:, held_out], lack[:, held_out], x_origin, y_origin), centred)

    return _Primal(sums, centred), whole


@dataclass(frozen=True)
class _Sums:
    """Sums over rows of what they are less an origin, and of its products."""

    rows: int
    x_origin: Tensor
    y_origin: Tensor
    x: Tensor
    """(groups, f)."""
    y: Tensor
    """(groups, o)."""
    xx: Tensor
    """(groups, f, f)."""
    xy: Tensor
    """(groups, f, o)."""

    def __add__(self, other: _Sums) -> _Sums:
        """The sums over the rows of both; their origin is the same."""
        return _Sums(
            self.rows + other.rows,
            self.x_origin,
            self.y_origin,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
        )


def _sums(x: Tensor, lack: Tensor, x_origin: Tensor, y_origin: Tensor) -> _Sums:
    """Sum over the rows of x (groups, n, f) and lack (groups, n, o), block by block."""
    groups, n, f = x.shape
    kind = torch.float64 if f <= EXACT_UP_TO else x.dtype
    xx = x.new_zeros((groups, f, f), dtype=torch.float64)
    xy = x.new_zeros((groups, f, lack.shape[2]), dtype=torch.float64)
    x_sum, y_sum = torch.zeros_like(xx[:, 0]), torch.zeros_like(xy[:, 0])
    for start in range(0, n, BLOCK):
        rows = x[:, start : start + BLOCK].to(kind) - x_origin[:, None].to(kind)
        wanted = lack[:, start : start + BLOCK].to(kind) - y_origin[:, None].to(kind)
        x_sum += rows.sum(1)
        y_sum += wanted.sum(1)
        xx += rows.transpose(1, 2) @ rows
        xy += rows.transpose(1, 2) @ wanted
    return _Sums(n, x_origin, y_origin, x_sum, y_sum, xx, xy)


class _Primal:
    """The normal equations of some rows, solved for one strength after another."""

    def __init__(self, sums: _Sums, centred: bool) -> None:
        self.x_mean, self.lack_mean, self.gram, self.target = (
            sums.x_origin,
            sums.y_origin,
            sums.xx,
            sums.xy,
        )
        if centred:
            self.x_mean = sums.x_origin + sums.x / sums.rows
            self.lack_mean = sums.y_origin + sums.y / sums.rows
            self.gram = sums.xx - sums.x[:, :, None] * (sums.x / sums.rows)[:, None]
            self.target = sums.xy - sums.x[:, :, None] * (sums.y / sums.rows)[:, None]
        self.scale = self.gram.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-30)

    def constant_alone(self) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(self.target), self.lack_mean

    def solve(self, strength: float) -> tuple[Tensor, Tensor]:
        """Weights (groups, f, o) and constant (groups, o)."""
        weights = _solve(self.gram, strength * self.scale, self.target)
        return weights, self.lack_mean - (self.x_mean[:, None] @ weights)[:, 0]


class _Dual:
    """The same where there are more features than rows: equations between rows."""

    def __init__(self, x: Tensor, lack: Tensor, centred: bool) -> None:
        groups, _, f = x.shape
        zero = torch.zeros((), dtype=torch.float64, device=x.device)
        self.x_mean = x.mean(1, dtype=torch.float64) if centred else zero.expand(groups, f)
        mean = lack.mean(1, dtype=torch.float64)
        self.lack_mean = mean if centred else zero.expand(mean.shape)
        self.rows = x.double() - self.x_mean[:, None]
        self.gram = self.rows @ self.rows.transpose(1, 2)
        self.target = lack.double() - self.lack_mean[:, None]
        self.scale = (self.gram.diagonal(dim1=1, dim2=2).sum(1) / f).clamp_min(1e-30)

    def constant_alone(self) -> tuple[Tensor, Tensor]:
        groups, _, f = self.rows.shape
        return self.gram.new_zeros(groups, f, self.target.shape[2]), self.lack_mean

    def solve(self, strength: float) -> tuple[Tensor, Tensor]:
        """Weights (groups, f, o) and constant (groups, o)."""
        solution = _solve(self.gram, strength * self.scale, self.target)
        weights = self.rows.transpose(1, 2) @ solution
        return weights, self.lack_mean - (self.x_mean[:, None] @ weights)[:, 0]


def _solve(gram: Tensor, added: Tensor, target: Tensor) -> Tensor:
    """(G + a I)^-1 T by Cholesky; by least squares where that fails."""
    system = gram.clone()
    system.diagonal(dim1=1, dim2=2).add_(added[:, None])
    factor, info = torch.linalg.cholesky_ex(system)
    if bool(info.any()):
        solution: Tensor = torch.linalg.lstsq(system, target).solution
        return solution
    return torch.cholesky_solve(target, factor)
