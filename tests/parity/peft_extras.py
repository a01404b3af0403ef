"""Adapters on torch's attention, deeper models of the same weights, and LoRA+: uses only names that both have."""

from __future__ import annotations

from typing import Any

import torch
from peft_cases import load_base, logits
from torch import nn


class Reader(nn.Module):
    """Attention as torch makes it, with a layer behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.mha, self.out = nn.MultiheadAttention(16, 2, batch_first=True), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.mha(x, x, x)[0])


def reader() -> Reader:
    torch.manual_seed(3)
    return Reader().eval()


X = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(4))
DEEPER = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj"], "layer_replication": [[0, 2], [1, 2]], "r": 2}


def write(peft: Any, transformers: Any, folder: str, side: str) -> dict[str, torch.Tensor]:
    """Make adapters, write them as ``side``'s, and return what they compute."""
    found = {}
    model = peft.get_peft_model(reader(), peft.LoraConfig(target_modules=["mha", "out"], r=4))
    some(model, 5)
    model.save_pretrained(f"{folder}/{side}-mha")
    found["mha"] = model(X).detach()
    model = peft.get_peft_model(load_base(transformers, folder, "llama"), peft.LoraConfig(**DEEPER))
    some(model, 6)
    model.save_pretrained(f"{folder}/{side}-deeper")
    found["deeper"] = logits(model)
    return found


def read(peft: Any, transformers: Any, folder: str, side: str) -> dict[str, torch.Tensor]:
    """Return what the adapters of a side compute."""
    model = peft.PeftModel.from_pretrained(reader(), f"{folder}/{side}-mha")
    found = {"mha": model(X).detach()}
    found["mha merged"] = model.merge_and_unload()(X).detach()
    base = load_base(transformers, folder, "llama")
    found["deeper"] = logits(peft.PeftModel.from_pretrained(base, f"{folder}/{side}-deeper"))
    return found


def steps(peft: Any, transformers: Any, folder: str) -> torch.Tensor:
    """Return what two steps of LoRA+ make of an adapter."""
    targets = ["q_proj", "embed_tokens", "up_proj"]
    model = peft.get_peft_model(load_base(transformers, folder, "llama"), peft.LoraConfig(target_modules=targets, r=2))
    some(model, 7)
    create = peft.optimizers.create_loraplus_optimizer
    options = {"loraplus_lr_ratio": 8.0, "loraplus_weight_decay": 0.1, "loraplus_lr_embedding": 1e-2, "eps": 1e-3}
    optimizer = create(model, torch.optim.AdamW, lr=1e-2, **options)
    ids = torch.randint(3, 50, (2, 7), generator=torch.Generator().manual_seed(8))
    for _ in range(2):
        model(input_ids=ids).logits.square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return logits(model)


def some(model: nn.Module, seed: int) -> None:
    """Give every factor values that depend on its shape and on which of the two it is alone."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                generator = torch.Generator().manual_seed(seed + ("lora_B" in name or "out_B" in name))
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
