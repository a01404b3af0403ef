"""Adapters that are told more than ids, and what both sides do with them. Uses only names that both have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from peft_cases import fill, load_base

POLY = {"task_type": "SEQ_2_SEQ_LM", "r": 3, "n_tasks": 3, "n_skills": 2, "n_splits": 2, "target_modules": ["q", "v"]}
CPT = {
    "task_type": "CAUSAL_LM",
    "cpt_token_ids": [5, 9, 4, 7, 8, 3, 6],
    "cpt_tokens_type_mask": [1, 2, 3, 4, 6, 7, 8],
    "opt_weighted_loss_type": "decay",
    "opt_loss_decay_factor": 0.7,
}
IDS = torch.randint(3, 50, (3, 6), generator=torch.Generator().manual_seed(2))
TYPES = torch.tensor([[1, 2, 2, 3, 4, 4], [0, 2, 3, 4, 4, 4], [1, 2, 3, 4, 4, 0]])


def poly_outputs(model: Any) -> dict[str, torch.Tensor]:
    """Run each row with the skills of its task, and generate."""
    model.eval()
    tasks = torch.tensor([2, 0, 1])
    logits = model(input_ids=IDS, decoder_input_ids=IDS[:, :4], task_ids=tasks).logits
    model.zero_grad()
    logits.square().mean().backward()
    gradients = [part.grad for name, part in sorted(model.named_parameters()) if part.grad is not None]
    ids = model.generate(input_ids=IDS, task_ids=tasks, max_new_tokens=5, do_sample=False)
    return {"logits": logits.detach(), "gradients": torch.cat([part.flatten() for part in gradients]), "ids": ids}


def cpt_outputs(model: Any) -> dict[str, torch.Tensor]:
    """Compute the losses on the answers."""
    model.eval()
    mask = (TYPES > 0).long()
    losses = [
        model(input_ids=IDS, attention_mask=mask, labels=IDS.clone(), input_type_mask=TYPES.clone()).loss,
        model(input_ids=IDS, attention_mask=mask, labels=IDS.clone()).loss,
    ]
    change = next(part for name, part in model.named_parameters() if "delta_embedding" in name)
    if losses[0].requires_grad:  # which a prompt that was read does not
        sum(losses).backward()
    gradient = change.grad if losses[0].requires_grad else torch.zeros(1)
    ids = model.generate(input_ids=IDS, attention_mask=torch.ones_like(IDS), max_new_tokens=4, do_sample=False)
    return {"losses": torch.stack(losses).detach(), "gradient": gradient, "ids": ids}


CASES: dict[str, tuple[str, str, dict[str, Any], Callable[..., Any]]] = {
    "poly": ("t5", "PolyConfig", POLY, poly_outputs),
    "cpt": ("llama", "CPTConfig", CPT, cpt_outputs),
}


def made(transformers: Any, peft: Any, folder: Any, name: str) -> Any:
    """Make an adapter with numbers of its own."""
    base, kind, options, _ = CASES[name]
    model = peft.get_peft_model(load_base(transformers, folder, base), getattr(peft, kind)(**options))
    fill(model, 1)
    return model


def read(transformers: Any, peft: Any, folder: Any, name: str, side: str) -> Any:
    """Read an adapter that a side wrote, to go on training it where the peer lets one."""
    base = load_base(transformers, folder, CASES[name][0])
    return peft.PeftModel.from_pretrained(base, f"{folder}/{side}-{name}", is_trainable=name == "poly")
