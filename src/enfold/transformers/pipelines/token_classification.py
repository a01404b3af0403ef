"""Token classification: names, places and other things that texts mention, and where."""

from __future__ import annotations

import enum
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from enfold.errors import nearest
from enfold.transformers.pipelines.texts import Piece, TextPipeline

__all__ = ["AggregationStrategy", "NerPipeline", "TokenClassificationPipeline"]


class AggregationStrategy(str, enum.Enum):
    """How tokens become entities."""

    NONE = "none"  # they do not
    SIMPLE = "simple"  # neighbours of one kind are one entity
    FIRST = "first"  # likewise, and a word is what its first token is
    AVERAGE = "average"  # … what its tokens are on average
    MAX = "max"  # … what its surest token is


# (grouped_entities, ignore_subwords) of version 4 → strategy
_OLDER = {
    (True, True): AggregationStrategy.FIRST,
    (True, False): AggregationStrategy.SIMPLE,
    (False, True): AggregationStrategy.NONE,
    (False, False): AggregationStrategy.NONE,
}
_BY_WORD = (AggregationStrategy.FIRST, AggregationStrategy.AVERAGE, AggregationStrategy.MAX)


class TokenClassificationPipeline(TextPipeline):
    """Finds entities in texts.

    Arguments of a call (or of ``pipeline``): ``aggregation_strategy`` ("none", "simple", "first", "average", "max"),
    ``ignore_labels`` (["O"] by default), ``stride`` (read long texts in parts that overlap by this many tokens),
    ``offset_mapping`` (places of the tokens instead of the tokenizer's), ``is_split_into_words`` and ``delimiter``
    (texts are lists of words, which the delimiter joins), ``grouped_entities`` and ``ignore_subwords`` (older names of
    strategies).

    Returns for each text a list of ``{"entity", "score", "index", "word", "start", "end"}``, one a token, or of
    ``{"entity_group", "score", "word", "start", "end"}`` where a strategy joins tokens.
    """

    default_input_names = "sequences"

    def _sanitize_parameters(  # type: ignore[override]
        self,
        ignore_labels: list[str] | None = None,
        grouped_entities: bool | None = None,
        ignore_subwords: bool | None = None,
        aggregation_strategy: Any = None,
        offset_mapping: Any = None,
        is_split_into_words: bool = False,
        stride: int | None = None,
        delimiter: str | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before: dict[str, Any] = {}
        after: dict[str, Any] = {}
        if is_split_into_words:
            before["delimiter"] = " " if delimiter is None else delimiter
        if offset_mapping is not None:
            before["offset_mapping"] = offset_mapping
        if grouped_entities is not None or ignore_subwords is not None:
            aggregation_strategy = _OLDER[bool(grouped_entities), bool(ignore_subwords)]
            warnings.warn(
                "grouped_entities and ignore_subwords have become aggregation_strategy: "
                f"this is {aggregation_strategy.value!r}",
                UserWarning,
                stacklevel=3,
            )
        strategy = None if aggregation_strategy is None else _strategy(aggregation_strategy)
        if strategy is not None:
            if strategy in _BY_WORD and not self.tokenizer.is_fast:
                raise ValueError(
                    f"aggregation_strategy={strategy.value!r} needs a tokenizer that knows where words are"
                )
            after["aggregation_strategy"] = strategy
        if ignore_labels is not None:
            after["ignore_labels"] = ignore_labels
        if stride is not None:
            if stride >= self.tokenizer.model_max_length:
                raise ValueError(
                    f"stride={stride} is not less than the model's {self.tokenizer.model_max_length} tokens"
                )
            if strategy == AggregationStrategy.NONE:
                raise ValueError(
                    "stride joins parts by their entities: choose an aggregation_strategy other than 'none'"
                )
            if not self.tokenizer.is_fast:
                raise ValueError("stride needs a tokenizer that knows where tokens are in the text")
            before["stride"] = stride
        return before, {}, after

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Find entities in a text, a list of texts, a generator or a data set."""
        if isinstance(inputs, list | tuple) and not inputs:
            raise ValueError("token-classification needs at least one text")
        if isinstance(inputs, tuple):
            inputs = list(inputs)
        if kwargs.get("is_split_into_words") and isinstance(inputs, list):
            inputs = inputs if all(isinstance(words, list) for words in inputs) else [inputs]
        offsets = kwargs.get("offset_mapping")
        if offsets and isinstance(offsets[0], tuple):
            kwargs["offset_mapping"] = offsets = [offsets]
        if offsets and len(offsets) != (len(inputs) if isinstance(inputs, list) else 1):
            raise ValueError(f"{len(offsets)} offset mappings do not fit the number of texts")
        return super().__call__(inputs, *args, **kwargs)

    def pieces(  # type: ignore[override]
        self,
        inputs: list[Any],
        delimiter: str | None = None,
        offset_mapping: Any = None,
        stride: int | None = None,
    ) -> list[list[Piece]]:
        """Tokenize all texts at once; with ``stride`` a long one has several pieces."""
        split = delimiter is not None
        kind = list if split else str
        for text in inputs:
            if not isinstance(text, kind):
                raise ValueError(
                    f"token-classification takes {'lists of words' if split else 'texts'}, not {type(text).__name__}"
                )
        if split and not self.tokenizer.is_fast:
            raise ValueError("is_split_into_words needs a tokenizer that knows where words are")
        longer = {} if stride is None else {"return_overflowing_tokens": True, "stride": stride}
        encoded = self.tokenizer(
            inputs,
            truncation=bool(self.tokenizer.model_max_length and self.tokenizer.model_max_length > 0),
            return_special_tokens_mask=True,
            return_offsets_mapping=self.tokenizer.is_fast,
            is_split_into_words=split,
            **longer,
        )
        rows = self.rows(encoded)
        owners = encoded.get("overflow_to_sample_mapping") or range(len(inputs))
        made: list[list[Piece]] = [[] for _ in inputs]
        for row, (tokens, owner) in enumerate(zip(rows, owners, strict=True)):
            sentence = delimiter.join(inputs[owner]) if delimiter is not None else inputs[owner]
            places = None
            if offset_mapping is not None:
                places = offset_mapping[owner]
            elif "offset_mapping" in encoded:
                places = encoded["offset_mapping"][row]
            if places is not None and delimiter is not None:
                places = _in_sentence(places, encoded.word_ids(row), inputs[owner], len(delimiter))
            about = {"text": sentence, "special": encoded["special_tokens_mask"][row], "places": places}
            made[owner].append(Piece(tokens, about))
        return made

    def postprocess(  # type: ignore[override]
        self,
        model_outputs: list[Piece],
        aggregation_strategy: AggregationStrategy = AggregationStrategy.NONE,
        ignore_labels: list[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Turn logits (tokens, labels) of each piece into entities."""
        ignored = ["O"] if ignore_labels is None else ignore_labels
        entities: list[dict[str, Any]] = []
        for piece in model_outputs:
            found = self._aggregate(self._tokens(piece, aggregation_strategy), aggregation_strategy)
            name = "entity" if aggregation_strategy == AggregationStrategy.NONE else "entity_group"
            entities += [entity for entity in found if entity[name] not in ignored]
        return entities if len(model_outputs) == 1 else _without_overlap(entities)

    def _tokens(self, piece: Piece, strategy: AggregationStrategy) -> list[dict[str, Any]]:
        """Return what is known of each token that is none of the tokenizer's own."""
        shares = piece.outputs["logits"].float().softmax(-1).numpy()  # (T, C)
        names = self.tokenizer.convert_ids_to_tokens(list(piece.tokens["input_ids"]))
        text, places = piece.about["text"], piece.about["places"]
        marks_parts = bool(getattr(self.tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None))
        if places is not None and strategy in _BY_WORD and not marks_parts:
            warnings.warn("this tokenizer does not mark the parts of words: spaces tell them apart", stacklevel=2)
        tokens = []
        for index, (word, special) in enumerate(zip(names, piece.about["special"], strict=True)):
            if special:
                continue
            start = end = None
            part = False
            if places is not None:
                start, end = places[index]
                shown = text[start:end]
                part = len(word) != len(shown) if marks_parts else start > 0 and " " not in text[start - 1 : start + 1]
                if piece.tokens["input_ids"][index] == self.tokenizer.unk_token_id:
                    word, part = shown, False
            tokens.append(
                {"word": word, "scores": shares[index], "start": start, "end": end, "index": index, "part": part}
            )
        return tokens

    def _aggregate(self, tokens: list[dict[str, Any]], strategy: AggregationStrategy) -> list[dict[str, Any]]:
        label = self.model.config.id2label
        if strategy in _BY_WORD:
            words: list[list[dict[str, Any]]] = []
            for token in tokens:
                if words and token["part"]:
                    words[-1].append(token)
                else:
                    words.append([token])
            entities = [self._word(word, strategy) for word in words]
        else:
            entities = []
            for token in tokens:
                best = int(token["scores"].argmax())
                entities.append(
                    {
                        "entity": label[best],
                        "score": float(token["scores"][best]),
                        **{name: token[name] for name in ("index", "word", "start", "end")},
                    }
                )
        return entities if strategy == AggregationStrategy.NONE else self._groups(entities)

    def _word(self, tokens: list[dict[str, Any]], strategy: AggregationStrategy) -> dict[str, Any]:
        """Return the entity that a word's tokens agree on."""
        if strategy == AggregationStrategy.FIRST:
            scores = tokens[0]["scores"]
        elif strategy == AggregationStrategy.MAX:
            scores = max((token["scores"] for token in tokens), key=lambda scores: scores.max())
        else:
            scores = np.nanmean([token["scores"] for token in tokens], axis=0)
        best = int(scores.argmax())
        return {
            "entity": self.model.config.id2label[best],
            "score": float(scores[best]),
            "word": self.tokenizer.convert_tokens_to_string([token["word"] for token in tokens]),
            "start": tokens[0]["start"],
            "end": tokens[-1]["end"],
        }

    def _groups(self, entities: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Join neighbours of one kind; a label that begins with B- begins a new entity."""
        groups: list[list[dict[str, Any]]] = []
        for entity in entities:
            name = entity["entity"]
            if groups and not name.startswith("B-") and _kind(name) == _kind(groups[-1][-1]["entity"]):
                groups[-1].append(entity)
            else:
                groups.append([entity])
        return [
            {
                "entity_group": group[0]["entity"].split("-", 1)[-1],
                "score": float(np.nanmean([entity["score"] for entity in group])),
                "word": self.tokenizer.convert_tokens_to_string([entity["word"] for entity in group]),
                "start": group[0]["start"],
                "end": group[-1]["end"],
            }
            for group in groups
        ]


NerPipeline = TokenClassificationPipeline


def _strategy(asked: Any) -> AggregationStrategy:
    name = str(getattr(asked, "value", asked)).lower()
    known = [strategy.value for strategy in AggregationStrategy]
    if name not in known:
        raise ValueError(f"unknown aggregation_strategy {asked!r}{nearest(name, known)}; there are {', '.join(known)}")
    return AggregationStrategy(name)


def _kind(label: str) -> str:
    return label[2:] if label.startswith(("B-", "I-")) else label


def _in_sentence(
    places: Iterable[tuple[int, int]], owners: list[int | None], words: list[str], gap: int
) -> list[tuple[int, int]]:
    """Return places within words as places in the sentence that the words make."""
    starts, at = [], 0
    for word in words:
        starts.append(at)
        at += len(word) + gap
    moved = []
    for (start, end), owner in zip(places, owners, strict=True):
        base = 0 if owner is None else starts[owner]
        moved.append((start + base, end + base))
    return moved


def _without_overlap(entities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return entities in the order of the text; of those that overlap the longest, or else the surest."""
    kept: list[dict[str, Any]] = []
    for entity in sorted(entities, key=lambda entity: entity["start"]):
        last = kept[-1] if kept else None
        if last is None or not last["start"] <= entity["start"] < last["end"]:
            kept.append(entity)
        elif (entity["end"] - entity["start"], entity["score"]) > (last["end"] - last["start"], last["score"]):
            kept[-1] = entity
    return kept
