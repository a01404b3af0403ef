"""Teach a model to find names: a label for every word.

    python examples/token_classification.py

The data has words and as many tags (B-…, I-…, O) a row.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from enfold import evaluate
from enfold.datasets import DatasetDict, load_dataset
from enfold.transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
)

HERE = Path(__file__).parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default="distilbert/distilbert-base-cased", help="folder or repository to start from"
    )
    parser.add_argument(
        "--data", default=str(HERE / "data" / "entities.jsonl"), help="file of rows, or a data set on the Hub"
    )
    parser.add_argument("--words", default="tokens", help="column of the words")
    parser.add_argument("--tags", default="tags", help="column of the tags")
    parser.add_argument("--output", default="name-finder", help="folder for checkpoints and the model")
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--steps", type=int, default=-1, help="updates; by default as many as the epochs have")
    parser.add_argument("--batch", type=int, default=8, help="rows per batch")
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
    names = sorted({tag for tags in rows["train"][args.tags] for tag in tags})
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForTokenClassification.from_pretrained(
        args.model, num_labels=len(names), id2label=dict(enumerate(names)), ignore_mismatched_sizes=True
    )

    def prepare(batch: dict[str, Any]) -> dict[str, Any]:
        tokens = tokenizer(batch[args.words], is_split_into_words=True, truncation=True)
        labels = []
        for row, tags in enumerate(batch[args.tags]):
            words = tokens.word_ids(row)
            # Only the first token of a word is judged.
            first = [word is not None and word != before for word, before in zip(words, [None, *words], strict=False)]
            labels.append(
                [names.index(tags[w]) if is_first else -100 for w, is_first in zip(words, first, strict=True)]
            )
        return {**tokens, "labels": labels}

    rows = rows.map(prepare, batched=True, remove_columns=rows["train"].column_names)
    seqeval = evaluate.load("seqeval")

    def measure(found: Any) -> dict[str, float]:
        logits, labels = found
        guesses, kept = np.argmax(logits, axis=-1), labels != -100
        predicted = [[names[tag] for tag in row[mask]] for row, mask in zip(guesses, kept, strict=True)]
        right = [[names[tag] for tag in row[mask]] for row, mask in zip(labels, kept, strict=True)]
        scores = seqeval.compute(predictions=predicted, references=right)
        return {name: scores[f"overall_{name}"] for name in ("precision", "recall", "f1", "accuracy")}

    training = TrainingArguments(
        output_dir=args.output,
        num_train_epochs=args.epochs,
        max_steps=args.steps,
        per_device_train_batch_size=args.batch,
        learning_rate=args.rate,
        eval_strategy="epoch",
        save_strategy="no",
    )
    trainer = Trainer(
        model,
        training,
        DataCollatorForTokenClassification(tokenizer),
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
