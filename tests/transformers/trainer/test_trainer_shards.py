"""``fsdp``: two processes that cut the parameters between them train as one does, and checkpoints go both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from trainer_small import losses, rows, trainer

from enfold.errors import EnfoldError
from enfold.transformers.trainer import TrainingArguments
from enfold.transformers.trainer.sharding import plugin_of
from processes import together

RUN: dict[str, Any] = {"per_device_train_batch_size": 4, "max_steps": 6, "logging_steps": 1, "dropout": 0.0}


def test_two_processes_with_half_the_parameters_each_train_as_one_does(tmp_path: Path) -> None:
    alone = trainer(tmp_path / "alone", **RUN, save_strategy="steps", save_steps=3)
    alone.train()
    predictions = torch.tensor(alone.predict(rows(13)).predictions)
    few: dict[str, Any] = {"optim": "adamw_8bit", "optim_args": "min_8bit_size=16,block_size=4"}
    eight = trainer(tmp_path / "few-alone", **RUN, **few)
    eight.train()
    free = trainer(tmp_path / "free-alone", **RUN, optim="schedule_free_adamw", lr_scheduler_type="constant")
    free.train()
    made = {"losses": losses(alone), "predictions": predictions, "few": losses(eight)}
    made["free"] = losses(free)
    torch.save(made, tmp_path / "alone.pt")
    done = together(Path(__file__).with_name("two_trainers.py"), str(tmp_path))
    assert done.stdout.count("check_") == 22
    for kind in ("FULL_STATE_DICT", "SHARDED_STATE_DICT"):
        # What two processes wrote, one goes on with; and the weights of a cut model are saved whole.
        one = trainer(tmp_path / f"one-{kind}", **RUN)
        rng = tmp_path / kind / "checkpoint-3"
        (rng / "rng_state_0.pth").rename(rng / "rng_state.pth")
        one.train(resume_from_checkpoint=str(rng))
        torch.testing.assert_close(losses(one), losses(alone), atol=1e-5, rtol=1e-5)
        files = {path.name for path in rng.iterdir()}
        assert ("model.safetensors" in files) == (kind[0] == "F") == ("optimizer.bin" in files)
        assert ("pytorch_model_fsdp_0" in files) == (kind[0] == "S") == ("optimizer_0" in files)
        assert (tmp_path / f"whole-{kind}" / "model.safetensors").is_file()
    for name, one in {"replicas": alone, "shards": alone, "slices": alone, "free": free}.items():
        whole = load_file(tmp_path / f"whole-{name}" / "model.safetensors")
        torch.testing.assert_close(whole, dict(one.model.state_dict()), atol=1e-5, rtol=1e-5)


def test_words_and_options_of_both_versions_are_understood(tmp_path: Path) -> None:
    (tmp_path / "fsdp.json").write_text('{"fsdp_transformer_layer_cls_to_wrap": "Block", "cpu_offload": "true"}')
    read = plugin_of(TrainingArguments("out", fsdp=True, fsdp_config=str(tmp_path / "fsdp.json")))
    assert read is not None and read.cpu_offload is True and read.transformer_cls_names_to_wrap == ["Block"]
    assert read.reshard_after_forward is True and read.state_dict_type == "FULL_STATE_DICT"
    kept = plugin_of(TrainingArguments("out", fsdp="shard_grad_op auto_wrap", fsdp_min_num_params=100))
    assert kept is not None and kept.reshard_after_forward is False and kept.min_num_params == 100
    assert "size" in str(kept.auto_wrap_policy)
    assert plugin_of(TrainingArguments("out")) is None and plugin_of(TrainingArguments("out", fsdp="")) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fsdp": "full_shart"}, "did you mean 'full_shard'"),
        ({"fsdp": True, "fsdp_config": {"cpu_offlod": True}}, "did you mean 'cpu_offload'"),
        ({"fsdp": True, "fsdp_config": {"xla": True}}, "XLA"),
        ({"fsdp": True, "fsdp_config": {"auto_wrap_policy": "wrap"}}, "auto_wrap_policy must be one of"),
        ({"fsdp": True, "fsdp_config": {"state_dict_type": "HALF"}}, "state_dict_type must be one of"),
    ],
)
def test_unknown_words_are_refused_when_a_trainer_is_made(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises((ValueError, EnfoldError), match=message):
        trainer(tmp_path, **options)
