"""Which model type lives where, what it can do, and which tokenizer it uses: data, no code.

A new family adds one row here and its classes to the package's table.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MODELS", "TASKS", "TOKENIZERS", "Row"]


class Row(NamedTuple):
    """A model type: its module under ``models`` and ``configs``, the prefix of its classes, what follows the prefix.

    ``heads`` lists the endings of its classes; where a task's class ends otherwise than the task's usual ending,
    ``other`` says how (task → ending).
    """

    module: str
    prefix: str
    heads: tuple[str, ...]
    other: dict[str, str] = {}


_ENCODER = ("ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")

MODELS: dict[str, Row] = {
    "bert": Row(
        "bert",
        "Bert",
        ("Model", "ForPreTraining", "LMHeadModel", "ForNextSentencePrediction", *_ENCODER, "ForMultipleChoice"),
        {"CausalLM": "LMHeadModel"},
    ),
    "distilbert": Row(
        "distilbert", "DistilBert", ("Model", *_ENCODER, "ForMultipleChoice"), {"PreTraining": "ForMaskedLM"}
    ),
    "gpt2": Row(
        "gpt2",
        "GPT2",
        ("Model", "LMHeadModel", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"),
        {"CausalLM": "LMHeadModel", "PreTraining": "LMHeadModel"},
    ),
    "llama": Row(
        "llama",
        "Llama",
        ("Model", "ForCausalLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"),
        {"PreTraining": "ForCausalLM"},
    ),
}

# task → the usual ending of its classes
TASKS: dict[str, str] = {
    "Model": "Model",
    "PreTraining": "ForPreTraining",
    "CausalLM": "ForCausalLM",
    "MaskedLM": "ForMaskedLM",
    "SequenceClassification": "ForSequenceClassification",
    "TokenClassification": "ForTokenClassification",
    "QuestionAnswering": "ForQuestionAnswering",
    "MultipleChoice": "ForMultipleChoice",
    "NextSentencePrediction": "ForNextSentencePrediction",
}

# model type → its tokenizer classes: the one in Python's place in the ecosystem, and the fast one
TOKENIZERS: dict[str, tuple[str, str]] = {
    "bert": ("BertTokenizer", "BertTokenizerFast"),
    "distilbert": ("DistilBertTokenizer", "DistilBertTokenizerFast"),
    "gpt2": ("GPT2Tokenizer", "GPT2TokenizerFast"),
    "llama": ("LlamaTokenizer", "LlamaTokenizerFast"),
}


def class_name(model_type: str, task: str) -> str | None:
    """Return the name of the class that does ``task`` for a model type, or None.

    Example:
        >>> class_name("gpt2", "CausalLM"), class_name("gpt2", "MaskedLM")
        ('GPT2LMHeadModel', None)
    """
    row = MODELS[model_type]
    ending = row.other.get(task, TASKS[task])
    return row.prefix + ending if ending in row.heads else None
