"""Teach a model what a picture shows.

    python examples/image_classification.py
    python examples/image_classification.py --data ethz/food101

The data has an image and a label a row; by default these are scikit-learn's handwritten digits.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from PIL import Image

from enfold import evaluate
from enfold.datasets import Dataset, DatasetDict, load_dataset
from enfold.transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    DefaultDataCollator,
    Trainer,
    TrainingArguments,
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="google/vit-base-patch16-224", help="folder or repository to start from")
    parser.add_argument("--data", default="digits", help="digits, or a data set on the Hub")
    parser.add_argument("--rows", type=int, default=1797, help="rows to use of the digits")
    parser.add_argument("--image", default="image", help="column of the pictures")
    parser.add_argument("--label", default="label", help="column of the labels")
    parser.add_argument("--output", default="picture-reader", help="folder for checkpoints and the model")
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--steps", type=int, default=-1, help="updates; by default as many as the epochs have")
    parser.add_argument("--batch", type=int, default=16, help="rows per batch")
    parser.add_argument("--rate", type=float, default=2e-4, help="learning rate")
    return parser.parse_args()


def digits(rows: int) -> DatasetDict:
    """Return training and test rows of small pictures of the digits 0 to 9."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pictures = [Image.fromarray((255 - picture * 15.9).astype(np.uint8)).convert("RGB") for picture in found.images]
    table = Dataset.from_dict({"image": pictures[:rows], "label": found.target[:rows].tolist()})
    return table.train_test_split(0.2, seed=0)


def main() -> None:
    args = arguments()
    rows = digits(args.rows) if args.data == "digits" else load_dataset(args.data)
    if "test" not in rows:
        rows = rows["train"].train_test_split(0.1, seed=0)
    classes = sorted(set(rows["train"][args.label]))
    processor = AutoImageProcessor.from_pretrained(args.model)
    model = AutoModelForImageClassification.from_pretrained(
        args.model, num_labels=len(classes), id2label=dict(enumerate(map(str, classes))), ignore_mismatched_sizes=True
    )

    def prepare(batch: dict[str, Any]) -> dict[str, Any]:
        pictures = [picture.convert("RGB") for picture in batch[args.image]]
        labels = [classes.index(label) for label in batch[args.label]]
        return {"pixel_values": processor(pictures, return_tensors="pt")["pixel_values"], "labels": labels}

    # Pictures are read and resized as they are needed: all of them at full size would not fit memory.
    rows = DatasetDict({name: part.with_transform(prepare) for name, part in rows.items()})
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
        remove_unused_columns=False,
        eval_strategy="epoch",
        save_strategy="no",
    )
    trainer = Trainer(
        model,
        training,
        DefaultDataCollator(),
        rows["train"],
        rows["test"],
        processing_class=processor,
        compute_metrics=measure,
    )
    trainer.train()
    trainer.log_metrics("eval", trainer.evaluate())
    trainer.save_model()


if __name__ == "__main__":
    main()
