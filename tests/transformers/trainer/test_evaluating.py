"""Evaluations: metrics by batch, batches kept apart, memory, and what is asked for when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trainer_small import rows, trainer

from enfold.transformers.trainer import EvalPrediction
from enfold.transformers.trainer.parts import TrainerError


class Accuracy:
    """Counts batch by batch."""

    def __init__(self) -> None:
        self.right = self.rows = 0
        self.widths: list[int] = []
        self.last: list[bool] = []

    def __call__(self, found: EvalPrediction, compute_result: bool) -> dict[str, float]:
        self.right += int((found.predictions.argmax(-1) == found.label_ids).sum())
        self.rows += len(found.label_ids)
        self.widths.append(len(found.label_ids))
        self.last.append(compute_result)
        return {"accuracy": self.right / self.rows} if compute_result else {}


def test_metrics_can_be_counted_batch_by_batch(tmp_path: Path) -> None:
    counted = Accuracy()
    made = trainer(
        tmp_path, eval_dataset=rows(21), compute_metrics=counted, batch_eval_metrics=True, per_device_eval_batch_size=8
    )
    found = made.evaluate()
    assert counted.widths == [8, 8, 5] and counted.last == [False, False, True]
    predicted = made.predict(rows(21))
    assert predicted.predictions.shape == (21, 3)
    right = predicted.predictions.argmax(-1) == predicted.label_ids
    assert found["eval_accuracy"] == pytest.approx(float(np.mean(right)))


def test_metrics_by_batch_need_to_know_the_last(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="compute_result"):
        trainer(tmp_path, compute_metrics=lambda found: {}, batch_eval_metrics=True)


def test_batches_can_be_kept_apart(tmp_path: Path) -> None:
    made = trainer(tmp_path, per_device_eval_batch_size=8, eval_do_concat_batches=False)
    predicted = made.predict(rows(21))
    assert [len(batch) for batch in predicted.predictions] == [8, 8, 5]
    assert predicted.label_ids is not None and [len(batch) for batch in predicted.label_ids] == [8, 8, 5]


def test_memory_is_measured_when_asked_for(tmp_path: Path) -> None:
    made = trainer(tmp_path, eval_dataset=rows(8), skip_memory_metrics=False, max_steps=2)
    output = made.train()
    assert {"train_mem_cpu_alloc_delta", "train_mem_cpu_peaked_delta"} <= set(output.metrics)
    assert "eval_mem_cpu_alloc_delta" in made.evaluate()
    assert "0MB" in str(made.metrics_format({"train_mem_cpu_alloc_delta": 1000.0}))


def test_tokens_per_second_are_counted(tmp_path: Path) -> None:
    made = trainer(tmp_path, include_num_input_tokens_seen="all", max_steps=2)
    made._main_input = "x"
    made.model.main_input_name = "x"  # type: ignore[assignment]
    output = made.train()
    assert made.state.num_input_tokens_seen == 2 * 4 * 4 and output.metrics["train_tokens_per_second"] > 0


def test_evaluation_at_the_start(tmp_path: Path) -> None:
    made = trainer(tmp_path, eval_dataset=rows(8), eval_on_start=True, max_steps=2)
    made.train()
    assert made.state.log_history[0]["step"] == 0 and "eval_loss" in made.state.log_history[0]


def test_evaluation_during_training_needs_rows(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="there is no eval_dataset"):
        trainer(tmp_path, eval_strategy="epoch")


def test_losses_are_drawn(tmp_path: Path) -> None:
    made = trainer(tmp_path, eval_dataset=rows(8), eval_strategy="epoch")
    made.train()
    picture = (tmp_path / "loss.svg").read_text()
    assert picture.startswith("<svg") and picture.count("<polyline") == 2
    assert ">loss</text>" in picture and ">eval_loss</text>" in picture
    import xml.etree.ElementTree as tree

    points = [
        line.get("points", "").split() for line in tree.fromstring(picture).iter() if line.tag.endswith("polyline")
    ]
    assert [len(curve) for curve in points] == [5, 2]


def test_nothing_is_written_where_nothing_is_logged(tmp_path: Path) -> None:
    trainer(tmp_path / "run", logging_strategy="no", max_steps=2).train()
    assert not (tmp_path / "run").exists()


def test_sizes_and_groups_can_be_asked_for(tmp_path: Path) -> None:
    made = trainer(tmp_path, gradient_accumulation_steps=3, weight_decay=0.1)
    assert made.get_total_train_batch_size(made.args) == 12
    with pytest.raises(TrainerError, match="no optimizer yet"):
        made.get_optimizer_group()
    made.create_optimizer()
    assert made.get_optimizer_group("first.weight")["weight_decay"] == 0.1
    assert made.get_optimizer_group(made.model.first.bias)["weight_decay"] == 0.0  # type: ignore[union-attr,arg-type]
    with pytest.raises(TrainerError, match=r"did you mean 'first\.weight'"):
        made.get_optimizer_group("first.weigt")
    assert made.get_num_trainable_parameters() == 131
    assert made.metrics_format({"train_runtime": 3725.5, "total_flos": float(3 << 30), "loss": 0.5}) == {
        "train_runtime": "1:02:05.50",
        "total_flos": "3GF",
        "loss": 0.5,
    }
