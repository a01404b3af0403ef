"""How surprised a language model is by texts: shared by the metric and the measurement ``perplexity``."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.errors import MissingExtra
from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import EvaluationModuleInfo

__all__ = ["PerplexityModule", "device_of", "perplexities"]


class PerplexityModule(Counting):
    """The metric and the measurement ``perplexity``: how surprised a causal language model is by each text.

    A text's perplexity is the exponential of its mean loss per token.

    Options of ``compute``:
        model_id: a repository or a local folder of a causal language model and its tokenizer.
        batch_size: texts at a time, 16 by default.
        add_start_token: put the beginning-of-sequence token first (the default).
        device: ``"cpu"``, ``"cuda"``, …; CUDA where there is one by default.
        max_length: cut texts to so many tokens.

    ``compute`` gives ``perplexities``, one for each text, and ``mean_perplexity``.

    Source: F. Jelinek et al., "Perplexity — a measure of the difficulty of speech recognition tasks", 1977.
    """

    _input: ClassVar[str]
    _information: ClassVar[type[EvaluationModuleInfo]]

    def _info(self) -> EvaluationModuleInfo:
        return self._information(
            description="How surprised a causal language model is by each text.",
            citation="",
            features={self._input: "string"},
            inputs_description="model_id, batch_size=16, add_start_token=True, device=None, max_length=None.",
            reference_urls=["https://huggingface.co/docs/transformers/perplexity"],
        )

    def _count(
        self,
        *,
        model_id: str = "",
        batch_size: int = 16,
        add_start_token: bool = True,
        device: str | None = None,
        max_length: int | None = None,
        **inputs: list[str],
    ) -> list[float]:
        return perplexities(inputs[self._input], model_id, batch_size, add_start_token, device, max_length)

    def _score(self, counts: list[float]) -> dict[str, Any]:
        import numpy as np

        return {"perplexities": counts, "mean_perplexity": np.mean(counts)}


def device_of(device: str | None) -> str:
    """Return the device to compute on: the given one, else CUDA where there is one, else the processor.

    Raises:
        MissingExtra: torch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise MissingExtra("a metric that runs a model", "torch") from None
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    return "cuda" if device == "gpu" else device


def perplexities(
    texts: list[str],
    model_id: str,
    batch_size: int = 16,
    add_start_token: bool = True,
    device: str | None = None,
    max_length: int | None = None,
) -> list[float]:
    """Return the perplexity of each text under a causal language model.

    Args:
        texts: the texts.
        model_id: a repository or a local folder of a causal language model and its tokenizer.
        batch_size: texts at a time.
        add_start_token: put the beginning-of-sequence token first, so that the first token is predicted as well.
        device: ``"cpu"``, ``"cuda"``, …; CUDA where there is one by default.
        max_length: cut texts to so many tokens, the start token included.

    Raises:
        EvaluationError: the tokenizer has no start token though one is asked for, or a text is too short.
    """
    place = device_of(device)
    import torch

    from enfold.transformers import AutoModelForCausalLM, AutoTokenizer

    if not model_id:
        raise EvaluationError("perplexity needs model_id=…, a causal language model's repository or folder")
    tokenizer = AutoTokenizer.from_pretrained(model_id)
    model = AutoModelForCausalLM.from_pretrained(model_id).to(place).eval()
    start = tokenizer.bos_token_id
    if add_start_token and start is None:
        raise EvaluationError(f"the tokenizer of {model_id} has no start token: use add_start_token=False")
    room = max_length - 1 if add_start_token and max_length else max_length
    rows = [
        list(ids)[:room] for ids in tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
    ]
    least = 1 if add_start_token else 2
    for number, ids in enumerate(rows):
        if len(ids) < least:
            raise EvaluationError(
                f"text {number} has {len(ids)} tokens, but needs at least {least}: its perplexity is not defined"
            )
    if add_start_token:
        rows = [[start, *ids] for ids in rows]
    found: list[float] = []
    for begin in range(0, len(rows), batch_size):
        batch = rows[begin : begin + batch_size]
        width = max(map(len, batch))
        tokens = torch.tensor([row + [0] * (width - len(row)) for row in batch], device=place)  # (rows, tokens)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in batch], device=place)
        with torch.no_grad():
            logits = model(input_ids=tokens, attention_mask=mask).logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2).float(), tokens[:, 1:], reduction="none")
        counted = mask[:, 1:]
        found += torch.exp((losses * counted).sum(1) / counted.sum(1)).tolist()
    return found
