"""What two real processes do together; each check runs on both, and a failure names the process."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from enfold.accelerate import (
    Accelerator,
    DataLoaderConfiguration,
    DistributedDataParallelKwargs,
    FullyShardedDataParallelPlugin,
    LocalSGD,
    ParallelismConfig,
    ProjectConfiguration,
    prepare_pippy,
    set_seed,
)
from enfold.accelerate.operations import broadcast, broadcast_object_list, gather_object
from enfold.accelerate.state import AcceleratorState, GradientState

torch.set_num_threads(1)
FOLDER = Path(sys.argv[1])
ROWS, ANSWERS = torch.randn(16, 8, generator=torch.manual_seed(5)), torch.randn(16, 4, generator=torch.manual_seed(6))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(8, 32), nn.Linear(32, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(x)))


def build() -> nn.Module:
    set_seed(3)
    return nn.Sequential(Block(), Block(), nn.Linear(8, 4))


def begin(**options: object) -> Accelerator:
    AcceleratorState._reset_state()
    GradientState._reset_state()
    return Accelerator(cpu=True, **options)  # type: ignore[arg-type]


def trained(accelerator: Accelerator, model: nn.Module, optimizer: object, steps: int = 3) -> torch.Tensor:
    """Three steps on halves of the rows, as one process would do on all of them."""
    norm = torch.zeros(())
    rank = accelerator.process_index if accelerator.data_place[0] > 1 else None
    rows, answers = (ROWS, ANSWERS) if rank is None else (ROWS[rank * 8 :][:8], ANSWERS[rank * 8 :][:8])
    for _ in range(steps):
        accelerator.backward(nn.functional.mse_loss(model(rows), answers))
        norm = accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()  # type: ignore[attr-defined]
        optimizer.zero_grad()  # type: ignore[attr-defined]
    return norm


def alone(steps: int = 3) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    norm = torch.zeros(())
    for _ in range(steps):
        nn.functional.mse_loss(model(ROWS), ANSWERS).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return model.state_dict(), norm


def same(ours: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float = 2e-6) -> None:
    assert ours.keys() == expected.keys(), (ours.keys(), expected.keys())
    for name, tensor in expected.items():
        torch.testing.assert_close(ours[name], tensor, atol=tolerance, rtol=1e-5)


def check_replicas() -> None:
    accelerator = begin(kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)])
    model = build()
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=1e-2))
    norm = trained(accelerator, model, optimizer)
    weights, expected = alone()
    same(accelerator.get_state_dict(model), weights)
    torch.testing.assert_close(norm, expected)


def check_compressed_gradients() -> None:
    accelerator = begin(kwargs_handlers=[DistributedDataParallelKwargs(comm_hook="fp16")])
    model = accelerator.prepare(build())
    accelerator.backward(model(ROWS[:2] * (1 + accelerator.process_index)).sum())
    gradient = model.module[2].weight.grad
    assert torch.equal(gradient, gradient.half().float())


def check_shards(kind: str) -> None:
    """FSDP2 trains as one process does, and goes on from its checkpoint in the same process and layout."""
    plugin = FullyShardedDataParallelPlugin(
        state_dict_type=kind, transformer_cls_names_to_wrap=["Block"], reshard_after_forward=kind[0] == "S"
    )
    accelerator = begin(fsdp_plugin=plugin, project_dir=str(FOLDER / kind))
    model = build()
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=1e-2))
    local = sum(parameter.to_local().numel() for parameter in model.parameters())
    assert local < sum(parameter.numel() for parameter in build().parameters()) * 0.6
    norm = trained(accelerator, model, optimizer)
    weights, expected = alone()
    torch.testing.assert_close(norm, expected)
    whole = accelerator.get_state_dict(model)
    if accelerator.is_main_process:
        same(whole, weights)
    else:
        assert whole == {}
    folder = accelerator.save_state(FOLDER / f"shards-{kind}")
    trained(accelerator, model, optimizer, 2)
    after, _ = alone(5)
    for _ in range(2):  # what was read back goes on as before, twice
        accelerator.load_state(folder)
        trained(accelerator, model, optimizer, 2)
        whole = accelerator.get_state_dict(model)
        if accelerator.is_main_process:
            same(whole, after)
    accelerator.save_model(model, str(FOLDER / f"weights-{kind}"))


def check_accumulating_shards() -> None:
    accelerator = begin(fsdp_plugin=FullyShardedDataParallelPlugin(), gradient_accumulation_steps=2)
    model = build()
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    start = accelerator.process_index * 8
    for half in (slice(start, start + 4), slice(start + 4, start + 8)):
        with accelerator.accumulate(model):
            accelerator.backward(nn.functional.mse_loss(model(ROWS[half]), ANSWERS[half]))
            optimizer.step()
            optimizer.zero_grad()
    reference = build()
    nn.functional.mse_loss(reference(ROWS), ANSWERS).backward()
    torch.optim.SGD(reference.parameters(), lr=0.1).step()
    whole = accelerator.get_state_dict(model)
    if accelerator.is_main_process:
        same(whole, reference.state_dict())


def check_half_precision_shards() -> None:
    accelerator = begin(mixed_precision="bf16", fsdp_plugin=FullyShardedDataParallelPlugin())
    model = build().bfloat16()
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=1e-2))
    trained(accelerator, model, optimizer, 1)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def check_slices() -> None:
    """Tensor parallel: both processes see the same rows and hold halves of each matrix."""
    plan = {"[01].up": "colwise", "[01].down": "rowwise"}
    accelerator = begin(parallelism_config=ParallelismConfig(tp_size=2, tp_plan=plan))
    model = build()
    expected = copy.deepcopy(model)(ROWS)
    model = accelerator.prepare_model(model)
    assert model[0].up.weight.to_local().shape == (16, 8)
    torch.testing.assert_close(model(ROWS), expected)
    optimizer = accelerator.prepare_optimizer(torch.optim.AdamW(model.parameters(), lr=1e-2))
    accelerator.backward(nn.functional.mse_loss(model(ROWS), ANSWERS))
    optimizer.step()
    reference = build()
    inner = torch.optim.AdamW(reference.parameters(), lr=1e-2)
    nn.functional.mse_loss(reference(ROWS), ANSWERS).backward()
    inner.step()
    for name, parameter in model.named_parameters():
        full = parameter.full_tensor() if hasattr(parameter, "full_tensor") else parameter
        torch.testing.assert_close(full, reference.get_parameter(name), atol=1e-5, rtol=1e-4)
    loader = accelerator.prepare(DataLoader(TensorDataset(ROWS), batch_size=4))
    assert len(loader) == 4  # slices of one model read the same data


def check_stages() -> None:
    begin()
    model = build().eval()
    expected = model(ROWS)
    staged = prepare_pippy(copy.deepcopy(model), example_args=(ROWS,), no_split_module_classes=["Block"])
    assert staged.hf_split_points == ["1"]
    output = staged(ROWS)
    assert (output is None) == (torch.distributed.get_rank() == 0)
    if output is not None:
        torch.testing.assert_close(output, expected)
    everywhere = prepare_pippy(copy.deepcopy(model), ["1"], example_args=(ROWS,), gather_output=True)
    torch.testing.assert_close(everywhere(ROWS), expected)


def check_dispatching() -> None:
    """The main process alone reads; shares come in order, and what fills the end is known."""

    class Stream(IterableDataset):  # type: ignore[type-arg]
        def __iter__(self):  # type: ignore[no-untyped-def]
            assert torch.distributed.get_rank() == 0, "only the main process reads"
            return iter(range(11))

    for split, size in ((False, 2), (True, 4)):
        options = DataLoaderConfiguration(dispatch_batches=True, split_batches=split)
        accelerator = begin(dataloader_config=options)
        loader = accelerator.prepare(DataLoader(Stream(), batch_size=size))
        seen, own = [], []
        for batch in loader:
            assert len(batch) == 2
            own.append(batch.tolist())
            seen += accelerator.gather_for_metrics(batch).tolist()
        assert seen == list(range(11)), seen
        assert own[0] == ([0, 1] if accelerator.is_main_process else [2, 3])


def check_talking() -> None:
    accelerator = begin()
    rank = accelerator.process_index
    assert broadcast({"a": torch.tensor([rank])}, from_process=1)["a"].item() == 1
    assert broadcast_object_list([rank, "x"], from_process=1) == [1, "x"]
    assert gather_object([rank] * (rank + 1)) == [0, 1, 1]
    assert accelerator.reduce(torch.tensor(float(rank)), "mean", scale=2.0) == 1
    if rank == 1:
        accelerator.set_trigger()
    assert accelerator.check_trigger() and not accelerator.check_trigger()
    said: list[int] = []
    accelerator.on_last_process(lambda: said.append(1))()
    accelerator.on_process(process_index=0)(lambda: said.append(0))()
    assert said == [1 - rank] or said == [rank], said
    with accelerator.main_process_first():
        pass


def check_uneven_inputs() -> None:
    accelerator = begin()
    model = accelerator.prepare(nn.Linear(8, 1))
    with accelerator.join_uneven_inputs([model]):
        for row in ROWS[: 2 + 2 * accelerator.process_index]:
            model(row).sum().backward()


def check_local_steps() -> None:
    accelerator = begin()
    model = build()
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    apart = []
    with LocalSGD(accelerator=accelerator, model=model, local_sgd_steps=2) as local:
        for step in range(4):
            accelerator.backward(model(ROWS[step + accelerator.process_index :][:1]).square().sum())
            optimizer.step()
            optimizer.zero_grad()
            local.step()
            both = accelerator.gather(model.module[2].bias.detach()[None])
            apart.append(not torch.equal(both[0], both[1]))
    assert apart == [True, False, True, False], apart


def check_states() -> None:
    """Checkpoints are named, counted and rotated; everything comes back, random states of each process too."""
    project = ProjectConfiguration(str(FOLDER / "project"), automatic_checkpoint_naming=True, total_limit=2)
    options = DataLoaderConfiguration(use_stateful_dataloader=True)
    accelerator = begin(project_config=project, dataloader_config=options)
    model = build()
    parts = model, torch.optim.AdamW(model.parameters(), lr=1e-2), DataLoader(TensorDataset(ROWS), 2, shuffle=True)
    model, optimizer, loader = accelerator.prepare(*parts)
    schedule = accelerator.prepare(torch.optim.lr_scheduler.ExponentialLR(optimizer.optimizer, 0.5))
    counter = nn.BatchNorm1d(1)
    accelerator.register_for_checkpointing(counter)
    accelerator.init_trackers("run", {"lr": 1e-2})
    set_seed(7, device_specific=True)
    order = []
    for number, (rows,) in enumerate(loader):
        accelerator.backward(model(rows).sum())
        optimizer.step()
        schedule.step()
        order.append(rows)
        if number == 1:
            counter(torch.ones(4, 1))
            for _ in range(3):
                accelerator.save_state()
            drawn, rate, weight = torch.rand(1), schedule.get_last_lr(), model.module[2].bias.detach().clone()
        accelerator.log({"number": number}, step=number)
    names = sorted(path.name for path in (FOLDER / "project" / "checkpoints").iterdir())
    assert names == ["checkpoint_1", "checkpoint_2"], names
    counter.reset_running_stats()
    accelerator.load_state()
    assert torch.equal(torch.rand(1), drawn) and schedule.get_last_lr() == rate
    assert torch.equal(model.module[2].bias, weight) and counter.num_batches_tracked == 1
    rest = [rows for (rows,) in loader]
    assert len(rest) == 2 and all(torch.equal(one, two) for one, two in zip(rest, order[2:], strict=True))
    accelerator.wait_for_everyone()
    lines = [json.loads(line) for line in (FOLDER / "project" / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[0]["config"] == {"lr": 1e-2} and [line["number"] for line in lines[1:]] == [0, 1, 2, 3]


def main() -> None:
    checks = {name: check for name, check in globals().items() if name.startswith("check_") and name != "check_shards"}
    for name, check in checks.items():
        check()
        torch.distributed.barrier()
        if torch.distributed.get_rank() == 0:
            print(name, flush=True)
    for kind in ("SHARDED_STATE_DICT", "FULL_STATE_DICT"):
        check_shards(kind)
        if torch.distributed.get_rank() == 0:
            print("check_shards", kind, flush=True)
    begin().end_training()


main()
