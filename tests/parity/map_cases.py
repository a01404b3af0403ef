"""Models on the meta device and budgets under which their parts are spread, the same for us and for the peers."""

import torch
from torch import nn

BUDGETS = [0.0, 0.2, 0.3, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0]


class Block(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))
        self.up, self.down = nn.Linear(size, 3 * size), nn.Linear(3 * size, size, bias=False)
        self.register_buffer("table", torch.ones(size))


class Tower(nn.Module):
    def __init__(self, size, tie):
        super().__init__()
        self.token = nn.Parameter(torch.ones(size))
        self.embed = nn.Embedding(50, size)
        self.blocks = nn.ModuleList(Block(size) for _ in range(4))
        self.norm = nn.BatchNorm1d(size)
        self.head = nn.Linear(size, 50, bias=False)
        if tie:
            self.head.weight = self.embed.weight


def models():
    with torch.device("meta"):
        return {
            "untied": (Tower(8, False), ["Block"]),
            "tied": (Tower(8, True), ["Block"]),
            "split": (Tower(12, False), None),
            "layers": (nn.Sequential(nn.Linear(10, 40), nn.BatchNorm1d(40), nn.Linear(40, 5)), None),
        }
