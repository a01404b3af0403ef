"""Log-probabilities of chosen tokens are those of the full table, and so are their gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from enfold.transformers import LlamaConfig, LlamaForCausalLM
from enfold.trl import logprobs
from enfold.trl.logprobs import chosen_log_probs, score, unflattened

SMALL: dict[str, Any] = dict(
    vocab_size=37, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2
)


def table(states: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, temperature: float) -> list[Tensor]:
    logits = (states @ weight.t() + (0 if bias is None else bias)) / temperature
    logs = logits.log_softmax(-1)
    p = logs.exp()
    chosen = logs.gather(1, labels[:, None])[:, 0]
    return [
        chosen,
        -(p * logs).sum(1),
        (logits.argmax(1) == labels).float(),
        logits.mean(1),
        p.square().sum(1).log(),
    ]


@pytest.mark.parametrize("kept", [1 << 20, 0])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_values_and_gradients_are_the_full_tables(kept: int, temperature: float, monkeypatch: Any) -> None:
    monkeypatch.setattr(logprobs, "PIECE", 37 * 4)  # several pieces, the last not full
    monkeypatch.setattr(logprobs, "STRIP", 37 * 3)
    monkeypatch.setattr(logprobs, "KEPT", kept)
    torch.manual_seed(0)
    parts = [torch.randn(11, 8), torch.randn(37, 8), torch.randn(37)]
    labels, ours, full = torch.randint(0, 37, (11,)), [], []
    for into, compute in ((ours, chosen_log_probs), (full, table)):
        states, weight, bias = (part.clone().requires_grad_() for part in parts)
        values = compute(states, weight, bias, labels, temperature)
        by = torch.linspace(-1, 1, 11)
        ((values[0] * by).sum() + (values[1] * by.flip(0)).sum()).backward()
        into += [*values, states.grad, weight.grad, bias.grad]
    for mine, right in zip(ours, full, strict=True):
        torch.testing.assert_close(mine, right, atol=2e-5, rtol=2e-5)


def rows(model: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    ids, mask = torch.randint(1, 37, (3, 9)), (torch.arange(9) < torch.tensor([[9], [4], [7]])).long()
    labels = ids.masked_fill((mask == 0) | (torch.arange(9) < 2), -100)
    return ids, labels, mask


def test_only_labels_that_count_have_log_probabilities() -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SMALL))
    ids, labels, mask = rows(model)
    found = score(model, ids, labels, mask)
    logs = model(ids, attention_mask=mask).logits[:, :-1].log_softmax(-1)
    right = logs.gather(2, labels[:, 1:].clamp(min=0)[..., None])[..., 0] * (labels[:, 1:] != -100)
    torch.testing.assert_close(found.log_probs, right)
    assert found.lengths().tolist() == [7, 2, 5]
    assert model(ids).logits.shape == (3, 9, 37), "the output layer is whole again"


def test_a_layer_that_something_follows_is_called_as_it_is() -> None:
    from enfold.transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    config = Gemma2Config(**SMALL, head_dim=8, num_key_value_heads=2, final_logit_softcapping=0.5, pad_token_id=0)
    model = Gemma2ForCausalLM(config).eval()
    ids, labels, mask = rows(model)
    logs = model(ids, attention_mask=mask).logits[:, :-1].log_softmax(-1)
    right = logs.gather(2, labels[:, 1:].clamp(min=0)[..., None])[..., 0] * (labels[:, 1:] != -100)
    torch.testing.assert_close(score(model, ids, labels, mask).log_probs, right)


def test_rows_that_were_put_together_come_apart_at_their_positions() -> None:
    flat = {
        "input_ids": torch.tensor([[5, 6, 7, 8]]),
        "labels": torch.tensor([[-100, 6, -100, 8]]),
        "position_ids": torch.tensor([[0, 1, 0, 1]]),
    }
    apart = unflattened(flat)
    assert apart["input_ids"].tolist() == [[5, 6], [7, 8]] and apart["attention_mask"].tolist() == [[1, 1], [1, 1]]
    assert unflattened(apart) is apart
