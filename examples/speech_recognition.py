"""Teach a model to write down what it hears.

    python examples/speech_recognition.py
    python examples/speech_recognition.py --data PolyAI/minds14 --name en-US --text transcription

The data has audio and a text a row; by default these are words whose letters are tones, a fifth of a second each.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

from enfold import evaluate
from enfold.datasets import Audio, Dataset, DatasetDict, load_dataset
from enfold.transformers import AutoModelForCTC, AutoProcessor, Trainer, TrainingArguments

RATE = 16_000  # samples a second


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="facebook/wav2vec2-base-960h", help="folder or repository to start from")
    parser.add_argument("--data", default="tones", help="tones, or a data set on the Hub")
    parser.add_argument("--name", help="configuration of the data set")
    parser.add_argument("--text", default="text", help="column of the texts")
    parser.add_argument("--output", default="transcriber", help="folder for checkpoints and the model")
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--steps", type=int, default=-1, help="updates; by default as many as the epochs have")
    parser.add_argument("--batch", type=int, default=4, help="rows per batch")
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate")
    return parser.parse_args()


def tones(count: int = 48) -> DatasetDict:
    """Return words of four letters, sung."""
    random = np.random.default_rng(0)
    time = np.arange(RATE // 5) / RATE
    words = ["".join(random.choice(list("AEINORST"), 4)) for _ in range(count)]
    sung = [np.concatenate([np.sin(2 * np.pi * (40 * (ord(letter) - 60)) * time) for letter in word]) for word in words]
    table = Dataset.from_dict({"audio": [{"array": wave, "sampling_rate": RATE} for wave in sung], "text": words})
    return table.train_test_split(0.25, seed=0)


def main() -> None:
    args = arguments()
    rows = tones() if args.data == "tones" else load_dataset(args.data, args.name).cast_column("audio", Audio(RATE))
    if "test" not in rows:
        rows = rows["train"].train_test_split(0.1, seed=0)
    processor = AutoProcessor.from_pretrained(args.model)
    model = AutoModelForCTC.from_pretrained(args.model, ctc_loss_reduction="mean", ctc_zero_infinity=True)
    model.freeze_feature_encoder()

    def prepare(row: dict[str, Any]) -> dict[str, Any]:
        heard = processor(row["audio"]["array"], sampling_rate=RATE)["input_values"][0]
        return {"input_values": heard, "labels": processor.tokenizer(row[args.text].upper())["input_ids"]}

    rows = rows.map(prepare, remove_columns=rows["train"].column_names)

    def collate(batch: list[dict[str, Any]]) -> dict[str, Any]:
        heard = processor.feature_extractor.pad(
            [{"input_values": row["input_values"]} for row in batch], return_tensors="pt"
        )
        width = max(len(row["labels"]) for row in batch)
        labels = [[*row["labels"], *[-100] * (width - len(row["labels"]))] for row in batch]
        return {**heard, "labels": torch.tensor(labels)}

    wer, cer = evaluate.load("wer"), evaluate.load("cer")

    def measure(found: Any) -> dict[str, float]:
        logits, labels = found
        blank = processor.tokenizer.pad_token_id
        written = processor.batch_decode(np.argmax(logits, axis=-1))
        right = processor.batch_decode(np.where(labels == -100, blank, labels), group_tokens=False)
        return {
            name: score.compute(predictions=written, references=right) for name, score in (("wer", wer), ("cer", cer))
        }

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
        model, training, collate, rows["train"], rows["test"], processing_class=processor, compute_metrics=measure
    )
    trainer.train()
    trainer.log_metrics("eval", trainer.evaluate())
    trainer.save_model()


if __name__ == "__main__":
    main()
