"""The solver against a slow reference, and on rows that are hard to solve for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pruneviz.repair.ridge import EXACT_UP_TO, STEP, Lack, Update, ridge


def rows(groups: int, n: int, f: int, o: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(groups, n, f, generator=rng) + 0.5
    true = torch.randn(groups, f, o, generator=rng)
    noise = 0.3 * torch.randn(groups, n, o, generator=rng)
    return x, x @ true + 1.5 + noise


def every_fifth(n: int) -> torch.Tensor:
    held_out = torch.zeros(n, dtype=torch.bool)
    held_out[4::5] = True
    return held_out


def slow(x: np.ndarray, lack: np.ndarray, strength: float, centred: bool) -> np.ndarray:
    """The same minimum by least squares over rows and the pull's own rows, one group at a time."""
    x, lack = x.astype(np.float64), lack.astype(np.float64)
    x_mean, mean = (x.mean(0), lack.mean(0)) if centred else (0.0, 0.0)
    x, lack = x - x_mean, lack - mean
    f = x.shape[1]
    pull = np.sqrt(strength * np.square(x).sum() / f) * np.eye(f)
    padded = np.concatenate([lack, np.zeros((f, lack.shape[1]))])
    return np.linalg.lstsq(np.concatenate([x, pull]), padded, rcond=None)[0]


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(
    ("groups", "n", "f", "o"), [(1, 200, 12, 5), (3, 150, 9, 2), (1, 30, 80, 4)]
)
def test_is_the_least_squares_solution(groups: int, n: int, f: int, o: int, centred: bool) -> None:
    x, lack = rows(groups, n, f, o)
    update = ridge(x, Lack(lack), every_fifth(n), centred=centred)
    assert isinstance(update, Update)
    for g in range(groups):
        want = slow(x[g].numpy(), lack[g].numpy(), update.strength, centred)
        np.testing.assert_allclose(update.weights[g].numpy(), want, atol=1e-6)
        if centred:
            constant = lack[g].double().mean(0) - x[g].double().mean(0) @ update.weights[g]
            torch.testing.assert_close(update.constant[g], constant)
    assert update.after < update.before


def test_blocks_of_rows_give_the_same_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from pruneviz.repair import ridge as module

    x, lack = rows(1, 3000, 20, 3)
    whole = ridge(x, Lack(lack), every_fifth(3000), centred=True)
    monkeypatch.setattr(module, "EXACT_UP_TO", 1)
    blocks = ridge(x, Lack(lack), every_fifth(3000), centred=True)
    assert EXACT_UP_TO > 20
    assert whole is not None
    assert blocks is not None
    torch.testing.assert_close(whole.weights, blocks.weights, atol=1e-5, rtol=1e-5)


def test_dead_and_equal_columns_are_no_trouble() -> None:
    x, lack = rows(1, 300, 10, 3)
    x[..., 4] = 0
    x[..., 5] = x[..., 6]
    update = ridge(x, Lack(lack), every_fifth(300), centred=True)
    assert update is not None
    assert torch.isfinite(update.weights).all()
    assert torch.equal(update.weights[0, 4], torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(update.weights[0, 5], update.weights[0, 6], atol=1e-6, rtol=1e-4)


def test_noise_is_left_alone() -> None:
    rng = torch.Generator().manual_seed(1)
    x, lack = torch.randn(1, 60, 50, generator=rng), torch.randn(1, 60, 2, generator=rng)
    update = ridge(x, Lack(lack), every_fifth(60), centred=False)
    if update is not None:  # a strong pull may still help by chance, a weak one cannot
        assert update.strength >= 0.1
        assert update.after < update.before


def rectified(wanted: torch.Tensor) -> Lack:
    """What will do where a ReLU reads the outputs: anything negative for what is negative."""
    low = torch.where(wanted > 0, wanted, -torch.inf)
    return Lack(wanted, (low, wanted.clamp_min(0)))


@pytest.mark.parametrize(("n", "f"), [(400, 8), (150, 20)])
def test_where_an_interval_will_do_its_distance_is_the_smallest(
    n: int, f: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a slow descent on the whole convex problem."""
    from pruneviz.repair import ridge as module

    x, wanted = rows(2, n, f, 3)
    wanted -= 1.5
    wanted = torch.where(wanted > 0, wanted, 4 * wanted)  # a line up to the ReLU alone
    lack, held_out = rectified(wanted), every_fifth(n)
    plain = ridge(x, Lack(wanted), held_out, centred=False)
    usual = ridge(x, lack, held_out, centred=False)
    monkeypatch.setattr(module, "ROUNDS", 300)
    monkeypatch.setattr(module, "WORTH", 2)
    patient = ridge(x, lack, held_out, centred=False)
    assert plain is not None
    assert usual is not None
    assert patient is not None
    scale = x.double().square().sum((1, 2)) / f

    def cost(weights: torch.Tensor) -> torch.Tensor:
        added = x.double() @ weights
        apart = (lack.nearest(added) - added).square().sum((1, 2))
        return (apart + patient.strength * scale * weights.square().sum((1, 2))).sum()

    slow = patient.weights.clone(memory_format=torch.contiguous_format).requires_grad_()
    descent = torch.optim.LBFGS([slow], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        descent.zero_grad()
        value = cost(slow)
        value.backward()
        return value

    descent.step(closure)
    least, first = float(cost(slow.detach())), float(cost(plain.weights))
    assert float(cost(patient.weights)) - least <= 0.1 * (first - least)
    assert float(cost(usual.weights)) - least <= 0.3 * (first - least)
    assert least < 0.5 * first
    assert 1 < STEP < 2


def test_what_fits_exactly_is_not_asked_again() -> None:
    x, _ = rows(1, 200, 6, 3)
    true = torch.linspace(-1, 1, 18).view(1, 6, 3)
    update = ridge(x, rectified(x @ true), every_fifth(200), centred=True)
    assert update is not None
    torch.testing.assert_close(update.weights.float(), true, atol=1e-5, rtol=1e-5)
