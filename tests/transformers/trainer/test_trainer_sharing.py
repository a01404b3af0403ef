"""Sharing what was trained: pushes to the Hub, and adapters that bring their base model along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from trainer_small import rows

from enfold.hubserver import EmbeddedHub
from enfold.peft import AutoPeftModel, AutoPeftModelForSequenceClassification, LoraConfig, PeftModel, get_peft_model
from enfold.transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
    default_data_collator,
)
from enfold.transformers.trainer.adapters import UnknownBaseModel


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with EmbeddedHub(tmp_path / "hub") as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        monkeypatch.setenv("HF_TOKEN", running.token)
        yield running


def bert() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=40,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=16,
            num_labels=3,
        )
    )


def data() -> list[dict[str, Any]]:
    return [{"input_ids": [3 + index % 20, 5, 7], "labels": row["labels"]} for index, row in enumerate(rows(24))]


def trained(folder: Path, model: torch.nn.Module, **options: Any) -> Trainer:
    args = TrainingArguments(
        str(folder), max_steps=4, save_steps=2, logging_steps=2, use_cpu=True, push_to_hub=True, **options
    )
    made = Trainer(model, args, default_data_collator, train_dataset=data(), eval_dataset=data())
    made.train()
    return made


IDS = torch.tensor([[4, 5, 7]])


def test_a_trained_model_is_pushed_with_its_card_and_loads_by_name(hub: Any, tmp_path: Path) -> None:
    from enfold.hub import HfApi, hf_hub_download

    made = trained(tmp_path / "my-classifier", bert(), hub_strategy="checkpoint")
    made.evaluate()
    made.push_to_hub("Share it", dataset="rows of our own", license="mit")
    name = made.hub_model_id
    files = set(HfApi().list_repo_files(name))
    assert {"model.safetensors", "config.json", "README.md", "training_args.json"} <= files
    assert "last-checkpoint/optimizer.pt" in files and not any(file.startswith("checkpoint-") for file in files)
    card = Path(hf_hub_download(name, "README.md")).read_text()
    assert "license: mit" in card and "rows of our own" in card and "| loss |" in card
    loaded = BertForSequenceClassification.from_pretrained(name)
    torch.testing.assert_close(loaded(IDS).logits, made.model.eval()(IDS).logits)


@pytest.mark.parametrize(
    ("strategy", "pushed", "kept"),
    [("end", 0, set()), ("every_save", 2, set()), ("all_checkpoints", 4, {"checkpoint-2", "checkpoint-4"})],
)
def test_checkpoints_are_pushed_as_the_strategy_says(
    hub: Any, tmp_path: Path, strategy: str, pushed: int, kept: set[str]
) -> None:
    from enfold.hub import HfApi

    made = trained(tmp_path / "model", bert(), hub_strategy=strategy, hub_model_id=f"{strategy.replace('_', '-')}-one")
    api = HfApi()
    titles = [commit.title for commit in api.list_repo_commits(made.hub_model_id)]
    assert sum("step" in title for title in titles) == pushed
    files = set(api.list_repo_files(made.hub_model_id))
    assert {file.split("/")[0] for file in files if file.endswith("optimizer.pt")} == kept
    assert ("model.safetensors" in files) == (pushed > 0)


def test_an_adapter_is_pushed_and_brings_its_base_model_along(hub: Any, tmp_path: Path) -> None:
    base = bert()
    base.save_pretrained(tmp_path / "base")
    model = get_peft_model(
        BertForSequenceClassification.from_pretrained(tmp_path / "base"), LoraConfig(task_type="SEQ_CLS", r=2)
    )
    made = trained(tmp_path / "adapter", model, hub_strategy="end")
    commit = model.push_to_hub(f"{made.hub_model_id}")
    assert commit is not None
    expected = model.eval()(IDS).logits
    assert not torch.equal(expected, base.eval()(IDS).logits)
    for kind in (AutoPeftModel, AutoPeftModelForSequenceClassification):
        loaded = kind.from_pretrained(made.hub_model_id)
        assert isinstance(loaded, PeftModel)
        torch.testing.assert_close(loaded(IDS).logits, expected)


def test_an_adapter_without_a_base_model_says_so(tmp_path: Path) -> None:
    get_peft_model(bert(), LoraConfig(task_type="SEQ_CLS", r=2)).save_pretrained(tmp_path)
    with pytest.raises(UnknownBaseModel, match="names no base model"):
        AutoPeftModel.from_pretrained(tmp_path)


def test_training_adapters_resumes_bit_for_bit(tmp_path: Path) -> None:
    def run(folder: Path, resume: bool = False, **options: Any) -> Trainer:
        torch.manual_seed(0)
        model = get_peft_model(bert(), LoraConfig(task_type="SEQ_CLS", r=2, lora_dropout=0.1))
        args = TrainingArguments(str(folder), logging_steps=1, use_cpu=True, learning_rate=1e-2, **options)
        made = Trainer(model, args, default_data_collator, train_dataset=data())
        made.train(resume_from_checkpoint=resume)
        return made

    straight = run(tmp_path / "a", max_steps=8, save_strategy="no")
    run(tmp_path / "b", max_steps=5, save_steps=5, lr_scheduler_type="constant")
    names = {path.name for path in (tmp_path / "b" / "checkpoint-5").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "optimizer.pt"} <= names
    assert "model.safetensors" not in names
    constant = run(tmp_path / "c", max_steps=8, save_strategy="no", lr_scheduler_type="constant")
    second = run(tmp_path / "b", resume=True, max_steps=8, save_strategy="no", lr_scheduler_type="constant")
    for (name, one), (_, two) in zip(constant.model.named_parameters(), second.model.named_parameters(), strict=True):
        assert torch.equal(one, two), name
    assert straight.state.global_step == second.state.global_step == 8
