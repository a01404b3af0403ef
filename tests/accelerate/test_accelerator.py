"""The accelerator: one process here, two over gloo."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, TensorDataset

from enfold.accelerate import Accelerator, PartialState, init_empty_weights, set_seed, skip_first_batches
from enfold.accelerate.data import BatchSamplerShard, IterableDatasetShard, SeedableRandomSampler, prepare_data_loader
from enfold.accelerate.state import AcceleratorState, GradientState, PrecisionConflict
from enfold.accelerate.utils import find_batch_size, recursively_apply, send_to_device
from processes import together


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def parts(batch: int = 4) -> tuple[nn.Module, torch.optim.Optimizer, DataLoader[Any]]:
    set_seed(0)
    model = nn.Linear(2, 1)
    data = TensorDataset(torch.randn(20, 2), torch.randn(20, 1))
    return model, torch.optim.SGD(model.parameters(), lr=0.1), DataLoader(data, batch_size=batch)


def train(accelerator: Accelerator, batch: int) -> torch.Tensor:
    model, optimizer, loader = accelerator.prepare(*parts(batch))
    for x, y in loader:
        with accelerator.accumulate(model):
            accelerator.backward(nn.functional.mse_loss(model(x), y))
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    return model.weight.detach()


def test_prepared_objects_come_in_order_and_twice_changes_nothing() -> None:
    accelerator = Accelerator(cpu=True)
    model, optimizer, loader = parts()
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
    prepared = accelerator.prepare(loader, schedule, model, optimizer)
    assert prepared[2] is model and accelerator.unwrap_model(prepared[2]) is model
    assert prepared[1].scheduler is schedule and prepared[1].optimizers[0] is prepared[3]
    assert accelerator.prepare(*prepared) == prepared
    assert accelerator.prepare(model) is model


def test_accumulating_equals_larger_batches() -> None:
    small = train(Accelerator(cpu=True, gradient_accumulation_steps=2), 5)
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    torch.testing.assert_close(small, train(Accelerator(cpu=True), 10))


def test_the_last_batch_ends_a_window() -> None:
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=3)
    model, _, loader = accelerator.prepare(*parts())
    synced = []
    for _batch in loader:
        with accelerator.accumulate(model):
            synced.append(accelerator.sync_gradients)
    assert synced == [False, False, True, False, True]


def test_mixed_precision_gives_float32_back_and_can_be_undone() -> None:
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    layer = nn.Linear(64, 64)
    plain = layer(torch.ones(1, 64))
    model = accelerator.prepare(layer)
    mixed = model(torch.ones(1, 64))
    assert mixed.dtype == torch.float32 and not torch.equal(mixed, plain)
    accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    assert torch.equal(layer(torch.ones(1, 64)), plain)


def test_two_precisions_in_one_process_are_refused() -> None:
    Accelerator(cpu=True, mixed_precision="bf16")
    with pytest.raises(PrecisionConflict):
        Accelerator(cpu=True, mixed_precision="no")
    with pytest.raises(ValueError, match="mixed_precision"):
        Accelerator(cpu=True, mixed_precision="int3")


def test_a_schedule_steps_with_its_optimizer() -> None:
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    model, optimizer, loader = parts()
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    for x, y in loader:
        with accelerator.accumulate(model):
            accelerator.backward(nn.functional.mse_loss(model(x), y))
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    assert schedule.get_last_lr() == [0.1 * 0.5**3]


def test_a_seeded_order_depends_on_seed_and_epoch_alone() -> None:
    sampler = SeedableRandomSampler(range(9), data_seed=3)
    first, second = list(sampler), list(sampler)
    assert first != second
    torch.rand(3)
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(SeedableRandomSampler(range(9), data_seed=4)) != first


@pytest.mark.parametrize("length", [0, 1, 3, 7, 8, 9, 16])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("even", [False, True])
def test_dealt_batches_cover_the_data(length: int, drop_last: bool, even: bool) -> None:
    whole = BatchSampler(range(length), 2, drop_last)
    shards = [list(BatchSamplerShard(whole, 3, index, even_batches=even)) for index in range(3)]
    for index in range(3):
        assert len(shards[index]) == len(BatchSamplerShard(whole, 3, index, even_batches=even))
    seen = {item for shard in shards for batch in shard for item in batch}
    if not drop_last:
        assert seen == set(range(length))
    if even:
        assert len({len(shard) for shard in shards}) == 1
        assert all(len(batch) == 2 for shard in shards for batch in shard)


def test_split_batches_are_shares_of_each() -> None:
    whole = BatchSampler(range(10), 4, False)
    shards = [list(BatchSamplerShard(whole, 2, index, split_batches=True)) for index in range(2)]
    assert shards == [[[0, 1], [4, 5], [8, 9]], [[2, 3], [6, 7], [0, 1]]]


def test_a_stream_is_shared_out() -> None:
    class Stream(IterableDataset):  # type: ignore[type-arg]
        def __iter__(self) -> Iterator[int]:
            return iter(range(10))

    shards = [list(IterableDatasetShard(Stream(), 2, False, 2, index)) for index in range(2)]
    assert shards == [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 0, 1]]


def test_skipped_batches_are_left_out() -> None:
    loader = prepare_data_loader(DataLoader(range(10), batch_size=3))  # type: ignore[arg-type]
    assert [batch.tolist() for batch in skip_first_batches(loader, 2)] == [[6, 7, 8], [9]]
    assert loader.remainder == -1 and len(skip_first_batches(loader, 2)) == 2


def test_structures_keep_their_shape() -> None:
    data = {"a": [torch.ones(2), (torch.zeros(2, 1),)], "b": "text"}
    moved = send_to_device(data, "meta")
    assert moved["a"][1][0].device.type == "meta" and moved["b"] == "text"
    assert find_batch_size(data) == 2
    assert recursively_apply(lambda t: t + 1, data)["a"][0].tolist() == [2, 2]


def test_empty_weights_take_no_memory() -> None:
    with init_empty_weights():
        norm = nn.BatchNorm1d(3)
        tied = nn.Linear(3, 3)
    assert norm.weight.is_meta and not norm.running_mean.is_meta  # type: ignore[union-attr]
    assert isinstance(tied.weight, nn.Parameter)
    with init_empty_weights(include_buffers=True):
        assert nn.BatchNorm1d(3).running_mean.is_meta  # type: ignore[union-attr]
    assert not nn.Linear(2, 2).weight.is_meta


def test_a_model_is_saved(tmp_path: Path) -> None:
    accelerator = Accelerator(cpu=True)
    accelerator.save_model(accelerator.prepare(nn.Linear(2, 2)), str(tmp_path))
    assert (tmp_path / "model.safetensors").exists()


def test_shares_of_a_list() -> None:
    state = PartialState(cpu=True)
    with state.split_between_processes([1, 2, 3]) as share:
        assert share == [1, 2, 3]


SCRIPT = """
import json, sys, torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from enfold.accelerate import Accelerator, set_seed
torch.set_num_threads(1)
accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
set_seed(0)
model = nn.Linear(2, 1)
data = TensorDataset(torch.arange(22.).reshape(11, 2) / 10, torch.arange(11.)[:, None])
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model, optimizer, loader = accelerator.prepare(model, optimizer, DataLoader(data, batch_size=2, shuffle=True))
seen = []
for x, y in loader:
    with accelerator.accumulate(model):
        accelerator.backward(nn.functional.mse_loss(model(x), y))
        optimizer.step(); optimizer.zero_grad()
    seen.append(accelerator.gather_for_metrics(y))
whole = torch.cat(seen)
assert sorted(whole.flatten().tolist()) == list(range(11)), whole
weights = accelerator.gather(accelerator.unwrap_model(model).weight.detach())
assert torch.equal(weights[0], weights[1])
total = accelerator.reduce(torch.tensor(1.0 + accelerator.process_index))
assert total == 3, total
padded = accelerator.pad_across_processes(torch.ones(1, 1 + accelerator.process_index), dim=1)
assert padded.shape == (1, 2)
with accelerator.split_between_processes([1, 2, 3]) as share:
    assert share == ([1, 2] if accelerator.is_main_process else [3])

sys.path.insert(0, sys.argv[2])
from trainer_small import rows, trainer, weights
made = trainer(sys.argv[1], per_device_train_batch_size=5, save_strategy="epoch", **json.loads(sys.argv[3]))
made.train()
metrics = made.evaluate(rows(11))
predictions = made.predict(rows(11)).predictions
if made.is_world_process_zero():
    loss, shape = metrics["eval_loss"], predictions.shape
    torch.save({"weights": weights(made), "loss": loss, "shape": shape}, sys.argv[1] + "/it")
accelerator.print("done")
accelerator.end_training()
"""


def test_two_processes_share_data_gradients_and_results_and_train_as_one(tmp_path: Path) -> None:
    here = Path(__file__).parents[1] / "transformers" / "trainer"
    options: dict[str, Any] = {"dropout": 0.0, "optim": "sgd", "max_grad_norm": 0, "num_train_epochs": 1}
    (tmp_path / "script.py").write_text(SCRIPT)
    arguments = [str(tmp_path), str(here), json.dumps(options)]
    done = together(tmp_path / "script.py", *arguments)
    assert done.stdout.strip().splitlines()[-1] == "done"
    two = torch.load(tmp_path / "it", weights_only=True)
    assert (tmp_path / "checkpoint-5" / "model.safetensors").exists()

    sys.path.insert(0, str(here))
    from trainer_small import rows, trainer, weights

    one = trainer(tmp_path / "one", per_device_train_batch_size=10, **options)
    one.train()
    torch.testing.assert_close(weights(one), two["weights"], atol=1e-5, rtol=1e-5)
    assert tuple(two["shape"]) == (11, 3)
    # The last round repeats rows so that both have as many: the loss weighs these twice.
    assert one.evaluate(rows(11))["eval_loss"] == pytest.approx(two["loss"], rel=0.2)
