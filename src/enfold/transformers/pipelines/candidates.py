"""What pipelines that choose among labels named in the call share: the labels as sentences, read once a batch."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from enfold.transformers.pipelines.alike import AlikePipeline

__all__ = ["CandidatesPipeline", "candidate_list"]


def candidate_list(labels: Any) -> list[str]:
    """Return labels given as a list, or as a text with commas between them.

    Raises:
        ValueError: there are no labels.

    Example:
        >>> candidate_list("cat, dog")
        ['cat', 'dog']
    """
    if isinstance(labels, str):
        labels = [label.strip() for label in labels.split(",")]
    if not labels:
        raise ValueError("candidate_labels are needed: the labels to choose from, a list or a text with commas")
    return list(labels)


class CandidatesPipeline(AlikePipeline):
    """Scores how well each of the ``candidate_labels`` fits what is seen or heard.

    A task makes features of its input in ``features`` and names the model's output in ``logits_name``.
    """

    hypothesis: ClassVar[str] = "This is {}."
    logits_name: ClassVar[str]
    _load_tokenizer = True

    def _sanitize_parameters(self, **parameters: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        names = ("candidate_labels", "hypothesis_template", "timeout", "tokenizer_kwargs")
        before = {name: parameters[name] for name in names if parameters.get(name) is not None}
        if (
            "hypothesis_template" in before
            and before["hypothesis_template"].format("x") == before["hypothesis_template"]
        ):
            raise ValueError(f"hypothesis_template has no {{}} for a label: {before['hypothesis_template']!r}")
        return before, {}, {}

    def features(self, inputs: Any, timeout: float | None) -> dict[str, Any]:
        """Return what the model sees or hears [1, …]."""
        raise NotImplementedError(f"{type(self).__name__} must define features")

    def reading(self) -> dict[str, Any]:
        """Return how the tokenizer reads the labels."""
        return {"padding": True}

    def score(self, logits: Any) -> Any:
        """Return the scores (labels,) of logits (labels,)."""
        return logits.softmax(-1)

    def preprocess(  # type: ignore[override]
        self,
        inputs: Any,
        candidate_labels: Any = None,
        hypothesis_template: str | None = None,
        timeout: float | None = None,
        tokenizer_kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Turn an input into features, with the labels beside them."""
        labels = candidate_list(candidate_labels)
        template = self.hypothesis if hypothesis_template is None else hypothesis_template
        return {
            **self.features(inputs, timeout),
            "candidate_labels": [labels],
            "sentences": [[template.format(label) for label in labels]],
            "reading": [{**self.reading(), **(tokenizer_kwargs or {})}],
        }

    def _forward(self, model_inputs: Any, **_: Any) -> Any:  # type: ignore[override]
        labels = model_inputs.pop("candidate_labels")
        sentences, reading = model_inputs.pop("sentences")[0], model_inputs.pop("reading")[0]
        texts = self.tokenizer(sentences, return_tensors="pt", **reading).to(self.device)
        made = self.model(**texts, **model_inputs)
        return {"candidate_labels": labels, "logits": getattr(made, self.logits_name)}

    def postprocess(self, model_outputs: Any, **_: Any) -> list[dict[str, Any]]:  # type: ignore[override]
        """Turn logits [1, labels] into labels with their scores, best first."""
        scores: torch.Tensor = self.score(model_outputs["logits"][0].float())
        found = zip(scores.tolist(), model_outputs["candidate_labels"][0], strict=True)
        return [{"score": score, "label": label} for score, label in sorted(found, key=lambda pair: -pair[0])]
