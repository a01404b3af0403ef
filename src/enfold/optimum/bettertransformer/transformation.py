"""Batches without padding: rows of like length run together, cut to their longest, and come back in their places.

The layers of enfold's models already run on what is fastest here (``enfold.nn.linear``, attention of one kernel); what
a call of an encoder still pays for is padding, and a mask for it. So a transformed model sorts the rows of a batch by
their lengths and cuts them where this costs least.

Shapes: B rows, T tokens.
"""

from __future__ import annotations

import copy
import functools
import inspect
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.outputs import ModelOutput

__all__ = ["BetterTransformer", "BetterTransformerError", "groups"]

# A product of n rows takes as long as one of n + START rows at full speed: measured between 16 and 1024 rows.
START = 24
# Tokens of one run, up to which what lies between layers is memory used before; pipelines cut their batches here too.
BUDGET = 2048
# Outputs with one number a token.
BY_TOKEN = ("start_logits", "end_logits")
KEPT = "_better_transformer"


class BetterTransformerError(EnfoldError, ValueError):
    """The model cannot be transformed, or was not."""


class BetterTransformer:
    """Makes models fast for inference, and as they were again.

    Example:
        >>> from enfold.transformers import BertConfig, BertModel
        >>> config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        ...                     intermediate_size=8)
        >>> plain = BertModel(config).eval()
        >>> fast = BetterTransformer.transform(plain, keep_original_model=True)
        >>> ids, mask = torch.tensor([[5, 6, 7], [8, 0, 0]]), torch.tensor([[1, 1, 1], [1, 0, 0]])
        >>> same = plain(ids, mask).last_hidden_state - fast(ids, mask).last_hidden_state
        >>> bool(same[mask.bool()].abs().max() < 1e-5)
        True
    """

    @staticmethod
    def transform(
        model: Any, keep_original_model: bool = False, max_memory: Any = None, offload_dir: Any = None, **kwargs: Any
    ) -> Any:
        """Return a model that computes the same without padding.

        In evaluation mode, rows of a batch whose ``attention_mask`` says how far they go are grouped by length; the
        states and scores of padding are zeros then. Calls that ask for attentions, hidden states or a loss, masks of
        other kinds, and training run as before. Models that generate get torch's own attention; their batches are
        ``generate``'s matter.

        Args:
            model: changed in place, unless it is kept.
            keep_original_model: return a second model with the same weights, and leave this one as it is.
            max_memory, offload_dir: accepted; nothing is moved.

        Raises:
            BetterTransformerError: it is transformed already, or is no model.
        """
        if not isinstance(model, nn.Module) or not hasattr(model, "config"):
            raise BetterTransformerError(f"BetterTransformer.transform takes a model, not {type(model).__name__}")
        if KEPT in vars(model):
            raise BetterTransformerError("the model is transformed already; BetterTransformer.reverse undoes it")
        made: Any = copy.copy(model) if keep_original_model else model
        if keep_original_model:
            made._modules, made._parameters = dict(model._modules), dict(model._parameters)
            made.config = copy.deepcopy(model.config)
        attention = getattr(model.config, "_attn_implementation", None)
        vars(made)[KEPT] = attention
        if attention == "eager" and not keep_original_model:  # parts are shared with a model that is kept
            made.set_attn_implementation("sdpa")
        if not made.can_generate():
            vars(made)["forward"] = _grouping(made)
        return made

    @staticmethod
    def reverse(bt_model: Any) -> Any:
        """Make a transformed model what it was, and return it.

        Raises:
            BetterTransformerError: it is not transformed.
        """
        if KEPT not in vars(bt_model):
            raise BetterTransformerError("the model is not transformed; BetterTransformer.transform does it")
        attention = vars(bt_model).pop(KEPT)
        vars(bt_model).pop("forward", None)
        if attention == "eager" and bt_model.config._attn_implementation != "eager":
            bt_model.set_attn_implementation("eager")
        return bt_model


def groups(lengths: list[int], start: int = START, budget: int = BUDGET) -> list[list[int]]:
    """Return the rows of a batch in groups that take the least time, longest first.

    Args:
        lengths: tokens of each row.
        start: what a group costs beside its tokens, padding included, in tokens.
        budget: tokens of a group, at most; a longer row has one of its own.

    Example:
        >>> groups([100, 3, 90, 2, 100])
        [[0, 4, 2], [1, 3]]
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    # best[n]: the least cost of the n longest rows, and where their last group begins
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(order) + 1):
        options = []
        for begin in range(end - 1, -1, -1):
            tokens = (end - begin) * lengths[order[begin]]
            if tokens > budget and end - begin > 1:
                break
            options.append((best[begin][0] + tokens + start, begin))
        best.append(min(options))
    cuts = [len(order)]
    while cuts[-1]:
        cuts.append(best[cuts[-1]][1])
    return [order[begin:end] for end, begin in zip(cuts[-2::-1], cuts[:0:-1], strict=True)]


def _grouping(model: Any) -> Any:
    """Return a ``forward`` that runs the model on groups of rows."""
    plain = type(model).forward
    signature = inspect.signature(plain)

    @functools.wraps(plain)
    def forward(*args: Any, **kwargs: Any) -> Any:
        given = _named(signature, model, args, kwargs)
        plan = None if given is None or not _applies(model, given) else _plan(given)
        if given is None or plan is None:
            return plain(model, *args, **kwargs)
        asked = given.pop("return_dict", None)
        outputs = []
        for rows, length in plan:
            part = {name: _cut(value, rows, length, given["attention_mask"].shape) for name, value in given.items()}
            if bool(part["attention_mask"].all()):
                part["attention_mask"] = None  # no padding, no mask
            outputs.append(plain(model, **part, return_dict=True))
        merged = _merged(outputs, plan, given["attention_mask"])
        wants = asked if asked is not None else getattr(model.config, "use_return_dict", True)
        return merged if wants else merged.to_tuple()

    return forward


def _named(
    signature: inspect.Signature, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any] | None:
    """Return what was given by name, or None where positions have no names."""
    bound = signature.bind_partial(model, *args, **kwargs)
    given: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            given |= value
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            if value:
                known = list(inspect.signature(model.base_model.forward).parameters)
                if model.base_model is model:
                    return None
                given |= dict(zip([one for one in known if one not in given], value, strict=False))
        else:
            given[name] = value
    return {name: value for name, value in given.items() if value is not None}


def _applies(model: Any, given: dict[str, Any]) -> bool:
    """Return whether a call is one that can be cut into groups."""
    mask = given.get("attention_mask")
    config = model.config
    return not (
        model.training
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or not isinstance(mask, Tensor)
        or mask.dim() != 2
        or mask.shape[0] < 2
        or "labels" in given
        or given.get("output_attentions", getattr(config, "output_attentions", False))
        or given.get("output_hidden_states", getattr(config, "output_hidden_states", False))
        or any(
            not isinstance(value, Tensor) or value.dim() < 2 or value.shape[:2] not in (mask.shape, (1, mask.shape[1]))
            for name, value in given.items()
            if name not in ("return_dict", "output_attentions", "output_hidden_states")
        )
    )


def _plan(given: dict[str, Any]) -> list[tuple[Tensor, int]] | None:
    """Return the groups: rows and their longest; None where there is one, or padding is not on the right."""
    mask = given["attention_mask"]
    lengths = mask.sum(1)
    places = torch.arange(mask.shape[1], device=mask.device)
    if not bool((mask == (places < lengths[:, None]).to(mask.dtype)).all()) or not bool(lengths.all()):
        return None
    counts = [int(length) for length in lengths.tolist()]
    found = groups(counts)
    if len(found) == 1 and max(counts) == mask.shape[1]:
        return None
    return [(torch.tensor(rows, device=mask.device), max(counts[row] for row in rows)) for rows in found]


def _cut(value: Any, rows: Tensor, length: int, whole: torch.Size) -> Any:
    if not isinstance(value, Tensor):
        return value
    return (value if value.shape[0] == 1 and whole[0] != 1 else value[rows])[:, :length]


def _merged(outputs: list[Any], plan: list[tuple[Tensor, int]], mask: Tensor) -> Any:
    """Return the output of the whole batch; what stands for padding is zero."""
    whole, padding = mask.shape, mask == 0
    merged: dict[str, Any] = {}
    for name, first in outputs[0].items():
        by_token = name in BY_TOKEN or (first.dim() > 2 and first.shape[1] == plan[0][1])
        shape = (whole[0], whole[1], *first.shape[2:]) if by_token else (whole[0], *first.shape[1:])
        result = first.new_zeros(shape)
        for output, (rows, length) in zip(outputs, plan, strict=True):
            if by_token:
                result[rows, :length] = output[name]
            else:
                result[rows] = output[name]
        if by_token:
            result[padding] = 0
        merged[name] = result
    kind: type[ModelOutput] = type(outputs[0])
    return kind(**merged)
