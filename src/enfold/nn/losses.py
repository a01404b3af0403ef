"""The losses that heads compute when they are given labels; a label of -100 is skipped everywhere."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from enfold.errors import EnfoldError, nearest

__all__ = ["causal_lm_loss", "classification_loss", "ctc_loss", "pixel_loss", "span_loss", "token_loss"]

PROBLEMS = ("regression", "single_label_classification", "multi_label_classification")


def token_loss(logits: Tensor, labels: Tensor, items: Tensor | int | None = None) -> Tensor:
    """Return the cross entropy of one label a position.

    Args:
        logits: (…, C).
        labels: (…), classes, or -100 where there is nothing to learn.
        items: divide the sum by this number instead of by the count of labels (what gradient accumulation needs).
    """
    flat, wanted = logits.float().reshape(-1, logits.shape[-1]), labels.reshape(-1).to(logits.device)
    if items is None:
        return F.cross_entropy(flat, wanted)
    total = F.cross_entropy(flat, wanted, reduction="sum")
    return total / (items.to(total.device) if isinstance(items, Tensor) else items)


def causal_lm_loss(
    logits: Tensor, labels: Tensor, items: Tensor | int | None = None, *, shift_labels: Tensor | None = None
) -> Tensor:
    """Return the cross entropy of each next token.

    Args:
        logits: (B, T, V).
        labels: (B, T), the input ids themselves, or -100 where there is nothing to learn.
        items: see ``token_loss``.
        shift_labels: (B, T), labels that are already moved by one; ``labels`` is then not read.
    """
    if shift_labels is None:
        shift_labels = F.pad(labels, (0, 1), value=-100)[..., 1:]
    return token_loss(logits, shift_labels, items)


def classification_loss(logits: Tensor, labels: Tensor, problem: str | None) -> tuple[Tensor, str]:
    """Return the loss of one prediction a row, and the kind of problem.

    Args:
        logits: (B, C).
        labels: (B,) classes, (B,) or (B, C) numbers for a regression, or (B, C) zeros and ones for many labels.
        problem: ``"regression"``, ``"single_label_classification"``, ``"multi_label_classification"``, or None, which
            chooses by C and the labels' type.
    """
    classes = logits.shape[-1]
    if problem is None:
        whole = labels.dtype in (torch.long, torch.int)
        problem = PROBLEMS[0] if classes == 1 else PROBLEMS[1] if whole else PROBLEMS[2]
    labels = labels.to(logits.device)
    if problem == "regression":
        pair = (logits.squeeze(), labels.squeeze()) if classes == 1 else (logits, labels)
        return F.mse_loss(pair[0], pair[1].to(pair[0].dtype)), problem
    if problem == "single_label_classification":
        return F.cross_entropy(logits.view(-1, classes), labels.view(-1)), problem
    if problem == "multi_label_classification":
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype)), problem
    raise EnfoldError(f"unknown problem_type {problem!r}{nearest(problem, PROBLEMS)}; expected one of {PROBLEMS}")


def pixel_loss(logits: Tensor, labels: Tensor, ignored: int = 255) -> Tensor:
    """Return the cross entropy of one class a pixel.

    Args:
        logits: (B, C, h, w), stretched to the labels' size; with C = 1, whether the one class is there.
        labels: (B, H, W), classes, or ``ignored`` where there is nothing to learn.
        ignored: see there.
    """
    full = F.interpolate(logits, size=labels.shape[-2:], mode="bilinear", align_corners=False)
    if logits.shape[1] > 1:
        return F.cross_entropy(full, labels, ignore_index=ignored)
    real = ((labels >= 0) & (labels != ignored)).float()
    return (F.binary_cross_entropy_with_logits(full.squeeze(1), labels.float(), reduction="none") * real).mean()


def span_loss(start_logits: Tensor, end_logits: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Return the mean of the cross entropies of where an answer starts and ends.

    Args:
        start_logits, end_logits: (B, T).
        start, end: (B,) or (B, 1); a position outside the text is skipped.
    """
    length = start_logits.shape[1]
    start, end = (x.to(start_logits.device).reshape(-1).clamp(0, length) for x in (start, end))
    return (
        F.cross_entropy(start_logits, start, ignore_index=length)
        + F.cross_entropy(end_logits, end, ignore_index=length)
    ) / 2


def ctc_loss(
    logits: Tensor, labels: Tensor, lengths: Tensor, *, blank: int, reduction: str = "sum", zero_infinity: bool = False
) -> Tensor:
    """Return the loss of spelling a recording (Graves et al., 2006, "Connectionist Temporal Classification").

    Args:
        logits: (B, T, letters).
        labels: (B, L), letters, below zero where there is none.
        lengths: (B,), how many frames of each row are real.
        blank: the letter that stands for none.
        reduction: ``"sum"`` or ``"mean"``.
        zero_infinity: count labels that are too long for their frames as nothing.
    """
    real = labels >= 0
    scores = logits.float().log_softmax(-1).transpose(0, 1)  # (T, B, letters)
    with torch.backends.cudnn.flags(enabled=False):
        return F.ctc_loss(
            scores, labels[real], lengths, real.sum(-1), blank=blank, reduction=reduction, zero_infinity=zero_infinity
        )
