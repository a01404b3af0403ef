"""How surprised a language model is by texts: shared by the metric and the measurement ``perplexity``."""

from __future__ import annotations

from typing import Any

from enfold.errors import MissingExtra
from enfold.evaluate.errors import EvaluationError

__all__ = ["device_of", "perplexities"]


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
    *,
    batch_size: int = 16,
    add_start_token: bool = True,
    device: str | None = None,
    max_length: int | None = None,
) -> dict[str, Any]:
    """Return the perplexity of each text under a causal language model, and their mean.

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
    return {"perplexities": found, "mean_perplexity": sum(found) / len(found)}
