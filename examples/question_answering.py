"""Teach a model where in a passage an answer stands.

    python examples/question_answering.py
    python examples/question_answering.py --data rajpurkar/squad --epochs 2

The data is shaped as SQuAD: id, question, context, and answers with text and answer_start.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from enfold import evaluate
from enfold.datasets import DatasetDict, load_dataset
from enfold.transformers import (
    AutoModelForQuestionAnswering,
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
        "--data", default=str(HERE / "data" / "questions.jsonl"), help="file of rows, or a data set on the Hub"
    )
    parser.add_argument("--output", default="answerer", help="folder for checkpoints and the model")
    parser.add_argument("--epochs", type=float, default=3)
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
    held_out = rows["test" if "test" in rows else "validation"]
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForQuestionAnswering.from_pretrained(args.model)

    def prepare(batch: dict[str, Any]) -> dict[str, Any]:
        tokens = tokenizer(
            batch["question"], batch["context"], truncation="only_second", max_length=384, return_offsets_mapping=True
        )
        starts, ends = [], []
        for row, answers in enumerate(batch["answers"]):
            begin = answers["answer_start"][0]
            end = begin + len(answers["text"][0])
            kinds, offsets = tokens.sequence_ids(row), tokens["offset_mapping"][row]
            inside = [i for i, (a, b) in enumerate(offsets) if kinds[i] == 1 and a < end and b > begin]
            # An answer that was cut off is none: both ends point at the first token.
            starts.append(inside[0] if inside else 0)
            ends.append(inside[-1] if inside else 0)
        return {**tokens, "start_positions": starts, "end_positions": ends}

    train = rows["train"].map(prepare, batched=True, remove_columns=rows["train"].column_names)
    test = held_out.map(prepare, batched=True, remove_columns=held_out.column_names)
    squad = evaluate.load("squad")

    def measure(found: Any) -> dict[str, float]:
        starts, ends = found.predictions
        predictions = []
        for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
            offsets = test[row]["offset_mapping"]
            first, last = int(np.argmax(start[: len(offsets)])), int(np.argmax(end[: len(offsets)]))
            text = held_out[row]["context"][offsets[first][0] : offsets[last][1]] if last >= first else ""
            predictions.append({"id": held_out[row]["id"], "prediction_text": text})
        references = [{"id": row["id"], "answers": row["answers"]} for row in held_out]
        return squad.compute(predictions=predictions, references=references)

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
        DataCollatorWithPadding(tokenizer),
        train,
        test,
        processing_class=tokenizer,
        compute_metrics=measure,
    )
    trainer.train()
    trainer.log_metrics("eval", trainer.evaluate())
    trainer.save_model()


if __name__ == "__main__":
    main()
