"""The training loss: cross-entropy, and the distance to a teacher's outputs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

from pruneviz.training.settings import Settings

AUX_WEIGHTS = {1: 0.4, 2: 0.3}  # Inception v3 has one auxiliary classifier, GoogLeNet two


def total_loss(
    outputs: Sequence[Tensor], labels: Tensor, taught: Tensor | None, settings: Settings
) -> Tensor:
    """The loss of all classifiers' logits, each (B, K): the first counts 1, auxiliary ones less.

    With `taught`, the teacher's logits (B, K), they learn those as well as, or in place of, the
    labels (B,).
    """
    loss = _loss(outputs[0], labels, taught, settings)
    for auxiliary in outputs[1:]:
        weight = AUX_WEIGHTS.get(len(outputs) - 1, 0.3)
        loss = loss + weight * _loss(auxiliary, labels, taught, settings)
    return loss


def _loss(logits: Tensor, labels: Tensor, taught: Tensor | None, settings: Settings) -> Tensor:
    logits = logits.float()
    share = settings.teacher_weight
    if taught is not None and share == 1:
        return softened_distance(logits, taught, settings.temperature)
    plain = cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)
    if taught is None:
        return plain
    soft = softened_distance(logits, taught, settings.temperature)
    return (1 - share) * plain + share * soft


def softened_distance(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(taught / T) || softmax(logits / T)), mean over a batch of logits (B, K).

    T^2 keeps gradients as large as those of the cross-entropy, whatever the temperature.
    Hinton, Vinyals & Dean (2015), *Distilling the Knowledge in a Neural Network*, arXiv:1503.02531.
    """
    ours = (logits / temperature).log_softmax(1)
    theirs = (taught / temperature).log_softmax(1)
    return temperature**2 * kl_div(ours, theirs, reduction="batchmean", log_target=True)
