"""Log-probabilities of chosen tokens, without the table of all tokens' probabilities.

Every loss of alignment reads how likely a model finds certain tokens. Here only the states whose next token counts are
multiplied with the output layer — no prompt, no padding — a few rows at a time; what is kept for the gradient is the
probabilities of those rows, and above :data:`KEPT` numbers not even these: they are computed again.

Shapes: B rows, T tokens, N of them that count, D width, V words.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.transformers.trainer.losses import bare_model

__all__ = ["Scores", "chosen_log_probs", "counted_logits", "score", "unflattened"]

PIECE = 1 << 24  # numbers of logits that are computed at once
STRIP = 1 << 19  # of these, numbers that are worked on while they are in the cache
KEPT = 1 << 27  # numbers of probabilities that a forward keeps for its backward
# Settings of models that change logits after the output layer.
AFTER_HEAD = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")


class Scores(NamedTuple):
    """What a model says about each next token, (B, T - 1); zero where no label counts."""

    log_probs: Tensor
    mask: Tensor  # True where a label counts
    entropy: Tensor
    top1: Tensor  # True where the label is the most likely token
    mean_logits: Tensor
    log_squares: Tensor  # logarithm of the sum of squared probabilities

    def per_row(self) -> Tensor:
        """Return the log-probability of each row, (B,)."""
        return self.log_probs.sum(1)

    def lengths(self) -> Tensor:
        """Return how many labels count in each row, (B,)."""
        return self.mask.sum(1)

    def mean(self, values: Tensor, default: float = 0.0) -> float:
        """Return the mean of values (B, T - 1) over the labels that count."""
        count = int(self.mask.sum())
        return float((values.detach().float() * self.mask).sum() / count) if count else default


class _Chosen(torch.autograd.Function):
    """States (N, D), output layer and labels (N,) → log-probabilities, entropies and three statistics, each (N,)."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        temperature: float,
        kind: torch.dtype,
        learns: bool,
    ) -> tuple[Tensor, ...]:
        rows, words = len(states), weight.shape[0]
        inside, table = states.to(kind), weight.to(kind)
        found = states.new_zeros((5, rows), dtype=torch.float32)
        keeps = learns and rows * words <= KEPT
        kept: list[Tensor] = []
        step = max(PIECE // words, 1)
        for start in range(0, rows, step):
            logits = _logits(inside[start : start + step], table, bias, temperature)
            _read(logits, labels[start : start + step], found[:, start : start + step])
            if keeps:
                kept.append(logits)  # turned into probabilities by now
        ctx.save_for_backward(inside, table, bias, labels, found, *kept)
        ctx.temperature, ctx.shape = temperature, (weight.requires_grad, bias is not None and bias.requires_grad)
        ctx.kinds = states.dtype, weight.dtype
        ctx.mark_non_differentiable(*found[2:].unbind())
        return tuple(found.unbind())

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        inside, table, bias, labels, found, *kept = ctx.saved_tensors
        by_chosen, by_entropy = grads[0], grads[1]
        learns_weight, learns_bias = ctx.shape
        into_states = torch.empty_like(inside)
        into_weight = torch.zeros_like(table, dtype=torch.float32) if learns_weight else None
        into_bias = torch.zeros_like(table[:, 0], dtype=torch.float32) if learns_bias else None
        step, scratch = max(PIECE // len(table), 1), found.clone()
        some_entropy = by_entropy is not None and bool(by_entropy.any())
        for number, start in enumerate(range(0, len(inside), step)):
            piece = slice(start, start + step)
            if kept:
                p = kept[number]
            else:
                p = _logits(inside[piece], table, bias, ctx.temperature)
                _read(p, labels[piece], scratch[:, piece])
            # d log p(y) = (1[y] - p) dz;  d H = -p (log p + H) dz
            slope = -by_chosen[piece, None] if by_chosen is not None else inside.new_zeros(1, 1)
            if some_entropy:
                surprise = p.clamp_min(torch.finfo(p.dtype).tiny).log() + found[1, piece, None]
                p = p * (slope - by_entropy[piece, None] * surprise)
            else:
                p = p * slope
            if by_chosen is not None:
                p.scatter_add_(1, labels[piece, None], by_chosen[piece, None].to(p.dtype))
            if ctx.temperature != 1.0:
                p /= ctx.temperature
            given = p.to(table.dtype)
            torch.mm(given, table, out=into_states[piece])
            if into_weight is not None:
                into_weight += given.t() @ inside[piece]
            if into_bias is not None:
                into_bias += p.sum(0)
        return (
            into_states.to(ctx.kinds[0]),
            None if into_weight is None else into_weight.to(ctx.kinds[1]),
            into_bias,
            None, None, None, None,
        )  # fmt: skip


def _logits(states: Tensor, table: Tensor, bias: Tensor | None, temperature: float) -> Tensor:
    logits = F.linear(states, table, None if bias is None else bias.to(table.dtype)).float()
    return logits if temperature == 1.0 else logits.div_(temperature)


def _read(logits: Tensor, labels: Tensor, found: Tensor) -> None:
    """Write the five statistics of logits (n, V) into ``found`` (5, n), and probabilities in the logits' place."""
    step = max(STRIP // logits.shape[1], 1)
    for start in range(0, len(logits), step):
        z, out = logits[start : start + step], found[:, start : start + step]
        most = z.amax(1)
        picked = z.gather(1, labels[start : start + step, None]).squeeze(1)
        mean = z.mean(1)
        p = (z - most[:, None]).exp_()
        total = p.sum(1)
        whole = most + total.log()
        p /= total[:, None]
        out[0] = picked - whole
        out[1] = whole - torch.linalg.vecdot(p, z)
        out[2] = picked == most
        out[3] = mean
        out[4] = torch.linalg.vecdot(p, p).log()
        z.copy_(p)


def chosen_log_probs(
    states: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, temperature: float = 1.0
) -> tuple[Tensor, ...]:
    """Return how likely an output layer finds each label, and what else is seen on the way.

    Args:
        states: (N, D), what the output layer reads.
        weight: (V, D) of the output layer.
        bias: (V,) of it, or None.
        labels: (N,).
        temperature: what logits are divided by.

    Returns:
        Five tensors (N,), in float32: log-probability and entropy, both with gradients; whether the label is the most
        likely; the mean logit; the logarithm of the sum of squared probabilities.

    Example:
        >>> chosen_log_probs(torch.zeros(1, 2), torch.zeros(4, 2), None, torch.tensor([3]))[0].exp()
        tensor([0.2500])
    """
    where = states.device.type
    kind = torch.get_autocast_dtype(where) if torch.is_autocast_enabled(where) else weight.dtype
    parts = [states, weight] if bias is None else [states, weight, bias]
    learns = torch.is_grad_enabled() and any(part.requires_grad for part in parts)
    with torch.autocast(where, enabled=False):
        return _Chosen.apply(states, weight, bias, labels, temperature, kind, learns)  # type: ignore[no-any-return]


@contextlib.contextmanager
def _stopped_at(head: nn.Module, counted: Tensor, alone: bool) -> Iterator[None]:
    """Let an output layer work on the states that count: return them as they are, or their logits if not ``alone``."""
    plain = head.forward

    def forward(states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        # Learned prompts stand before the text: its positions are counted from the end.
        some = states[:, -counted.shape[1] :][counted.to(states.device)][None]
        return some if alone else plain(some, *args, **kwargs)

    head.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        del head.forward


def score(
    model: nn.Module,
    input_ids: Tensor,
    labels: Tensor,
    attention_mask: Tensor | None = None,
    temperature: float = 1.0,
    **inputs: Any,
) -> Scores:
    """Return what a language model says about the labels that count.

    Args:
        model: returns logits; with adapters around it or not.
        input_ids: (B, T).
        labels: (B, T), the token itself where it counts and -100 elsewhere; the first of a row never counts.
        attention_mask: (B, T), 1 for a token.
        temperature: what logits are divided by.
        inputs: further inputs of the model.
    """
    inner = bare_model(model)
    wanted = F.pad(labels, (0, 1), value=-100)[:, 1:]
    counted = wanted != -100
    head: Any = inner.get_output_embeddings()  # type: ignore[operator]
    config: Any = getattr(inner, "config", None)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    alone = type(head) is nn.Linear and not any(getattr(text, name, None) for name in AFTER_HEAD)
    with _stopped_at(head, counted, alone):
        out = model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, **inputs)
    made = (out["logits"] if isinstance(out, dict) else out[0])[0]
    chosen = wanted[counted].to(made.device)
    if alone:
        found = chosen_log_probs(made, head.weight, head.bias, chosen, temperature)
    else:  # adapters on the output layer, or something that changes logits after it
        eye = made / temperature if temperature != 1.0 else made
        found = _of_logits(eye.float(), chosen)
    places = counted[:, :-1]
    spread = [torch.zeros(places.shape, device=made.device).masked_scatter(places, values) for values in found]
    return Scores(spread[0], places, spread[1], spread[2].bool(), spread[3], spread[4])


def counted_logits(
    model: nn.Module, input_ids: Tensor, labels: Tensor, attention_mask: Tensor | None = None, **inputs: Any
) -> Tensor:
    """Return a language model's logits where a next token counts, (N, V); arguments as of :func:`score`."""
    counted = F.pad(labels, (0, 1), value=-100)[:, 1:] != -100
    head: Any = bare_model(model).get_output_embeddings()  # type: ignore[operator]
    with _stopped_at(head, counted, False):
        out = model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, **inputs)
    return (out["logits"] if isinstance(out, dict) else out[0])[0]  # type: ignore[no-any-return]


def _of_logits(logits: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    logs = logits.log_softmax(-1)
    picked = logs.gather(-1, labels[:, None]).squeeze(-1)
    p = logs.exp()
    with torch.no_grad():
        top1, mean, squares = picked == logs.amax(-1), logits.mean(-1), p.square().sum(-1).log()
    return picked, -(p * logs).sum(-1), top1.float(), mean, squares


def unflattened(inputs: dict[str, Any], pad: int = 0) -> dict[str, Any]:
    """Return rows that stand one after another in a single one as rows of their own, padded, with a mask.

    Args:
        inputs: ``input_ids`` and ``labels`` (1, N), ``position_ids`` (1, N), which begin anew with every row; a batch
            without them is returned as it is.
        pad: token in the gaps.

    Example:
        >>> flat = {"input_ids": torch.tensor([[5, 6, 7]]), "position_ids": torch.tensor([[0, 1, 0]])}
        >>> unflattened(flat)["input_ids"].tolist()
        [[5, 6], [7, 0]]
    """
    positions = inputs.get("position_ids")
    if positions is None or positions.shape[0] != 1 or inputs.get("attention_mask") is not None:
        return inputs
    starts = (positions[0] == 0).nonzero().flatten()
    lengths = torch.diff(starts, append=torch.tensor([positions.shape[1]], device=starts.device))
    real = torch.arange(int(lengths.max()), device=starts.device) < lengths[:, None]
    made: dict[str, Any] = {"attention_mask": real.long()}
    for name, fill in (("input_ids", pad), ("labels", -100)):
        if name in inputs:
            made[name] = torch.full(real.shape, fill, dtype=torch.long, device=real.device)
            made[name][real] = inputs[name][0]
    return made
