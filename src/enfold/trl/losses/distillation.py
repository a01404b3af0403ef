"""Losses of a student that learns from a teacher's distributions.

Shapes: N tokens, V words.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["generalized_jsd"]


def generalized_jsd(student: Tensor, teacher: Tensor, beta: float = 0.5, temperature: float = 1.0) -> Tensor:
    """Return the generalized Jensen-Shannon divergence of each token, (N,).

    Args:
        student, teacher: (N, V), logits.
        beta: 0 is the KL divergence from student to teacher, 1 that from teacher to student; between them, to the
            mixture with this share of the teacher.
        temperature: what both are divided by.

    Source: https://arxiv.org/abs/2306.13649, equation 1
    """
    p, q = (logits.float().div(temperature).log_softmax(-1) for logits in (student, teacher))
    if beta == 0:
        return F.kl_div(p, q, reduction="none", log_target=True).sum(-1)
    if beta == 1:
        return F.kl_div(q, p, reduction="none", log_target=True).sum(-1)
    mixture = torch.logaddexp(p + math.log1p(-beta), q + math.log(beta))
    of_teacher = F.kl_div(mixture, q, reduction="none", log_target=True).sum(-1)
    return beta * of_teacher + (1 - beta) * F.kl_div(mixture, p, reduction="none", log_target=True).sum(-1)
