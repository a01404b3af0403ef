"""What both sides do with adapters once they have them. Uses only names that both have."""

from __future__ import annotations

from typing import Any

import torch
from peft_cases import logits

IDS = torch.tensor([[5, 9, 3, 7], [4, 8, 2, 6], [7, 7, 1, 9]])
COMBINATIONS: dict[str, dict[str, Any]] = {
    "cat": {},
    "linear": {},
    "svd": {"svd_rank": 3},
    "ties": {"density": 0.5},
    "ties_svd": {"density": 0.5, "majority_sign_method": "frequency"},
    "magnitude_prune": {"density": 0.4},
    "magnitude_prune_svd": {"density": 0.4, "svd_clamp": 0.9},
    "dare_linear": {"density": 1.0},
    "dare_ties": {"density": 1.0},
    "dare_linear_svd": {"density": 1.0},
    "dare_ties_svd": {"density": 1.0},
}
PROMPTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "prefix": ("llama", "PrefixTuningConfig", {"task_type": "CAUSAL_LM", "num_virtual_tokens": 4}),
    "prefix-gpt2": ("gpt2", "PrefixTuningConfig", {"task_type": "CAUSAL_LM", "num_virtual_tokens": 4}),
    "prompt": ("llama", "PromptTuningConfig", {"task_type": "CAUSAL_LM", "num_virtual_tokens": 4}),
    "prompt-gpt2": ("gpt2", "PromptTuningConfig", {"task_type": "CAUSAL_LM", "num_virtual_tokens": 4}),
    "p-tuning": ("llama", "PromptEncoderConfig", {"task_type": "CAUSAL_LM", "num_virtual_tokens": 3}),
    "prefix-t5": ("t5", "PrefixTuningConfig", {"task_type": "SEQ_2_SEQ_LM", "num_virtual_tokens": 4}),
    "prompt-t5": ("t5", "PromptTuningConfig", {"task_type": "SEQ_2_SEQ_LM", "num_virtual_tokens": 4}),
    "lora": ("llama", "LoraConfig", {"task_type": "CAUSAL_LM", "target_modules": ["q_proj"]}),
}
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"max_new_tokens": 6},
    "beams": {"max_new_tokens": 5, "num_beams": 2},
    "length": {"max_length": 9},
    "repetition": {"max_new_tokens": 6, "repetition_penalty": 1.5},
}
QV = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"]}


def fill(model: Any, seed: int) -> None:
    """Give everything that trains values of its own, whatever it began with."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, part in sorted(model.named_parameters(), key=lambda item: item[0]):
            if part.requires_grad:
                part.copy_(torch.randn(part.shape, generator=generator) * 0.3)


def uses(peft: Any, load: Any) -> dict[str, torch.Tensor]:
    """Return everything that is compared, by name; ``load`` makes a base model."""
    found: dict[str, torch.Tensor] = {}
    _combinations(peft, load, found)
    _rows(peft, load, found)
    _generation(peft, load, found)
    _ranks(peft, load, found)
    _kinds(peft, load, found)
    return found


def _two(peft: Any, load: Any) -> Any:
    model = peft.get_peft_model(load("llama"), peft.LoraConfig(r=4, lora_alpha=6, **QV))
    fill(model, 1)
    model.add_adapter("other", peft.LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", target_modules=["q_proj"]))
    model.set_adapter("other")
    fill(model, 2)
    model.set_adapter("default")
    return model


def _combinations(peft: Any, load: Any, found: dict[str, torch.Tensor]) -> None:
    model = _two(peft, load)
    for kind, options in COMBINATIONS.items():
        model.add_weighted_adapter(["default", "other"], [0.7, 0.4], kind, combination_type=kind, **options)
        model.set_adapter(kind)
        found[f"combined|{kind}"] = logits(model)


def _rows(peft: Any, load: Any, found: dict[str, torch.Tensor]) -> None:
    model = _two(peft, load).eval()
    names = ["other", "__base__", "default"]
    with torch.no_grad():
        found["rows"] = model(input_ids=IDS, adapter_names=names).logits
        found["rows|generated"] = model.generate(
            input_ids=IDS, adapter_names=names, max_new_tokens=5, do_sample=False, pad_token_id=0
        )
        model.base_model.set_adapter(["default", "other"])
        found["both"] = model(input_ids=IDS).logits
        model.merge_adapter()
        found["both|merged"] = model(input_ids=IDS).logits
        model.unmerge_adapter()
        with model.disable_adapter():
            found["neither"] = model(input_ids=IDS).logits


def _generation(peft: Any, load: Any, found: dict[str, torch.Tensor]) -> None:
    for name, (base, kind, options) in PROMPTS.items():
        model = peft.get_peft_model(load(base), getattr(peft, kind)(**options))
        fill(model, 3)
        model.eval()
        mask = torch.ones_like(IDS)
        if base != "t5":
            mask[0, :2] = 0
        for way, asked in WAYS.items():
            with torch.no_grad():
                ids = model.generate(
                    input_ids=IDS, attention_mask=mask, do_sample=False, pad_token_id=0, eos_token_id=49, **asked
                )
            found[f"generated|{name}|{way}"] = ids


def _ranks(peft: Any, load: Any, found: dict[str, torch.Tensor]) -> None:
    config = peft.AdaLoraConfig(init_r=4, target_r=2, tinit=1, tfinal=2, deltaT=1, total_step=8, **QV)
    model = peft.get_peft_model(load("llama"), config)
    fill(model, 4)
    optimizer = torch.optim.SGD([part for part in model.parameters() if part.requires_grad], lr=0.1)
    model.train()
    for step in range(8):
        loss = model(input_ids=IDS, labels=IDS).loss
        found[f"ranks|loss|{step}"] = loss.detach().clone()
        loss.backward()
        optimizer.step()
        model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
    pattern = model.peft_config["default"].rank_pattern
    for key in sorted(pattern):
        found[f"ranks|{key.removesuffix('.default')}"] = torch.tensor(pattern[key])
    found["ranks|logits"] = logits(model)


def _kinds(peft: Any, load: Any, found: dict[str, torch.Tensor]) -> None:
    model = peft.get_peft_model(load("llama"), peft.LoraConfig(r=4, **QV), mixed=True)
    fill(model, 5)
    model.add_adapter("second", peft.LoHaConfig(r=2, target_modules=["q_proj", "k_proj"]))
    model.set_adapter("second")
    fill(model, 6)
    model.set_adapter(["default", "second"])
    found["kinds"] = logits(model)
    found["kinds|merged"] = logits(model.merge_and_unload())
