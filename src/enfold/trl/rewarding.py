"""What completions are worth: functions, coroutines and reward models, asked one after another."""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from enfold.log import get_logger
from enfold.trl.formats import apply_chat_template, is_conversational
from enfold.trl.preparing import AlignmentError, create_model_from_path, name_of

__all__ = ["Rewards", "last_token_rewards"]

logger = get_logger(__name__)


class Rewards:
    """The rewards of a training.

    Args:
        functions: one or several: called with ``prompts``, ``completions``, ``completion_ids`` and the other columns of
            the rows, they return a number a completion, or None where they say nothing; coroutines run side by side; a
            model with one output, or the name of one, judges the whole text.
        tokenizers: of the models among them; by default loaded by their names.
        weights: of each; one by default.
        options: for ``from_pretrained``.

    Raises:
        AlignmentError: none is given, or another number of weights or tokenizers.
    """

    def __init__(
        self, functions: Any, tokenizers: Any = None, weights: Sequence[float] | None = None, **options: Any
    ) -> None:
        given = list(functions) if isinstance(functions, (list, tuple)) else [functions]
        if functions is None or not given:
            raise AlignmentError("give reward_funcs: functions of prompts and completions, or reward models")
        self.functions = [self._model(item, options) if isinstance(item, str) else item for item in given]
        for item in self.functions:
            if not callable(item):
                raise AlignmentError(f"a reward is a function or a model, not {type(item).__name__}")
        self.names = [_name(item) for item in self.functions]
        spare = list(tokenizers) if isinstance(tokenizers, (list, tuple)) else [tokenizers] * len(given)
        if len(spare) != len(given):
            raise AlignmentError(f"{len(given)} rewards have {len(spare)} reward_processing_classes")
        self.tokenizers = [
            self._tokenizer(item, known) if isinstance(item, nn.Module) else None
            for item, known in zip(self.functions, spare, strict=True)
        ]
        if weights is not None and len(weights) != len(given):
            raise AlignmentError(f"{len(given)} rewards have {len(weights)} reward_weights")
        self.weights = torch.tensor([1.0] * len(given) if weights is None else list(weights), dtype=torch.float32)

    @staticmethod
    def _model(name: str, options: dict[str, Any]) -> nn.Module:
        from enfold.transformers import AutoModelForSequenceClassification

        return create_model_from_path(name, AutoModelForSequenceClassification, num_labels=1, **options).eval()

    @staticmethod
    def _tokenizer(model: nn.Module, known: Any) -> Any:
        from enfold.transformers import AutoTokenizer

        tokenizer = known if known is not None else AutoTokenizer.from_pretrained(name_of(model))
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        config: Any = model.config
        config.pad_token_id = tokenizer.pad_token_id
        return tokenizer

    def __call__(self, prompts: list[Any], completions: list[Any], ids: list[list[int]], **columns: Any) -> Tensor:
        """Return what each completion is worth to each reward, (B, F); not a number where it says nothing.

        Args:
            prompts, completions: text or messages, B of each.
            ids: the completions' tokens.
            columns: further columns of the rows, for the functions.

        Raises:
            AlignmentError: a function returns another number of rewards, or something that is no number.
        """
        told = {"prompts": prompts, "completions": completions, "completion_ids": ids, **columns}
        found: list[Any] = [None] * len(self.functions)
        waiting = {}
        for place, function in enumerate(self.functions):
            if isinstance(function, nn.Module):
                found[place] = self._judged(function, self.tokenizers[place], prompts, completions)
            elif _is_coroutine(function):
                waiting[place] = function
            else:
                found[place] = function(**told)
        if waiting:
            for place, values in zip(waiting, _together([call(**told) for call in waiting.values()]), strict=True):
                found[place] = values
        rewards = torch.tensor(
            [_numbers(values, name, len(prompts)) for values, name in zip(found, self.names, strict=True)]
        ).t()
        silent = rewards.isnan().all(1)
        if bool(silent.any()):
            row = int(silent.nonzero()[0])
            logger.warning("no reward says anything about %r after %r", completions[row], prompts[row])
        return rewards

    @staticmethod
    def _judged(model: nn.Module, tokenizer: Any, prompts: list[Any], completions: list[Any]) -> list[float]:
        if is_conversational({"prompt": prompts[0]}):
            rows = [{"messages": prompt + said} for prompt, said in zip(prompts, completions, strict=True)]
            texts = [apply_chat_template(row, tokenizer)["text"] for row in rows]
        else:
            texts = [prompt + said for prompt, said in zip(prompts, completions, strict=True)]
        read = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right", add_special_tokens=False)
        device = next(model.parameters()).device
        with torch.inference_mode():
            logits = model(
                input_ids=read["input_ids"].to(device), attention_mask=read["attention_mask"].to(device)
            ).logits
        return logits[:, 0].float().tolist()  # type: ignore[no-any-return]


def _name(function: Any) -> str:
    if isinstance(function, nn.Module):
        return name_of(function).rstrip("/").split("/")[-1]
    return (
        getattr(function, "__name__", None)
        or getattr(getattr(function, "func", None), "__name__", None)
        or type(function).__name__
    )


def _is_coroutine(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _together(coroutines: list[Any]) -> list[Any]:
    """Run coroutines side by side, in a thread of their own: where this is called, a loop may be running."""

    async def gathered() -> list[Any]:
        return await asyncio.gather(*coroutines)

    made: dict[str, Any] = {}

    def run() -> None:
        try:
            made["values"] = asyncio.run(gathered())
        except BaseException as error:
            made["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if "error" in made:
        raise made["error"]
    return made["values"]  # type: ignore[no-any-return]


def _numbers(values: Any, name: str, count: int) -> list[float]:
    """Check what a reward function returned, and return its numbers."""
    try:
        given = values.tolist() if hasattr(values, "tolist") else list(values)
    except TypeError:
        raise AlignmentError(
            f"the reward {name} returned {type(values).__name__}, not a list of {count} numbers"
        ) from None
    if len(given) != count:
        raise AlignmentError(f"the reward {name} returned {len(given)} numbers for {count} completions")
    made = []
    for place, value in enumerate(given):
        if value is None:
            made.append(math.nan)
            continue
        try:
            made.append(float(value))
        except (TypeError, ValueError):
            raise AlignmentError(
                f"the reward {name} returned {value!r} ({type(value).__name__}) for completion {place}: a reward is a "
                "number, or None where there is nothing to say"
            ) from None
        if math.isinf(made[-1]):
            raise AlignmentError(f"the reward {name} returned {value!r} for completion {place}: it must be finite")
    return made


def last_token_rewards(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """Return a reward model's number for each row, (B,), read at the last token of the mask.

    Args:
        model: with a ``score`` layer over its states.
        ids, mask: (B, T).
    """
    logits = token_scores(model, ids, mask)
    last = mask.long().cumsum(1).argmax(1)
    return logits[torch.arange(len(ids), device=logits.device), last]


def token_scores(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """Return a number for every token, (B, T): a one-output classifier's head on all states."""
    inside = getattr(model, model.base_model_prefix)
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)
    states = inside(
        input_ids=ids.masked_fill(mask == 0, 0), attention_mask=mask, position_ids=positions, use_cache=False
    ).last_hidden_state
    return model.score(states).squeeze(-1)  # type: ignore[no-any-return]
