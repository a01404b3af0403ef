"""Question answering: the part of a text that answers a question."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from enfold.transformers.pipelines.texts import Piece, TextPipeline

__all__ = ["QuestionAnsweringPipeline", "SquadExample"]

LONGEST = 384  # tokens of question and context together, where the model could read more
HIDDEN = -10000.0  # logit of what cannot be an answer


class SquadExample:
    """A question with the text that answers it.

    Args:
        qas_id: an id.
        question_text: the question.
        context_text: the text.
        answer_text: the answer, where it is known.
        start_position_character: where the answer starts.
        title: of the text.
        answers: all known answers.
        is_impossible: the text does not say.
    """

    def __init__(
        self,
        qas_id: Any,
        question_text: str,
        context_text: str,
        answer_text: str | None = None,
        start_position_character: int | None = None,
        title: str | None = None,
        answers: Iterable[Any] = (),
        is_impossible: bool = False,
    ) -> None:
        self.qas_id = qas_id
        self.question_text = question_text
        self.context_text = context_text
        self.answer_text = answer_text
        self.start_position_character = start_position_character
        self.title = title
        self.answers = list(answers)
        self.is_impossible = is_impossible


class QuestionAnsweringPipeline(TextPipeline):
    """Answers questions from texts.

    Takes ``question=`` and ``context=`` (texts, or lists of them; one context may serve many questions), or
    dictionaries with these keys, or ``SquadExample``. Arguments of a call (or of ``pipeline``): ``top_k`` (or
    ``topk``), ``doc_stride`` (tokens by which the parts of a long text overlap, 128), ``max_answer_len`` (tokens, 15),
    ``max_seq_len`` (tokens of a part, 384), ``max_question_len``, ``handle_impossible_answer`` (an empty answer may be
    the best), ``align_to_words`` (answers are whole words), ``padding``.

    Returns ``{"score", "start", "end", "answer"}``, places counted in characters; a list of these with ``top_k``.
    """

    default_input_names = "question,context"

    def _sanitize_parameters(
        self,
        padding: Any = None,
        topk: int | None = None,
        top_k: int | None = None,
        doc_stride: int | None = None,
        max_answer_len: int | None = None,
        max_seq_len: int | None = None,
        max_question_len: int | None = None,
        handle_impossible_answer: bool | None = None,
        align_to_words: bool | None = None,
        **_: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if topk is not None and top_k is None:
            warnings.warn("topk has become top_k", UserWarning, stacklevel=3)
            top_k = topk
        for name, value in (("top_k", top_k), ("max_answer_len", max_answer_len)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is at least 1, not {value}")
        before = {"doc_stride": doc_stride, "max_seq_len": max_seq_len}
        after = {
            "top_k": top_k,
            "max_answer_len": max_answer_len,
            "handle_impossible_answer": handle_impossible_answer,
            "align_to_words": align_to_words,
        }
        given = ({key: value for key, value in part.items() if value is not None} for part in (before, after))
        return next(given), {}, next(given)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Answer one question, a list of them, a generator or a data set."""
        inputs = _examples(args, kwargs)
        if isinstance(inputs, list) and len(inputs) == 1:
            inputs = inputs[0]
        return super().__call__(inputs, **kwargs)

    @staticmethod
    def create_sample(question: Any, context: Any) -> Any:
        """Return a ``SquadExample``, or a list of them for lists."""
        if isinstance(question, list):
            return [SquadExample(None, one, other) for one, other in zip(question, context, strict=False)]
        return SquadExample(None, question, context)

    def pieces(  # type: ignore[override]
        self, inputs: list[Any], doc_stride: int | None = None, max_seq_len: int | None = None
    ) -> list[list[Piece]]:
        """Tokenize all questions with their texts at once; a long text has several pieces."""
        if not self.tokenizer.is_fast:
            raise ValueError("question-answering needs a tokenizer that knows where tokens are in the text")
        examples = [_normal(item) for item in inputs]
        length = min(self.tokenizer.model_max_length, LONGEST) if max_seq_len is None else max_seq_len
        stride = min(length // 2, 128) if doc_stride is None else doc_stride
        if stride > length:
            raise ValueError(f"doc_stride={stride} is more than max_seq_len={length}")
        question_first = self.tokenizer.padding_side == "right"
        pair = [[example.question_text for example in examples], [example.context_text for example in examples]]
        encoded = self.tokenizer(
            *(pair if question_first else pair[::-1]),
            truncation="only_second" if question_first else "only_first",
            max_length=length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        made: list[list[Piece]] = [[] for _ in examples]
        side = int(question_first)
        for row, (tokens, owner) in enumerate(
            zip(self.rows(encoded), encoded["overflow_to_sample_mapping"], strict=True)
        ):
            allowed = [sequence == side for sequence in encoded.sequence_ids(row)]
            about = {
                "text": examples[owner].context_text,
                # some models say by the first token that there is no answer
                "allowed": np.array(allowed) | (np.array(tokens["input_ids"]) == self.tokenizer.cls_token_id),
                "places": encoded["offset_mapping"][row],
                "words": (encoded, row, side),
            }
            made[owner].append(Piece(tokens, about))
        return made

    def take(self, outputs: Any, row: int, piece: Piece, kept: slice) -> Any:
        """Return the logits of where an answer starts and ends, (tokens,) each."""
        return {"start": outputs["start_logits"][row, kept], "end": outputs["end_logits"][row, kept]}

    def postprocess(  # type: ignore[override]
        self,
        model_outputs: list[Piece],
        top_k: int = 1,
        handle_impossible_answer: bool = False,
        max_answer_len: int = 15,
        align_to_words: bool = True,
    ) -> Any:
        """Turn logits of each piece into answers, best first."""
        nothing = 1000000.0  # score of "no answer", the least of all pieces
        answers: dict[str, dict[str, Any]] = {}
        # whole words may bring several spans to one answer
        wanted = 2 * top_k + 10 if align_to_words else top_k
        for piece in model_outputs:
            allowed = piece.about["allowed"]
            start, end = (_shares(piece.outputs[name].float().numpy(), allowed) for name in ("start", "end"))
            nothing = min(nothing, float(start[0] * end[0]))
            start[0] = end[0] = 0.0
            for first, last, score in _spans(start, end, wanted, max_answer_len, allowed):
                begin, stop = _characters(piece, first, last, align_to_words)
                text = piece.about["text"][begin:stop]
                found = answers.setdefault(text.lower(), {"score": 0.0, "start": begin, "end": stop, "answer": text})
                found["score"] += score
        ranked = list(answers.values())
        if handle_impossible_answer:
            ranked.append({"score": nothing, "start": 0, "end": 0, "answer": ""})
        ranked = sorted(ranked, key=lambda answer: -answer["score"])[:top_k]
        return ranked[0] if len(ranked) == 1 else ranked


def _examples(args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """Return the inputs of a call, taken out of its arguments: one, a list, or a stream."""
    inputs: Any
    question, context = given.pop("question", None), given.pop("context", None)
    named = [given.pop(name) for name in ("X", "data") if name in given]
    if len(args) == 1:
        inputs = args[0]
    elif len(args) == 2 and all(isinstance(item, str) for item in args):
        inputs = {"question": args[0], "context": args[1]}
    elif args:
        inputs = list(args)
    elif named:
        inputs = named[0]
    elif question is None or context is None:
        raise ValueError("question-answering needs question=… and context=…, or dictionaries with these keys")
    elif isinstance(question, list):
        contexts = [context] * len(question) if isinstance(context, str) else list(context)
        if len(contexts) != len(question):
            raise ValueError(f"{len(question)} questions do not go with {len(contexts)} contexts")
        inputs = [{"question": one, "context": other} for one, other in zip(question, contexts, strict=True)]
    else:
        inputs = {"question": question, "context": context}
    if isinstance(inputs, list | tuple):
        return [_normal(item) for item in inputs]
    if isinstance(inputs, dict | SquadExample | types.GeneratorType) or hasattr(inputs, "__getitem__"):
        return _normal(inputs) if isinstance(inputs, dict) else inputs
    return list(map(_normal, inputs)) if isinstance(inputs, Iterable) else inputs


def _normal(item: Any) -> SquadExample:
    """Return an input as an example.

    Raises:
        KeyError: a key is missing.
        ValueError: question or context is empty, or this is no example at all.
    """
    if isinstance(item, SquadExample):
        return item
    if not isinstance(item, dict):
        raise ValueError(f"question-answering takes dictionaries of question and context, not {type(item).__name__}")
    for key in ("question", "context"):
        if key not in item:
            raise KeyError(f"question-answering needs the keys question and context; {key} is missing")
        if not item[key]:
            raise ValueError(f"the {key} is {'missing' if item[key] is None else 'empty'}")
    return SquadExample(None, item["question"], item["context"])


def _shares(logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return the softmax of logits (tokens,) among the allowed ones."""
    powers = np.exp(np.where(allowed, logits, HIDDEN) - np.where(allowed, logits, HIDDEN).max())
    return powers / powers.sum()


def _spans(
    start: np.ndarray, end: np.ndarray, count: int, longest: int, allowed: np.ndarray
) -> list[tuple[int, int, float]]:
    """Return the best spans as first token, last token and score, best first."""
    scores = np.tril(np.triu(np.outer(start, end)), longest - 1)  # (first, last)
    flat = scores.ravel()
    if count == 1:
        best = np.array([flat.argmax()])
    else:
        some = np.argpartition(-flat, count)[:count] if len(flat) > count else np.arange(len(flat))
        best = some[np.argsort(-flat[some])]
    spans = zip(*np.unravel_index(best, scores.shape), strict=True)
    return [(int(s), int(e), float(scores[s, e])) for s, e in spans if allowed[s] and allowed[e]]


def _characters(piece: Piece, first: int, last: int, whole_words: bool) -> tuple[int, int]:
    """Return where a span of tokens begins and ends in the text, stretched to whole words where there are words."""
    places = piece.about["places"]
    encoded, row, side = piece.about["words"]
    words = (encoded.token_to_word(row, first), encoded.token_to_word(row, last)) if whole_words else (None, None)
    spans = [None if word is None else encoded.word_to_chars(row, word, side) for word in words]
    if spans[0] is None or spans[1] is None:
        return places[first][0], places[last][1]
    return spans[0].start, spans[1].end
