"""Ridge regression of what a layer's outputs lack, its strength chosen on rows left out.

With rows X (n, f) of what the layer reads now and R (n, o) of what its outputs lack,

    D = argmin ||X D - R||^2 + s m ||D||^2,    m = tr(X^T X) / f,

so that the weights are pulled towards the present ones, and the less so the more the rows say.
Where constants can be learned, rows are centred first. All solves are in double precision.
"""

from __future__ import annotations

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
    fit = _Fit(x[:, ~held_out], lack[:, ~held_out], centred)
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
    whole = _Fit(x, lack, centred)
    weights, constant = whole.constant_alone() if at < 0 else whole.solve(STRENGTHS[at])
    return Update(weights, constant, 0.0 if at < 0 else STRENGTHS[at], before, best)


class _Fit:
    """The normal equations of some rows, solved for one strength after another."""

    def __init__(self, x: Tensor, lack: Tensor, centred: bool) -> None:
        groups, n, f = x.shape
        self.dual = f > n
        zero = torch.zeros((), dtype=torch.float64, device=x.device)
        self.x_mean = x.mean(1, dtype=torch.float64) if centred else zero.expand(groups, f)
        mean = lack.mean(1, dtype=torch.float64)
        self.lack_mean = mean if centred else zero.expand(mean.shape)
        self.x, self.lack = x, lack
        if self.dual:
            rows = x.double() - self.x_mean[:, None]
            self.rows = rows
            self.gram = rows @ rows.transpose(1, 2)
            self.target = lack.double() - self.lack_mean[:, None]
            self.scale = self.gram.diagonal(dim1=1, dim2=2).sum(1) / f
        else:
            self.gram, self.target = self._products()
            self.scale = self.gram.diagonal(dim1=1, dim2=2).mean(1)
        self.scale = self.scale.clamp_min(1e-30)

    def _products(self) -> tuple[Tensor, Tensor]:
        """X^T X and X^T R of centred rows."""
        groups, n, f = self.x.shape
        exact = f <= EXACT_UP_TO
        gram = self.x.new_zeros((groups, f, f), dtype=torch.float64)
        target = self.x.new_zeros((groups, f, self.lack.shape[2]), dtype=torch.float64)
        for start in range(0, n, BLOCK):
            rows = self.x[:, start : start + BLOCK]
            wanted = self.lack[:, start : start + BLOCK]
            kind = torch.float64 if exact else rows.dtype
            rows = rows.to(kind) - self.x_mean[:, None].to(kind)
            wanted = wanted.to(kind) - self.lack_mean[:, None].to(kind)
            gram += rows.transpose(1, 2) @ rows
            target += rows.transpose(1, 2) @ wanted
        return gram, target

    def constant_alone(self) -> tuple[Tensor, Tensor]:
        groups, _, f = self.x.shape
        return self.gram.new_zeros(groups, f, self.lack.shape[2]), self.lack_mean

    def solve(self, strength: float) -> tuple[Tensor, Tensor]:
        """Weights (groups, f, o) and constant (groups, o)."""
        system = self.gram.clone()
        system.diagonal(dim1=1, dim2=2).add_((strength * self.scale)[:, None])
        factor, info = torch.linalg.cholesky_ex(system)
        if bool(info.any()):
            solution = torch.linalg.lstsq(system, self.target).solution
        else:
            solution = torch.cholesky_solve(self.target, factor)
        weights = self.rows.transpose(1, 2) @ solution if self.dual else solution
        constant = self.lack_mean - (self.x_mean[:, None] @ weights)[:, 0]
        return weights, constant
