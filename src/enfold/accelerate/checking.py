"""What ``accelerate test`` runs in every process: that all find each other, exchange tensors and train as one."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from enfold.accelerate.accelerator import Accelerator
from enfold.accelerate.seeds import set_seed

__all__ = ["check"]


def check(accelerator: Accelerator) -> None:
    """Raise where something is wrong; every process calls it."""
    count, rank = accelerator.num_processes, accelerator.process_index
    accelerator.print(f"{count} × {accelerator.device.type}, {accelerator.distributed_type.value}")
    ranks = accelerator.gather(torch.tensor([rank], device=accelerator.device)).tolist()
    assert ranks == list(range(count)), f"gathered {ranks} from {count} processes"
    total = accelerator.reduce(torch.tensor(float(rank), device=accelerator.device)).item()
    assert total == sum(range(count)), f"the ranks add up to {total}"
    accelerator.print("tensors travel")
    set_seed(0)
    rows = torch.randn(8 * count, 4)
    data = TensorDataset(rows, rows.sum(dim=1, keepdim=True))
    model, alone = nn.Linear(4, 1), nn.Linear(4, 1)
    alone.load_state_dict(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model, optimizer, loader = accelerator.prepare(model, optimizer, DataLoader(data, batch_size=4))
    seen = []
    for x, y in loader:
        accelerator.backward(nn.functional.mse_loss(model(x), y))
        optimizer.step()
        optimizer.zero_grad()
        seen.append(accelerator.gather_for_metrics(x))
    assert torch.equal(torch.cat(seen).cpu(), rows), "the loader did not give out every row once and in order"
    other = torch.optim.SGD(alone.parameters(), lr=0.1)
    for x, y in DataLoader(data, batch_size=4 * count):
        nn.functional.mse_loss(alone(x), y).backward()
        other.step()
        other.zero_grad()
    weights = accelerator.get_state_dict(model)
    if accelerator.is_main_process and accelerator.mixed_precision == "no":
        torch.testing.assert_close(weights["weight"].cpu(), alone.weight.detach(), atol=1e-5, rtol=1e-5)
    accelerator.print("processes train as one")


if __name__ == "__main__":
    made = Accelerator()
    check(made)
    made.end_training()
