"""Teach a model a language by hiding words.

    python examples/masked_language_modeling.py
    python examples/masked_language_modeling.py --data Salesforce/wikitext --name wikitext-2-raw-v1

The texts are put one after another and cut into rows of equal width, so that nothing is padded.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from enfold.datasets import DatasetDict, load_dataset
from enfold.transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainingArguments,
)

HERE = Path(__file__).parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="distilbert/distilroberta-base", help="folder or repository to start from")
    parser.add_argument(
        "--data", default=str(HERE / "data" / "sentences.jsonl"), help="file of rows, or a data set on the Hub"
    )
    parser.add_argument("--name", help="configuration of the data set")
    parser.add_argument("--text", default="text", help="column of the texts")
    parser.add_argument("--width", type=int, default=128, help="tokens a row")
    parser.add_argument("--hidden", type=float, default=0.15, help="share of the tokens to hide")
    parser.add_argument("--output", default="language-model", help="folder for checkpoints and the model")
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
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForMaskedLM.from_pretrained(args.model)

    def prepare(batch: dict[str, Any]) -> dict[str, Any]:
        tokens = tokenizer(batch[args.text])
        ids = [token for row in tokens["input_ids"] for token in row]
        width = min(args.width, len(ids))
        return {"input_ids": [ids[at : at + width] for at in range(0, len(ids) - width + 1, width)]}

    rows = rows.map(prepare, batched=True, remove_columns=rows["train"].column_names)
    training = TrainingArguments(
        output_dir=args.output,
        num_train_epochs=args.epochs,
        max_steps=args.steps,
        per_device_train_batch_size=args.batch,
        learning_rate=args.rate,
        eval_strategy="epoch",
        save_strategy="no",
        prediction_loss_only=True,
    )
    trainer = Trainer(
        model,
        training,
        DataCollatorForLanguageModeling(tokenizer, mlm_probability=args.hidden),
        rows["train"],
        rows["test"],
        processing_class=tokenizer,
    )
    trainer.train()
    metrics = trainer.evaluate()
    metrics["eval_perplexity"] = math.exp(metrics["eval_loss"])
    trainer.log_metrics("eval", metrics)
    trainer.save_model()


if __name__ == "__main__":
    main()
