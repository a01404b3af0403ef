"""A training by two real processes whose parameters are cut; a failure names the process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

from trainer_small import losses, rows, trainer

from enfold.accelerate import ParallelismConfig
from enfold.accelerate.parallel import is_cut, is_sharded
from enfold.transformers import LlamaConfig, LlamaForCausalLM
from enfold.transformers.trainer import Trainer

torch.set_num_threads(1)
FOLDER = Path(sys.argv[1])
RUN = {"per_device_train_batch_size": 2, "max_steps": 6, "logging_steps": 1, "dropout": 0.0, "save_steps": 3}


def check_a_whole_run(alone: dict[str, Any], kind: str) -> None:
    """The losses and weights of one process with batches of four, and again from its checkpoint in the middle."""
    config = {"state_dict_type": kind, "min_num_params": 10}
    options: dict[str, Any] = {**RUN, "fsdp": "full_shard auto_wrap", "fsdp_config": config, "save_strategy": "steps"}
    cut = trainer(FOLDER / kind, **options)
    cut.train()
    assert is_sharded(cut.model)
    torch.testing.assert_close(losses(cut), alone["losses"], atol=1e-5, rtol=1e-5)
    cut.save_model(str(FOLDER / f"whole-{kind}"))
    again = trainer(FOLDER / f"again-{kind}", **options)
    again.train(resume_from_checkpoint=str(FOLDER / kind / "checkpoint-3"))
    assert losses(again) == losses(cut)
    for (name, ours), (_, theirs) in zip(again.model.named_parameters(), cut.model.named_parameters(), strict=True):
        assert torch.equal(ours.to_local(), theirs.to_local()), name
    # A checkpoint of whole parameters is gone on with in shards.
    grown = trainer(FOLDER / f"grown-{kind}", **options)
    grown.train(resume_from_checkpoint=str(FOLDER / "alone" / "checkpoint-3"))
    torch.testing.assert_close(losses(grown), alone["losses"], atol=1e-5, rtol=1e-5)


PARALLEL: list[tuple[str, dict[str, Any], int]] = [  # name, sizes, rows of a batch on each process
    ("replicas", {"dp_replicate_size": 2}, 2),
    ("shards", {"dp_shard_size": 2}, 2),
    ("slices", {"tp_size": 2, "tp_plan": {"first": "colwise", "classifier": "rowwise"}}, 4),
]


def check_a_mesh(alone: dict[str, Any], name: str, sizes: dict[str, Any], rows_each: int) -> None:
    """Replicas, shards or slices of matrices by ``parallelism_config``: one process's losses, and its predictions."""
    options = {**RUN, "per_device_train_batch_size": rows_each, "save_strategy": "steps"}
    options["parallelism_config"] = ParallelismConfig(**sizes)
    made = trainer(FOLDER / name, **options)
    made.train()
    torch.testing.assert_close(losses(made), alone["losses"], atol=1e-5, rtol=1e-5)
    assert made.get_total_train_batch_size() == 4 and made.get_tp_size() == sizes.get("tp_size", 1)
    assert is_cut(made.model) == (name != "replicas")
    found = made.predict(rows(13))
    assert found.predictions.shape == (13, 3)
    torch.testing.assert_close(torch.tensor(found.predictions), alone["predictions"], atol=1e-4, rtol=1e-4)
    again = trainer(FOLDER / f"again-{name}", **options)
    again.train(resume_from_checkpoint=str(FOLDER / name / "checkpoint-3"))
    torch.testing.assert_close(losses(again), losses(made), atol=1e-6, rtol=1e-6)
    made.save_model(str(FOLDER / f"whole-{name}"))


FEW = {"optim": "adamw_8bit", "optim_args": "min_8bit_size=16,block_size=4"}  # rows of four are whole blocks


def check_few_bits(alone: dict[str, Any]) -> None:
    """A state in 8 bits, cut with the rows it belongs to, is one process's; and resumes from its checkpoint."""
    options: dict[str, Any] = {**RUN, **FEW, "save_strategy": "steps", "fsdp": "full_shard"}
    cut = trainer(FOLDER / "few", **options)
    cut.train()
    torch.testing.assert_close(losses(cut), alone["few"], atol=1e-4, rtol=1e-4)
    assert cut.optimizer is not None
    state = cut.optimizer.state[cut.model.first.weight]  # type: ignore[index, union-attr]
    assert state["exp_avg"].to_local().shape == (8, 4) and state["exp_avg"].dtype == torch.uint8
    assert state["exp_avg_absmax"].to_local().shape == (8, 1)
    again = trainer(FOLDER / "again-few", **options)
    again.train(resume_from_checkpoint=str(FOLDER / "few" / "checkpoint-3"))
    assert losses(again) == losses(cut)


FREE = {"optim": "schedule_free_adamw", "lr_scheduler_type": "constant"}


def check_schedule_free(alone: dict[str, Any]) -> None:
    """Weights that are a mean of where they were, cut: one process's losses, and a run that resumes."""
    options: dict[str, Any] = {**RUN, **FREE, "save_strategy": "steps", "fsdp": "full_shard"}
    cut = trainer(FOLDER / "free", **options)
    cut.train()
    assert is_sharded(cut.model)
    torch.testing.assert_close(losses(cut), alone["free"], atol=1e-5, rtol=1e-5)
    cut.save_model(str(FOLDER / "whole-free"))
    again = trainer(FOLDER / "again-free", **options)
    again.train(resume_from_checkpoint=str(FOLDER / "free" / "checkpoint-3"))
    assert losses(again) == losses(cut)
    for (name, ours), (_, theirs) in zip(again.model.named_parameters(), cut.model.named_parameters(), strict=True):
        assert torch.equal(ours.to_local(), theirs.to_local()), name


def check_zero(alone: dict[str, Any], stage: int) -> None:
    """ZeRO's stages as DeepSpeed's configuration names them: one process's losses."""
    config = {
        "zero_optimization": {"stage": stage, "overlap_comm": True},
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_clipping": "auto",
    }
    made = trainer(FOLDER / f"zero{stage}", **{**RUN, "deepspeed": config, "save_strategy": "no"})
    made.train()
    assert is_sharded(made.model) == (stage > 0)
    torch.testing.assert_close(losses(made), alone["losses"], atol=1e-5, rtol=1e-5)


def check_a_language_model() -> None:
    """A decoder with tied embeddings, its blocks the units; evaluation and the best checkpoint along the way."""
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=32, tie_word_embeddings=True, **sizes))
    texts = [{"input_ids": [(row * 7 + step) % 32 for step in range(9)]} for row in range(16)]
    data = [{**text, "labels": text["input_ids"]} for text in texts]
    made = trainer(
        FOLDER / "llama",
        model=model,
        train_dataset=data,
        eval_dataset=data[:4],
        per_device_train_batch_size=2,
        max_steps=4,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        load_best_model_at_end=True,
        gradient_accumulation_steps=2,
        fsdp=True,
    )
    made.train()
    best = made.state.best_metric
    assert abs(made.evaluate()["eval_loss"] - best) < 1e-6
    made.save_model(str(FOLDER / "llama-whole"))
    if made.is_world_process_zero():
        read = LlamaForCausalLM.from_pretrained(str(FOLDER / "llama-whole"))
        ids = torch.tensor([text["input_ids"] for text in texts[:4]])
        assert abs(float(read(input_ids=ids, labels=ids).loss) - best) < 1e-5


if __name__ == "__main__":
    alone = torch.load(FOLDER / "alone.pt", weights_only=True)
    for kind in ("FULL_STATE_DICT", "SHARDED_STATE_DICT"):
        check_a_whole_run(alone, kind)
        print("check_a_whole_run", kind, flush=True)
    for name, sizes, rows_each in PARALLEL:
        check_a_mesh(alone, name, sizes, rows_each)
        print("check_a_mesh", name, flush=True)
    check_few_bits(alone)
    print("check_few_bits", flush=True)
    check_schedule_free(alone)
    print("check_schedule_free", flush=True)
    for stage in (0, 2, 3):
        check_zero(alone, stage)
        print("check_zero", stage, flush=True)
    check_a_language_model()
    print("check_a_language_model", flush=True)
    assert isinstance(trainer(FOLDER / "x", train_dataset=rows(4)), Trainer)
    torch.distributed.destroy_process_group()
