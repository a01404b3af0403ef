"""Teach a model to write summaries.

    python examples/summarization.py
    python examples/summarization.py --data abisee/cnn_dailymail --document article --summary highlights

The data has a document and its summary a row.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from enfold import evaluate
from enfold.datasets import DatasetDict, load_dataset
from enfold.transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
)

HERE = Path(__file__).parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="google/flan-t5-small", help="folder or repository to start from")
    parser.add_argument(
        "--data", default=str(HERE / "data" / "summaries.jsonl"), help="file of rows, or a data set on the Hub"
    )
    parser.add_argument("--document", default="document", help="column of the documents")
    parser.add_argument("--summary", default="summary", help="column of the summaries")
    parser.add_argument("--prefix", default="summarize: ", help="what stands before each document")
    parser.add_argument("--beams", type=int, default=1, help="beams of the evaluation")
    parser.add_argument("--output", default="summarizer", help="folder for checkpoints and the model")
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--steps", type=int, default=-1, help="updates; by default as many as the epochs have")
    parser.add_argument("--batch", type=int, default=8, help="rows per batch")
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate")
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
    if "test" not in rows:
        rows = rows["train"].train_test_split(0.1, seed=0)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSeq2SeqLM.from_pretrained(args.model)

    def prepare(batch: dict[str, Any]) -> dict[str, Any]:
        documents = [args.prefix + text for text in batch[args.document]]
        return tokenizer(documents, text_target=batch[args.summary], truncation=True, max_length=512)

    rows = rows.map(prepare, batched=True, remove_columns=rows["train"].column_names)
    rouge = evaluate.load("rouge")

    def measure(found: Any) -> dict[str, float]:
        ids, labels = (np.where(array == -100, tokenizer.pad_token_id, array) for array in found)
        written = tokenizer.batch_decode(ids, skip_special_tokens=True)
        right = tokenizer.batch_decode(labels, skip_special_tokens=True)
        return rouge.compute(predictions=written, references=right)

    training = Seq2SeqTrainingArguments(
        output_dir=args.output,
        num_train_epochs=args.epochs,
        max_steps=args.steps,
        per_device_train_batch_size=args.batch,
        learning_rate=args.rate,
        predict_with_generate=True,
        generation_max_length=64,
        generation_num_beams=args.beams,
        eval_strategy="epoch",
        save_strategy="no",
    )
    trainer = Seq2SeqTrainer(
        model,
        training,
        DataCollatorForSeq2Seq(tokenizer, model),
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
