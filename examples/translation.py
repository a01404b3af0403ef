"""Teach a model to translate.

    python examples/translation.py
    python examples/translation.py --data Helsinki-NLP/opus_books --name en-fr

The data has a translation a row: language → text.
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
    parser.add_argument("--model", default="Helsinki-NLP/opus-mt-en-fr", help="folder or repository to start from")
    parser.add_argument(
        "--data", default=str(HERE / "data" / "translations.jsonl"), help="file of rows, or a data set on the Hub"
    )
    parser.add_argument("--name", help="configuration of the data set")
    parser.add_argument("--source", default="en", help="language to translate from")
    parser.add_argument("--target", default="fr", help="language to translate to")
    parser.add_argument("--prefix", default="", help="what stands before each text")
    parser.add_argument("--beams", type=int, default=1, help="beams of the evaluation")
    parser.add_argument("--output", default="translator", help="folder for checkpoints and the model")
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--steps", type=int, default=-1, help="updates; by default as many as the epochs have")
    parser.add_argument("--batch", type=int, default=8, help="rows per batch")
    parser.add_argument("--rate", type=float, default=5e-5, help="learning rate")
    return parser.parse_args()


def read(name: str, configuration: str | None) -> DatasetDict:
    """Return training and test rows of a file, cut in two, or of a data set on the Hub."""
    if not name.endswith((".jsonl", ".json", ".csv")):
        return load_dataset(name, configuration)
    return load_dataset("csv" if name.endswith(".csv") else "json", data_files=name, split="train").train_test_split(
        0.25, seed=0
    )


def main() -> None:
    args = arguments()
    rows = read(args.data, args.name)
    if "test" not in rows:
        rows = rows["train"].train_test_split(0.1, seed=0)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSeq2SeqLM.from_pretrained(args.model)

    def prepare(batch: dict[str, Any]) -> dict[str, Any]:
        sources = [args.prefix + pair[args.source] for pair in batch["translation"]]
        targets = [pair[args.target] for pair in batch["translation"]]
        return tokenizer(sources, text_target=targets, truncation=True, max_length=128)

    rows = rows.map(prepare, batched=True, remove_columns=rows["train"].column_names)
    bleu = evaluate.load("sacrebleu")

    def measure(found: Any) -> dict[str, float]:
        ids, labels = (np.where(array == -100, tokenizer.pad_token_id, array) for array in found)
        written = tokenizer.batch_decode(ids, skip_special_tokens=True)
        right = tokenizer.batch_decode(labels, skip_special_tokens=True)
        return {"bleu": bleu.compute(predictions=written, references=[[text] for text in right])["score"]}

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
