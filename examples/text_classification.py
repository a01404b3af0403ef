"""Teach a model which class a text belongs to.

    python examples/text_classification.py
    python examples/text_classification.py --data stanfordnlp/imdb --epochs 3

The data has a text and a label (a class or its number) a row.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from enfold import evaluate
from enfold.datasets import DatasetDict, load_dataset
from enfold.transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

HERE = Path(__file__).parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default="distilbert/distilbert-base-uncased", help="folder or repository to start from"
    )
    parser.add_argument(
        "--data", default=str(HERE / "data" / "reviews.jsonl"), help="file of rows, or a data set on the Hub"
    )
    parser.add_argument("--text", default="text", help="column of the texts")
    parser.add_argument("--label", default="label", help="column of the labels")
    parser.add_argument("--output", default="text-classifier", help="folder for checkpoints and the model")
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--steps", type=int, default=-1, help="updates; by default as many as the epochs have")
    parser.add_argument("--batch", type=int, default=16, help="rows per batch")
    parser.add_argument("--rate", type=float, default=5e-5, help="learning rate")
    return parser.parse_args()


def read(name: str) -> DatasetDict:
    """Return training and test rows of a file, cut in two, or of a data set on the Hub."""
    if not name.endswith((".jsonl", ".json", ".csv")):
        return load_dataset(name)
    return load_dataset("csv" if name.endswith(".csv") else "json", data_files=name, split="train").train_test_split(
        0.25, seed=0
    )


def main() -> None:
    args = arguments()
    rows = read(args.data)
    classes = sorted(set(rows["train"][args.label]))
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSequenceClassification.from_pretrained(
        args.model, num_labels=len(classes), id2label=dict(enumerate(map(str, classes))), ignore_mismatched_sizes=True
    )

    def prepare(batch: dict[str, Any]) -> dict[str, Any]:
        tokens = tokenizer(batch[args.text], truncation=True, max_length=256)
        return {**tokens, "labels": [classes.index(label) for label in batch[args.label]]}

    rows = rows.map(prepare, batched=True, remove_columns=rows["train"].column_names)
    accuracy = evaluate.load("accuracy")

    def measure(found: Any) -> dict[str, float]:
        logits, labels = found
        return accuracy.compute(predictions=np.argmax(logits, axis=-1), references=labels)

    training = TrainingArguments(
        output_dir=args.output,
        num_train_epochs=args.epochs,
        max_steps=args.steps,
        per_device_train_batch_size=args.batch,
        learning_rate=args.rate,
        train_sampling_strategy="group_by_length",
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
    )
    trainer = Trainer(
        model,
        training,
        DataCollatorWithPadding(tokenizer),
        rows["train"],
        rows["test"],
        processing_class=tokenizer,
        compute_metrics=measure,
    )
    trainer.train()
    trainer.log_metrics("eval", trainer.evaluate())
    trainer.save_model()


if __name__ == "__main__":
    main()
