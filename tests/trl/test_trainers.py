"""What trainers take, what they refuse, and that they learn what they are meant to."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from trl_runs import CHATS, PAIRS, PROMPTS, TEXTS, UNPAIRED

from enfold.datasets import Dataset
from enfold.peft import LoraConfig
from enfold.transformers import TrainingArguments
from enfold.trl import (
    AlignmentError,
    AutoModelForCausalLMWithValueHead,
    ChatTemplateError,
    CPOConfig,
    DPOConfig,
    DPOTrainer,
    GKDConfig,
    GKDTrainer,
    GRPOConfig,
    GRPOTrainer,
    KTOConfig,
    KTOTrainer,
    MissingColumns,
    NashMDConfig,
    NashMDTrainer,
    OnlineDPOConfig,
    OnlineDPOTrainer,
    PPOConfig,
    PPOTrainer,
    RewardConfig,
    RewardTrainer,
    RLOOConfig,
    RLOOTrainer,
    SFTConfig,
    SFTTrainer,
    SyncRefModelCallback,
    XPOConfig,
    XPOTrainer,
)

LORA = {"r": 4, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}


def test_older_spellings_are_the_newer_settings(tmp_path: Path) -> None:
    args = SFTConfig(str(tmp_path), max_seq_length=7, packing_strategy="bfd-requeue", loss_type="chunked_nll")
    assert (args.max_length, args.packing_strategy, args.loss_type) == (7, "bfd_split", "nll")
    args.max_seq_length = 9
    assert args.max_length == 9
    assert PPOConfig(str(tmp_path), batch_size=8, mini_batch_size=2).num_mini_batches == 4
    assert OnlineDPOConfig(str(tmp_path), max_new_tokens=5).max_completion_length == 5
    assert GRPOConfig(str(tmp_path), use_vllm=True, scale_rewards=True).scale_rewards == "group"
    with pytest.raises(TypeError, match=r"no argument 'max_lenght'; did you mean 'max_length'\?"):
        SFTConfig(str(tmp_path), max_lenght=3)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SFTConfig("o", loss_type="dtf"), "did you mean 'dft'"),
        (lambda: DPOConfig("o", loss_type=["sigmoid", "ip"]), "not 'ip'"),
        (lambda: DPOConfig("o", loss_type=["ipo", "hinge"], loss_weights=[1.0]), "2 losses have 1"),
        (lambda: DPOConfig("o", loss_type="exo_pair"), "label_smoothing above 0"),
        (lambda: DPOConfig("o", loss_type="aot", f_divergence_type="forward_kl"), "not with aot"),
        (lambda: DPOConfig("o", loss_type="robust", label_smoothing=0.6), "between 0 and 0.5"),
        (lambda: CPOConfig("o", loss_type="simp"), "did you mean 'simpo'"),
        (lambda: KTOConfig("o", loss_type="dpo"), "kto"),
        (lambda: GRPOConfig("o", num_generations=1), "at least 2"),
        (lambda: GRPOConfig("o", per_device_train_batch_size=6, num_generations=4), "no whole groups"),
        (lambda: GRPOConfig("o", generation_batch_size=12, per_device_train_batch_size=8), "multiple of 8"),
        (lambda: GRPOConfig("o", loss_type="grop"), "did you mean 'grpo'"),
        (lambda: PPOConfig("o", kl_estimator="k2"), "'k1' or 'k3'"),
        (lambda: GKDConfig("o", beta=2.0), "between 0 and 1"),
        (lambda: SFTConfig("o", truncation_mode="middle"), "keep_start"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


def test_a_model_by_name_plain_arguments_and_the_older_tokenizer_argument(
    tokenizer_folder: Path, tokenizer: Any, tmp_path: Path
) -> None:
    args = TrainingArguments(str(tmp_path), max_steps=1, save_strategy="no", use_cpu=True, disable_tqdm=True)
    trainer = SFTTrainer(str(tokenizer_folder), args, train_dataset=TEXTS, tokenizer=tokenizer, max_seq_length=6)
    assert isinstance(trainer.args, SFTConfig) and trainer.args.max_length == 6
    assert trainer.model.dtype == torch.float32
    assert max(len(row["input_ids"]) for row in trainer.train_dataset) == 6
    assert trainer.train().global_step == 1


def test_missing_columns_are_named(model: Any, tokenizer: Any, common: dict[str, Any], judge: Any) -> None:
    rows = Dataset.from_dict({"question": ["a"], "txt": ["b"]})
    given = {"processing_class": tokenizer, "train_dataset": rows}
    with pytest.raises(MissingColumns, match=r"SFTTrainer needs the columns text; or messages; .*question and txt"):
        SFTTrainer(model, SFTConfig(**common), **given)
    with pytest.raises(MissingColumns, match="DPOTrainer needs the columns chosen and rejected"):
        DPOTrainer(model, args=DPOConfig(**common), **given)
    with pytest.raises(MissingColumns, match="KTOTrainer needs the columns prompt, completion and label"):
        KTOTrainer(model, args=KTOConfig(**common), **given)
    with pytest.raises(MissingColumns, match="RewardTrainer"):
        RewardTrainer(judge, RewardConfig(**common), **given)
    with pytest.raises(MissingColumns, match="GRPOTrainer needs the columns prompt"):
        GRPOTrainer(model, len, GRPOConfig(**{**common, "per_device_train_batch_size": 8}), **given)


def test_a_template_that_fails_stops_the_preparation(model: Any, tokenizer: Any, common: dict[str, Any]) -> None:
    tokenizer.chat_template = "{{ raise_exception('only users speak') }}"
    with pytest.raises(ChatTemplateError, match=r"roles system, user, assistant, user, assistant: .*only users speak"):
        SFTTrainer(model, SFTConfig(**common), train_dataset=CHATS, processing_class=tokenizer)


@pytest.mark.parametrize(
    ("reward", "says"),
    [
        (lambda completions, **_: ["good"] * len(completions), "'good' .str. for completion 0"),
        (lambda completions, **_: [1.0], "returned 1 numbers for 4 completions"),
        (lambda completions, **_: 1.0, "returned float, not a list of 4 numbers"),
        (lambda completions, **_: [float("inf")] * len(completions), "must be finite"),
    ],
)
def test_a_reward_that_is_no_number_is_refused(
    reward: Any, says: str, model: Any, tokenizer: Any, common: dict[str, Any]
) -> None:
    args = GRPOConfig(**{**common, "per_device_train_batch_size": 4}, num_generations=4, max_completion_length=3)
    trainer = GRPOTrainer(model, reward, args, train_dataset=PROMPTS, processing_class=tokenizer)
    with pytest.raises(AlignmentError, match=says):
        trainer.train()


def test_other_things_that_do_not_fit_are_explained(
    model: Any, tokenizer: Any, common: dict[str, Any], judge: Any
) -> None:
    given = {"processing_class": tokenizer, "train_dataset": PAIRS}
    with pytest.raises(AlignmentError, match="ref_model is the model itself"):
        DPOTrainer(model, model, DPOConfig(**common), **given)
    with pytest.raises(AlignmentError, match="LoraConfig, not dict"):
        DPOTrainer(model, args=DPOConfig(**common), peft_config=LORA, **given)
    with pytest.raises(AlignmentError, match="no row of the data set is left"):
        DPOTrainer(model, args=DPOConfig(**common, max_length=1), **given)
    with pytest.raises(AlignmentError, match="num_labels=1"):
        RewardTrainer(model, RewardConfig(**common), **given)
    with pytest.raises(AlignmentError, match="value_model, or a model with a value head"):
        PPOTrainer(PPOConfig(**common), tokenizer, model, None, judge, Dataset.from_list(PAIRS))
    with pytest.raises(AlignmentError, match="at least 2"):
        KTOTrainer(
            model, args=KTOConfig(**{**common, "per_device_train_batch_size": 1}), processing_class=tokenizer,
            train_dataset=UNPAIRED,
        )  # fmt: skip
    with pytest.raises(AlignmentError, match="assistant_only_loss needs conversations"):
        SFTTrainer(
            model, SFTConfig(**common, assistant_only_loss=True), train_dataset=TEXTS, processing_class=tokenizer
        )
    with pytest.raises(
        AlignmentError, match=r"'\[ENDE\]' is not in the tokenizer's vocabulary; did you mean '\[END\]'"
    ):
        SFTTrainer(model, SFTConfig(**common, eos_token="[ENDE]"), train_dataset=TEXTS, processing_class=tokenizer)


def test_packed_documents_never_see_each_other(model: Any, tokenizer: Any, common: dict[str, Any]) -> None:
    packed = SFTConfig(**common, packing=True, max_length=16)
    trainer = SFTTrainer(model, packed, train_dataset=TEXTS, processing_class=tokenizer)
    batch = trainer.data_collator([trainer.train_dataset[0]])
    assert batch["position_ids"][0].tolist().count(0) > 1, "several documents in one row"
    together = trainer.batch_loss(trainer.model, batch)
    starts = [*(batch["position_ids"][0] == 0).nonzero().flatten().tolist(), batch["input_ids"].shape[1]]
    losses = []
    for start, stop in itertools.pairwise(starts):
        alone = {name: batch[name][:, start:stop] for name in ("input_ids", "labels")}
        labels = alone["labels"][0, 1:]
        logits = trainer.model(alone["input_ids"]).logits[0, :-1]
        losses.append(torch.nn.functional.cross_entropy(logits, labels, reduction="none"))
    torch.testing.assert_close(together, torch.cat(losses).mean())


def test_turns_are_found_without_marks_in_the_template(tokenizer: Any) -> None:
    from enfold.trl.templates import get_training_chat_template, has_generation_markers, turn_masks

    messages = CHATS[0]["messages"]
    marked = tokenizer.apply_chat_template(messages, return_assistant_tokens_mask=True, return_dict=True)
    tokenizer.chat_template = tokenizer.chat_template.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    found = turn_masks(tokenizer, messages)
    assert found["input_ids"] == marked["input_ids"] and found["assistant_masks"] == marked["assistant_masks"]
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message['role'] + ' : ' + message['content'] + ' [END] ' }}{% endfor %}"
    )
    own = get_training_chat_template(tokenizer)
    assert own is not None and has_generation_markers(own)
    plain = tokenizer.apply_chat_template(messages, tokenize=False)
    assert tokenizer.apply_chat_template(messages, tokenize=False, chat_template=own).split() == plain.split()


def test_an_adapter_learns_and_its_reference_stays(model: Any, tokenizer: Any, common: dict[str, Any]) -> None:
    args = DPOConfig(**{**common, "max_steps": 12, "learning_rate": 5e-2})
    trainer = DPOTrainer(
        model, args=args, train_dataset=PAIRS, processing_class=tokenizer, peft_config=LoraConfig(**LORA)
    )
    before = {name: value.clone() for name, value in trainer.model.named_parameters() if "lora" not in name}
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
    first = trainer.compute_ref_log_probs(batch)
    trainer.train()
    torch.testing.assert_close(trainer.compute_ref_log_probs(batch), first)
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.named_parameters() if name in before)
    logs = [log for log in trainer.state.log_history if "loss" in log]
    assert logs[-1]["rewards/margins"] > logs[0]["rewards/margins"] + 0.1
    trainer.save_model()
    assert (Path(args.output_dir) / "adapter_model.safetensors").exists()


def test_an_adapter_from_before_is_its_own_reference(model: Any, tokenizer: Any, common: dict[str, Any]) -> None:
    from enfold.peft import get_peft_model

    torch.manual_seed(1)
    trained = get_peft_model(model, LoraConfig(**LORA, init_lora_weights=False))
    trainer = DPOTrainer(trained, args=DPOConfig(**common), train_dataset=PAIRS, processing_class=tokenizer)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
    trainer.batch_loss(trainer.model.eval(), batch)
    assert trainer._measured["eval"]["rewards/margins"] == [pytest.approx(0.0, abs=1e-5)]
    learns = [name for name, value in trainer.model.named_parameters() if value.requires_grad]
    assert learns and not any(".ref." in name for name in learns)


def test_a_checkpoint_goes_on_where_it_stopped(tokenizer_folder: Path, tokenizer: Any, common: dict[str, Any]) -> None:
    def make(steps: int, **more: Any) -> SFTTrainer:
        args = SFTConfig(**{**common, "max_steps": steps, "lr_scheduler_type": "constant", **more})
        return SFTTrainer(str(tokenizer_folder), args, train_dataset=TEXTS, processing_class=tokenizer)

    whole = make(4)
    whole.train()
    make(2, save_strategy="steps", save_steps=2).train()
    rest = make(4)
    rest.train(resume_from_checkpoint=str(Path(common["output_dir"]) / "checkpoint-2"))
    for mine, right in zip(rest.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(mine, right)


def test_the_reference_follows_the_policy(model: Any, tokenizer: Any, common: dict[str, Any]) -> None:
    args = DPOConfig(**common, sync_ref_model=True, ref_model_sync_steps=1, ref_model_mixup_alpha=1.0)
    trainer = DPOTrainer(model, args=args, train_dataset=PAIRS, processing_class=tokenizer)
    trainer.train()
    assert any(isinstance(item, SyncRefModelCallback) for item in trainer.callback_handler.callbacks)
    assert trainer.ref_model is not None
    for ours, theirs in zip(trainer.model.parameters(), trainer.ref_model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_evaluation_prepares_rows_as_training_does(model: Any, tokenizer: Any, common: dict[str, Any]) -> None:
    trainer = DPOTrainer(
        model, args=DPOConfig(**common), train_dataset=PAIRS, eval_dataset=PAIRS[:4], processing_class=tokenizer
    )
    own, fresh = trainer.evaluate(), trainer.evaluate(Dataset.from_list(PAIRS[:4]))
    assert own["eval_loss"] == pytest.approx(fresh["eval_loss"]) == pytest.approx(0.6931, abs=1e-3)
    assert "eval_rewards/margins" in trainer.state.log_history[-1]


def words(completions: list[Any], completion_ids: list[list[int]], **_: Any) -> list[float]:
    """A reward for one word, ``good``."""
    return [float(sum(token == 30 for token in ids)) for ids in completion_ids]


@pytest.mark.parametrize("kind", ["GRPO", "RLOO"])
def test_a_policy_learns_to_write_what_is_rewarded(
    kind: str, model: Any, tokenizer: Any, common: dict[str, Any]
) -> None:
    config, trainer_class = {"GRPO": (GRPOConfig, GRPOTrainer), "RLOO": (RLOOConfig, RLOOTrainer)}[kind]
    args = config(
        **{**common, "max_steps": 40, "per_device_train_batch_size": 16, "learning_rate": 1e-2}, num_generations=8,
        max_completion_length=6, beta=0.0, log_completions=True, num_completions_to_print=1,
        lr_scheduler_type="constant",
    )  # fmt: skip
    trainer = trainer_class(model, words, args, train_dataset=PROMPTS, processing_class=tokenizer)
    trainer.train()
    rewards = [log["reward"] for log in trainer.state.log_history if "reward" in log]
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 1
    assert len(list((Path(args.output_dir) / "completions").glob("*.parquet"))) == 40


def test_reward_models_and_coroutines_judge_side_by_side(
    model: Any, tokenizer: Any, common: dict[str, Any], tokenizer_folder: Path
) -> None:
    async def brief(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [-float(len(ids)) for ids in completion_ids]

    args = GRPOConfig(
        **{**common, "per_device_train_batch_size": 4}, num_generations=4, max_completion_length=4, max_grad_norm=1.0,
        reward_weights=[1.0, 0.5],
    )  # fmt: skip
    trainer = GRPOTrainer(
        model, [str(tokenizer_folder / "judge"), brief], args, train_dataset=PROMPTS, processing_class=tokenizer
    )
    trainer.train()
    log = trainer.state.log_history[0]
    assert log["reward"] == pytest.approx(log["rewards/judge/mean"] + 0.5 * log["rewards/brief/mean"], abs=1e-5)


@pytest.mark.parametrize(
    ("config", "trainer_class"),
    [(OnlineDPOConfig, OnlineDPOTrainer), (XPOConfig, XPOTrainer), (NashMDConfig, NashMDTrainer)],
)
def test_online_preferences_raise_the_reward(
    config: Any, trainer_class: Any, model: Any, tokenizer: Any, common: dict[str, Any]
) -> None:
    steps = 12 if config is OnlineDPOConfig else 2
    args = config(
        **{**common, "max_steps": steps, "per_device_train_batch_size": 8, "learning_rate": 1e-2}, max_new_tokens=6
    )
    trainer = trainer_class(model, None, words, args=args, train_dataset=PROMPTS, processing_class=tokenizer)
    trainer.train()
    scores = [log["objective/scores"] for log in trainer.state.log_history if "objective/scores" in log]
    assert len(scores) == steps
    if steps > 2:
        assert sum(scores[-3:]) > sum(scores[:3])


def test_a_student_comes_closer_to_its_teacher(
    model: Any, tokenizer: Any, common: dict[str, Any], tokenizer_folder: Path
) -> None:
    options = {"teacher_model_init_kwargs": {"dtype": "float32"}, "lmbda": 0.5, "max_completion_length": 6}
    args = GKDConfig(**{**common, "max_steps": 20}, **options)
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    trainer = GKDTrainer(model, str(tokenizer_folder), args, train_dataset=CHATS, processing_class=tokenizer)
    batch = trainer.data_collator([trainer.train_dataset[place] for place in range(4)])
    before = float(trainer.batch_loss(trainer.model, batch))
    trainer.train()
    assert float(trainer.batch_loss(trainer.model, batch)) < 0.9 * before


def test_a_value_head_is_saved_with_its_model(model: Any, tmp_path: Path) -> None:
    headed = AutoModelForCausalLMWithValueHead.from_pretrained(model, v_head_init_strategy="normal")
    headed.save_pretrained(str(tmp_path))
    again = AutoModelForCausalLMWithValueHead.from_pretrained(str(tmp_path)).eval()
    ids = torch.tensor([[3, 4, 5]])
    for mine, right in zip(again(ids), headed.eval()(ids), strict=True):
        if right is not None:
            torch.testing.assert_close(mine, right)


def test_steps_of_ones_own_with_a_value_head(model: Any, tokenizer: Any, common: dict[str, Any]) -> None:
    headed = AutoModelForCausalLMWithValueHead.from_pretrained(model)
    config = PPOConfig(**{**common, "learning_rate": 1e-2}, batch_size=4, mini_batch_size=4, num_ppo_epochs=2)
    trainer = PPOTrainer(config, headed, None, tokenizer)
    queries = [torch.tensor(tokenizer(row["prompt"])["input_ids"]) for row in PAIRS[:4]]
    torch.manual_seed(0)
    scores = []
    for _ in range(20):
        answers = trainer.generate(queries, return_prompt=False, max_new_tokens=5, do_sample=True, top_k=0)
        rewards = [(answer % 2 == 0).float().sum() for answer in answers]
        stats = trainer.step(queries, answers, rewards)
        scores.append(stats["objective/scores"])
    assert sum(scores[-5:]) > sum(scores[:5]) + 2
    with pytest.raises(AlignmentError, match="finite"):
        trainer.step(queries, answers, [float("nan")] * 4)
    with pytest.raises(AlignmentError, match="4 queries, 3 responses"):
        trainer.step(queries, answers[:3], rewards)


def test_the_command_line_trains_with_settings_from_a_file(tokenizer_folder: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from enfold.cli.trl import app

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("\n".join(map(json.dumps, PAIRS)))
    (tmp_path / "settings.yaml").write_text(
        f"model_name_or_path: {tokenizer_folder}\ndataset_name: {tmp_path / 'data'}\noutput_dir: {tmp_path / 'out'}\n"
        "max_steps: 9\nuse_cpu: true\nreport_to: none\nsave_strategy: 'no'\nbf16: false\nuse_peft: true\n"
        "lora_target_modules: [q_proj]\ndisable_tqdm: true\n"
    )
    run = CliRunner().invoke
    done = run(app, ["dpo", "--config", str(tmp_path / "settings.yaml"), "--max_steps", "1", "--loss_type", "ipo"])
    assert done.exit_code == 0, done.exception
    assert (tmp_path / "out" / "adapter_model.safetensors").exists()
    (tmp_path / "settings.yaml").write_text("max_stepz: 1\n")
    wrong = run(app, ["sft", "--config", str(tmp_path / "settings.yaml")])
    assert isinstance(wrong.exception, ValueError) and "did you mean 'max_steps'" in str(wrong.exception)
    none = run(app, ["sft", "--output_dir", str(tmp_path)])
    assert isinstance(none.exception, AlignmentError) and "--model_name_or_path" in str(none.exception)
