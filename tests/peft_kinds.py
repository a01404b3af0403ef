"""A small model, and an adapter of every kind on it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import enfold.peft as peft


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 8, bias=False)
        self.norm = nn.LayerNorm(8)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.norm(self.second(torch.tanh(self.first(self.embed(ids)))))


class Image(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.line = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv1d(8, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.line(torch.tanh(self.conv(x)).flatten(2))


IDS = torch.tensor([[1, 2, 3], [4, 5, 9], [7, 7, 2], [3, 1, 0]])
LAYERS = {"target_modules": ["first", "second"]}
CONFIGS: dict[str, Any] = {
    "lora": lambda: peft.LoraConfig(r=2, **LAYERS),
    "lora-embedding": lambda: peft.LoraConfig(r=2, target_modules=["embed", "first"]),
    "dora": lambda: peft.LoraConfig(r=2, use_dora=True, **LAYERS),
    "dora-embedding": lambda: peft.LoraConfig(r=2, use_dora=True, target_modules=["embed"]),
    "lora-bias": lambda: peft.LoraConfig(r=2, lora_bias=True, target_modules=["first"]),
    "adalora": lambda: peft.AdaLoraConfig(init_r=3, total_step=5, **LAYERS),
    "ia3": lambda: peft.IA3Config(feedforward_modules=["second"], **LAYERS),
    "loha": lambda: peft.LoHaConfig(r=2, **LAYERS),
    "lokr": lambda: peft.LoKrConfig(r=1, decompose_both=True, **LAYERS),
    "oft": lambda: peft.OFTConfig(oft_block_size=4, use_cayley_neumann=False, **LAYERS),
    "boft": lambda: peft.BOFTConfig(boft_block_size=4, **LAYERS),
    "butterflies": lambda: peft.BOFTConfig(boft_block_size=2, boft_n_butterfly_factor=2, **LAYERS),
    "hra": lambda: peft.HRAConfig(r=4, **LAYERS),
    "vera": lambda: peft.VeraConfig(r=4, **LAYERS),
    "fourierft": lambda: peft.FourierFTConfig(n_frequency=9, init_weights=True, **LAYERS),
    "vblora": lambda: peft.VBLoRAConfig(r=2, num_vectors=6, vector_length=4, **LAYERS),
    "c3a": lambda: peft.C3AConfig(block_size=4, init_weights=True, **LAYERS),
    "miss": lambda: peft.MissConfig(r=3, **LAYERS),
    "bat": lambda: peft.MissConfig(r=4, init_weights="bat", **LAYERS),
    "hira": lambda: peft.HiraConfig(r=2, **LAYERS),
    "hira-embedding": lambda: peft.HiraConfig(r=2, target_modules=["embed", "first"]),
    "delora": lambda: peft.DeloraConfig(r=2, **LAYERS),
    "road": lambda: peft.RoadConfig(group_size=4, **LAYERS),
    "road-4": lambda: peft.RoadConfig(variant="road_4", group_size=8, **LAYERS),
    "randlora": lambda: peft.RandLoraConfig(r=3, randlora_alpha=6, **LAYERS),
    "shira": lambda: peft.ShiraConfig(r=2, **LAYERS),
    "waveft": lambda: peft.WaveFTConfig(n_frequency=9, scaling=2.0, wavelet_family="db2", **LAYERS),
    "gralora": lambda: peft.GraloraConfig(r=4, hybrid_r=1, alpha=6, **LAYERS),
    "psoft": lambda: peft.PsoftConfig(r=4, **LAYERS),
    "osf": lambda: peft.OSFConfig(effective_rank=3, **LAYERS),
    "ln-tuning": lambda: peft.LNTuningConfig(target_modules=["norm"]),
    "tokens": lambda: peft.TrainableTokensConfig(token_indices=[2, 7], target_modules="embed"),
    "bottleneck": lambda: peft.BottleneckConfig(bottleneck_size=3, init_weights="lora", **LAYERS),
    "parallel": lambda: peft.BottleneckConfig(
        bottleneck_size=3, init_weights="lora", use_parallel_adapter=True, scaling="learnable", **LAYERS
    ),
}
UNMERGED = ("bottleneck", "parallel")
RANDOM = ("vblora",)  # begins with a change, as its paper has it


def net(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net().eval()


def filled(model: Any, seed: int = 1) -> Any:
    torch.manual_seed(seed)
    with torch.no_grad():
        for part in model.parameters():
            if part.requires_grad:
                part.add_(torch.randn_like(part) * 0.2)
    return model.eval()
