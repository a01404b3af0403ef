"""The same gradients for an optimizer of ours and for its first implementation.

``python tests/parity/optimizer_steps.py`` writes ``optimizer_steps_golden.json`` anew, in an environment that has
bitsandbytes 0.50.2, galore-torch 1.0, apollo-torch 1.0.3, schedulefree 1.4.1, lomo-optim 0.1.1, grokadamw 0.1.2,
torch-optimi 0.3.3, torchao 0.18.0, and transformers 5.23 (which three of them import).
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

GOLDEN = Path(__file__).with_name("optimizer_steps_golden.json")
STEPS = 8
SHOWN = 24  # values of each tensor in the file
GALORE = {"rank": 3, "update_proj_gap": 3, "scale": 0.25}
APOLLO = {"rank": 3, "update_proj_gap": 3, "scale": 2.0, "proj_type": "std"}
SMALL, TALL, LARGE = [(12, 8), (8,)], [(12, 8), (5, 9), (8,)], [(80, 96), (64, 300)]

# Name of the case: shapes, options. The last word of a name tells cases of one optimizer apart.
CASES: dict[str, tuple[list[tuple[int, ...]], dict[str, Any]]] = {
    "adamw 8bit": (LARGE, {"lr": 1e-2, "weight_decay": 0.1}),
    "lion 8bit": (LARGE, {"lr": 1e-3, "betas": (0.9, 0.99), "weight_decay": 0.1}),
    "rmsprop 8bit": (LARGE, {"lr": 1e-2, "alpha": 0.9}),
    "ademamix 8bit": (LARGE, {"lr": 1e-2, "weight_decay": 0.1, "t_alpha": 10, "t_beta3": 10}),
    "adamw 4bit": (LARGE, {"lr": 1e-2, "weight_decay": 0.1}),
    "galore_adamw std": (TALL, {"lr": 0.05, "group": {**GALORE, "proj_type": "std"}}),
    "galore_adamw reverse_std": ([(12, 8), (8,)], {"lr": 0.05, "group": {**GALORE, "proj_type": "reverse_std"}}),
    "galore_adamw left": (TALL, {"lr": 0.05, "group": {**GALORE, "proj_type": "left"}}),
    "galore_adamw full": (TALL, {"lr": 0.05, "group": {**GALORE, "proj_type": "full"}}),
    "galore_adafactor std": (TALL, {"lr": 0.05, "group": {**GALORE, "proj_type": "std"}}),
    "apollo channel": (TALL, {"lr": 0.05, "group": {**APOLLO, "proj": "random", "scale_type": "channel"}}),
    "apollo tensor": (TALL, {"lr": 0.05, "group": {**APOLLO, "proj": "svd", "scale_type": "tensor"}}),
    "schedule_free_adamw": (SMALL, {"lr": 0.05, "weight_decay": 0.1, "warmup_steps": 4, "r": 0.5}),
    "schedule_free_sgd": (SMALL, {"lr": 0.05, "weight_decay": 0.1, "warmup_steps": 4}),
    "schedule_free_radam": (SMALL, {"lr": 0.05, "weight_decay": 0.1}),
    "schedule_free_radam loud": (SMALL, {"lr": 0.05, "silent_sgd_phase": False}),
    "lomo": (SMALL, {"lr": 0.05, "weight_decay": 0.1}),
    "adalomo": (SMALL, {"lr": 0.05, "weight_decay": 0.1}),
    "grokadamw": (SMALL, {"lr": 0.05, "weight_decay": 0.1}),
    "stable_adamw": (SMALL, {"lr": 0.05, "weight_decay": 0.1}),
    "stable_adamw decoupled": (SMALL, {"lr": 0.05, "weight_decay": 0.01, "decouple_lr": True, "max_lr": 0.1}),
}


def tensors(shapes: list[tuple[int, ...]], seed: int, scale: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) * scale for shape in shapes]


def run(make: Callable[[list[nn.Parameter]], Any], shapes: list[tuple[int, ...]]) -> dict[str, Any]:
    """Take the steps; gradients grow and shrink, so that limits of all kinds are met."""
    weights = [nn.Parameter(value) for value in tensors(shapes, 0)]
    optimizer = make(weights)
    getattr(optimizer, "train", lambda: None)()
    for step in range(STEPS):
        grads = tensors(shapes, step + 1, 0.1 * 3 ** (step % 3))
        if hasattr(optimizer, "fused_backward"):
            optimizer.fused_backward(sum((w * g).sum() for w, g in zip(weights, grads, strict=True)), 0.05)
        elif getattr(optimizer, "moves_in_backward", False):
            sum((w * g).sum() for w, g in zip(weights, grads, strict=True)).backward()  # type: ignore[union-attr]
            assert all(weight.grad is None for weight in weights)
        else:
            for weight, grad in zip(weights, grads, strict=True):
                weight.grad = grad.clone()
            optimizer.step()
    found = {"trained": [shown(weight) for weight in weights]}
    if hasattr(optimizer, "train") and hasattr(optimizer, "eval"):
        optimizer.eval()
        found["evaluated"] = [shown(weight) for weight in weights]
    return found


def shown(weight: Tensor) -> list[float]:
    flat = weight.detach().flatten()
    return [round(value, 7) for value in flat[:: max(1, math.ceil(len(flat) / SHOWN))].tolist()]


def grouped(weights: list[nn.Parameter], group: dict[str, Any]) -> list[dict[str, Any]]:
    flat, matrices = [w for w in weights if w.ndim < 2], [w for w in weights if w.ndim == 2]
    return [{"params": flat}, {"params": matrices, **group}]


def theirs(name: str, options: dict[str, Any]) -> Callable[[list[nn.Parameter]], Any]:
    """Make the first implementation's optimizer."""
    kind, options = name.split()[0], dict(options)
    group = options.pop("group", {})
    if name.endswith("8bit"):
        import bitsandbytes.optim as bnb

        eight = {"adamw": bnb.AdamW8bit, "lion": bnb.Lion8bit, "rmsprop": bnb.RMSprop8bit, "ademamix": bnb.AdEMAMix8bit}
        return lambda weights: eight[kind](weights, **options)
    if name.endswith("4bit"):
        import torch._dynamo
        from torchao.optim import AdamW4bit

        torch.compile = lambda function, **_: function  # type: ignore[assignment]
        return lambda weights: AdamW4bit(weights, block_size=256, **options)
    if kind.startswith("galore"):
        import galore_torch

        plain = {"no_deprecation_warning": True}
        made, extra = (
            (galore_torch.GaLoreAdamW, plain)
            if kind == "galore_adamw"
            else (galore_torch.GaLoreAdafactor, {"scale_parameter": False, "relative_step": False})
        )
        return lambda weights: made(grouped(weights, group), **options, **extra)
    if kind == "apollo":
        from apollo_torch import APOLLOAdamW

        return lambda weights: APOLLOAdamW(grouped(weights, group), **options)
    if kind.startswith("schedule_free"):
        import schedulefree

        free = {"adamw": "AdamWScheduleFree", "sgd": "SGDScheduleFree", "radam": "RAdamScheduleFree"}
        return lambda weights: getattr(schedulefree, free[kind.rpartition("_")[2]])(weights, **options)
    if kind in ("lomo", "adalomo"):
        import lomo_optim

        Tensor.cuda = lambda self, *_: self  # type: ignore[method-assign, assignment]
        made = lomo_optim.Lomo if kind == "lomo" else lomo_optim.AdaLomo
        return lambda weights: made(nn.ParameterList(weights), **options)
    if kind == "grokadamw":
        from grokadamw import GrokAdamW

        return lambda weights: GrokAdamW(weights, **options)
    from optimi import StableAdamW

    return lambda weights: StableAdamW(weights, **options, foreach=False, triton=False)


def ours(name: str, options: dict[str, Any]) -> Callable[[list[nn.Parameter]], Any]:
    """Make the optimizer of ours."""
    from enfold.transformers.trainer import optimization as home

    kind, options = name.split()[0], dict(options)
    group = options.pop("group", {})
    if name.endswith("bit"):
        options["optim_bits"] = int(name.split()[1][0])
    if kind == "galore_adafactor":
        options.update(scale_parameter=False, relative_step=False)
    names = {
        "adamw": "AdamW", "lion": "Lion", "rmsprop": "RMSprop", "ademamix": "AdEMAMix", "galore_adamw": "GaLoreAdamW",
        "galore_adafactor": "GaLoreAdafactor", "apollo": "Apollo", "schedule_free_adamw": "AdamWScheduleFree",
        "schedule_free_sgd": "SGDScheduleFree", "schedule_free_radam": "RAdamScheduleFree", "lomo": "Lomo",
        "adalomo": "AdaLomo", "grokadamw": "GrokAdamW", "stable_adamw": "StableAdamW",
    }  # fmt: skip
    made = getattr(home, names[kind])
    return lambda weights: made(grouped(weights, group) if group else weights, **options)


if __name__ == "__main__":
    found = {name: run(theirs(name, options), shapes) for name, (shapes, options) in CASES.items()}
    GOLDEN.write_text(json.dumps(found) + "\n")
    sys.stdout.write(f"{len(found)} cases\n")
