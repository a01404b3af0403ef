"""Seq2SeqTrainer: evaluation of what a model writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from enfold.transformers import (
    DataCollatorForSeq2Seq,
    GenerationConfig,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    T5Config,
    T5ForConditionalGeneration,
)
from enfold.transformers.trainer.parts import TrainerError


class Tokenizer:
    """What collator and trainer ask for."""

    pad_token_id, eos_token_id, pad_token_type_id, padding_side = 0, 1, 0, "right"
    model_input_names = ["input_ids", "attention_mask"]

    def pad(self) -> None: ...


def model() -> T5ForConditionalGeneration:
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=30,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        dropout_rate=0.0,
    )
    return T5ForConditionalGeneration(config)


def data(count: int = 6) -> list[dict[str, Any]]:
    """Rows to be copied, of several lengths."""
    rows = [[3 + (index * 5 + place) % 20 for place in range(2 + index % 3)] + [1] for index in range(count)]
    return [{"input_ids": row, "attention_mask": [1] * len(row), "labels": row} for row in rows]


def make(folder: Path, **options: Any) -> Seq2SeqTrainer:
    given = {name: options.pop(name) for name in ("compute_metrics", "processing_class") if name in options}
    args = Seq2SeqTrainingArguments(
        str(folder), per_device_eval_batch_size=2, use_cpu=True, save_strategy="no", **options
    )
    net, tokenizer = model(), given.pop("processing_class", Tokenizer())
    return Seq2SeqTrainer(
        net, args, DataCollatorForSeq2Seq(Tokenizer(), net), data(), data(), processing_class=tokenizer, **given
    )


def test_predictions_are_what_the_model_writes_in_one_width(tmp_path: Path) -> None:
    trainer = make(tmp_path, predict_with_generate=True, generation_max_length=7)
    predicted = trainer.predict(data())
    assert predicted.predictions.shape == (6, 7) and predicted.label_ids.shape == (6, 7)
    row = data()[3]
    alone = trainer.model.eval().generate(input_ids=torch.tensor([row["input_ids"]]), max_length=7)[0].tolist()
    assert predicted.predictions[3].tolist()[: len(alone)] == alone
    assert predicted.metrics is not None and predicted.metrics["test_loss"] > 0


def test_metrics_get_token_ids(tmp_path: Path) -> None:
    def exact(found: Any) -> dict[str, float]:
        written, labels = found
        assert written.dtype == labels.dtype == np.int64
        return {"width": float(written.shape[1])}

    trainer = make(tmp_path, predict_with_generate=True, compute_metrics=exact)
    assert trainer.evaluate(max_new_tokens=4)["eval_width"] == 5
    assert trainer.evaluate(max_length=9, num_beams=2)["eval_width"] == 9
    plain = make(tmp_path, compute_metrics=lambda found: {"tuple": float(isinstance(found.predictions, tuple))})
    assert plain.evaluate()["eval_tuple"] == 1.0  # without generation: the model's own outputs


def test_training_makes_a_model_write_what_it_learnt(tmp_path: Path) -> None:
    trainer = make(
        tmp_path,
        predict_with_generate=True,
        generation_max_length=6,
        num_train_epochs=80,
        learning_rate=1e-2,
        per_device_train_batch_size=6,
        disable_tqdm=True,
        logging_strategy="no",
    )
    trainer.train()
    written = trainer.predict(data()).predictions
    right = [row["labels"] == list(ids[1 : 1 + len(row["labels"])]) for row, ids in zip(data(), written, strict=True)]
    assert sum(right) >= 5


def test_a_generation_configuration_of_ones_own_is_used(tmp_path: Path) -> None:
    GenerationConfig(max_new_tokens=3, num_beams=2, decoder_start_token_id=0, pad_token_id=0).save_pretrained(tmp_path)
    for given in (str(tmp_path), str(tmp_path / "generation_config.json"), GenerationConfig.from_pretrained(tmp_path)):
        trainer = make(tmp_path, predict_with_generate=True, generation_config=given)
        assert trainer.model.generation_config.num_beams == 2
        assert trainer.predict(data()).predictions.shape[1] == 4
    assert isinstance(trainer.args.to_dict()["generation_config"], dict)


def test_rows_cannot_be_filled_up_without_a_padding_token(tmp_path: Path) -> None:
    trainer = make(tmp_path, predict_with_generate=True, processing_class=object(), generation_max_length=9)
    trainer.model.config.pad_token_id = None
    assert trainer._pad_tensors_to_max_len(torch.ones(1, 9), 9).shape == (1, 9)
    with pytest.raises(TrainerError, match="padding token"):
        trainer._pad_tensors_to_max_len(torch.ones(1, 8), 9)


def test_sortish_is_by_length(tmp_path: Path) -> None:
    assert Seq2SeqTrainingArguments("out", sortish_sampler=True).train_sampling_strategy == "group_by_length"
