"""Zero-shot classification: how well labels of one's own fit a text, by whether it entails "this is about …"."""

from __future__ import annotations

from typing import Any

import torch

from enfold.log import get_logger
from enfold.transformers.pipelines.texts import Piece, TextPipeline

__all__ = ["ZeroShotClassificationPipeline"]

logger = get_logger(__name__)


class ZeroShotClassificationPipeline(TextPipeline):
    """Labels texts with labels that the model was not trained for.

    Arguments of a call (or of ``pipeline``): ``candidate_labels`` (a list, or a text with commas; also the second
    argument of a call), ``multi_label`` (each label is right or wrong on its own; once called ``multi_class``),
    ``hypothesis_template`` ("This example is {}.").

    Returns ``{"sequence", "labels", "scores"}`` for a text, best first, and a list of these for a list.

    Source: Yin et al., 2019, "Benchmarking Zero-shot Text Classification".
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.entailment_id == -1:
            logger.warning("no label of the model begins with 'entail': its last label is taken for entailment")

    @property
    def entailment_id(self) -> int:
        """The class that says that a text entails another; -1 where no label says so."""
        names = self.model.config.label2id
        return next((place for label, place in names.items() if label.lower().startswith("entail")), -1)

    def _sanitize_parameters(self, **given: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if given.get("multi_class") is not None:
            logger.warning("multi_class has become multi_label")
            given["multi_label"] = given["multi_class"]
        before: dict[str, Any] = {
            name: given[name] for name in ("candidate_labels", "hypothesis_template") if name in given
        }
        if isinstance(before.get("candidate_labels"), str):
            parts = before["candidate_labels"].split(",")
            before["candidate_labels"] = [part.strip() for part in parts if part.strip()]
        return before, {}, {name: given[name] for name in ("multi_label",) if name in given}

    def __call__(self, sequences: Any, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Label a text, a list of texts, a generator or a data set; a second argument holds the labels."""
        if len(args) > 1 or (args and "candidate_labels" in kwargs):
            raise ValueError(f"zero-shot-classification takes texts and labels; {len(args)} more arguments are given")
        if args:
            kwargs["candidate_labels"] = args[0]
        return super().__call__(sequences, **kwargs)

    def pieces(  # type: ignore[override]
        self,
        inputs: list[Any],
        candidate_labels: list[str] | None = None,
        hypothesis_template: str = "This example is {}.",
    ) -> list[list[Piece]]:
        """Pair every text with every label, and tokenize all pairs at once."""
        labels = list(candidate_labels or ())
        if not labels or not all(inputs):
            raise ValueError("zero-shot-classification needs at least one label and texts that are not empty")
        if hypothesis_template.format(labels[0]) == hypothesis_template:
            raise ValueError(f"hypothesis_template={hypothesis_template!r} has no place {{}} for the label")
        if self.tokenizer.pad_token is None:
            logger.warning("the tokenizer has no token for padding: its eos_token stands for it")
            self.tokenizer.pad_token = self.tokenizer.eos_token
        sentences = [hypothesis_template.format(label) for label in labels]
        pairs = [text for text in inputs for _ in labels], [sentence for _ in inputs for sentence in sentences]
        try:
            encoded = self.tokenizer(*pairs, truncation="only_first")
        except Exception as error:
            if "too short" not in str(error):  # a text that cannot be cut as far as it would need to be
                raise
            encoded = self.tokenizer(*pairs, truncation=False)
        rows = iter(self.rows(encoded))
        return [[Piece(next(rows), {"label": label, "sequence": text}) for label in labels] for text in inputs]

    def take(self, outputs: Any, row: int, piece: Piece, kept: slice) -> Any:
        """Return the row's logits (classes,)."""
        return {"logits": outputs["logits"][row]}

    def postprocess(self, model_outputs: list[Piece], multi_label: bool = False) -> dict[str, Any]:  # type: ignore[override]
        """Turn the logits of a text's pairs into labels with their scores."""
        labels = [piece.about["label"] for piece in model_outputs]
        logits = torch.stack([piece.outputs["logits"] for piece in model_outputs]).float()  # (labels, classes)
        yes = self.entailment_id
        if multi_label or len(labels) == 1:
            no = -1 if yes == 0 else 0
            scores = logits[:, [no, yes]].softmax(-1)[:, 1]
        else:
            scores = logits[:, yes].softmax(-1)
        ranking = scores.numpy().argsort()[::-1].tolist()
        return {
            "sequence": model_outputs[0].about["sequence"],
            "labels": [labels[place] for place in ranking],
            "scores": [scores[place].item() for place in ranking],
        }
