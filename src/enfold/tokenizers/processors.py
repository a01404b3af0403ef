"""Post-processors: what is put around the tokens of one or two sequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from enfold import _native
from enfold.tokenizers.component import Component, Option, build, spec_text
from enfold.tokenizers.encoding import Encoding
from enfold.tokenizers.spelling import renamed

__all__ = ["BertProcessing", "ByteLevel", "PostProcessor", "RobertaProcessing", "Sequence", "TemplateProcessing"]


class PostProcessor(Component):
    """The base of all post-processors."""

    _base = "PostProcessor"

    def num_special_tokens_to_add(self, is_pair: bool) -> int:
        """How many tokens are put around a single sequence, or a pair."""
        return _native.num_special_tokens(spec_text(self), is_pair)

    def process(self, encoding: Encoding, pair: Encoding | None = None, add_special_tokens: bool = True) -> Encoding:
        """Return the encoding of a sequence, or of two, with everything around."""
        return _native.process_encodings(spec_text(self), encoding, pair, add_special_tokens)


class _Pair(Option):
    """A token and its id."""

    def __get__(self, instance: Component | None, owner: type) -> Any:
        return self if instance is None else tuple(instance._values[str(self.key)])

    def __set__(self, instance: Component, value: Any) -> None:
        instance._set(str(self.key), tuple(value))


class BertProcessing(PostProcessor):
    """``[CLS] A [SEP]`` and ``[CLS] A [SEP] B [SEP]``.

    Args:
        sep: the separator's text and id.
        cls_token: the first token's text and id; ``cls`` is an older name.
    """

    _type = "BertProcessing"
    sep = _Pair()
    cls = _Pair()

    @renamed(cls="cls_token")
    def __init__(self, sep: tuple[str, int], cls_token: tuple[str, int]) -> None:
        self._init(sep=tuple(sep), cls=tuple(cls_token))

    @classmethod
    def _restore(cls, spec: dict[str, Any]) -> BertProcessing:
        return cls(spec["sep"], spec["cls"])

    def __getnewargs__(self) -> tuple[tuple[str, int], tuple[str, int]]:
        return (("", 0), ("", 0))


class RobertaProcessing(PostProcessor):
    """``<s> A </s>`` and ``<s> A </s></s> B </s>``, all of type 0.

    Args:
        sep: the separator's text and id.
        cls_token: the first token's text and id; ``cls`` is an older name.
        trim_offsets: leave white space out of offsets.
        add_prefix_space: whether the pre-tokenizer puts a blank before the text.
    """

    _type = "RobertaProcessing"
    sep = _Pair()
    cls = _Pair()
    trim_offsets = Option()
    add_prefix_space = Option()

    @renamed(cls="cls_token")
    def __init__(
        self,
        sep: tuple[str, int],
        cls_token: tuple[str, int],
        trim_offsets: bool = True,
        add_prefix_space: bool = True,
    ) -> None:
        self._init(sep=tuple(sep), cls=tuple(cls_token), trim_offsets=trim_offsets, add_prefix_space=add_prefix_space)

    @classmethod
    def _restore(cls, spec: dict[str, Any]) -> RobertaProcessing:
        return cls(spec["sep"], spec["cls"], spec.get("trim_offsets", True), spec.get("add_prefix_space", True))

    def __getnewargs__(self) -> tuple[tuple[str, int], tuple[str, int]]:
        return (("", 0), ("", 0))


class ByteLevel(PostProcessor):
    """Leaves the white space at the ends of byte-level tokens out of their offsets.

    Args:
        add_prefix_space: whether the pre-tokenizer puts a blank before the text; None is True.
        trim_offsets: do it at all; None is True.
        use_regex: kept for the format.
    """

    _type = "ByteLevel"
    _defaults = {"add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    add_prefix_space = Option()
    trim_offsets = Option()
    use_regex = Option()

    def __init__(
        self,
        add_prefix_space: bool | None = None,
        trim_offsets: bool | None = None,
        use_regex: bool | None = None,
        **_kwargs: Any,
    ) -> None:
        self._init(
            add_prefix_space=True if add_prefix_space is None else add_prefix_space,
            trim_offsets=True if trim_offsets is None else trim_offsets,
            use_regex=True if use_regex is None else use_regex,
        )


def _pieces(template: str | Iterable[str]) -> list[dict[str, Any]]:
    """``"[CLS] $A:0 $B:1"`` as the pieces of the format."""
    made: list[dict[str, Any]] = []
    for item in template.split() if isinstance(template, str) else template:
        name, _, kind = item.rpartition(":") if ":" in item else (item, "", "")
        if kind and not kind.isdigit():
            raise ValueError(f"Cannot build Piece from string {item!r}")
        type_id = int(kind) if kind else 0
        if not name.startswith("$"):
            made.append({"SpecialToken": {"id": name, "type_id": type_id}})
            continue
        rest = name[1:]
        if rest.isdigit() and not kind:  # "$1": the first sequence, of type 1
            rest, type_id = "", int(rest)
        if rest.upper() not in ("", "A", "B"):
            raise ValueError(f"Cannot build Piece from string {item!r}")
        made.append({"Sequence": {"id": rest.upper() or "A", "type_id": type_id}})
    return made


def _special(token: Any) -> dict[str, Any]:
    if isinstance(token, dict):
        made = {"id": token["id"], "ids": list(token["ids"]), "tokens": list(token["tokens"])}
    else:
        first, second = token
        text, number = (first, second) if isinstance(first, str) else (second, first)
        made = {"id": text, "ids": [number], "tokens": [text]}
    if len(made["ids"]) != len(made["tokens"]):
        raise ValueError("SpecialToken: ids and tokens must be of the same length")
    return made


def _shown(pieces: list[dict[str, Any]]) -> str:
    def one(piece: dict[str, Any]) -> str:
        if "Sequence" in piece:
            return f"Sequence(id={piece['Sequence']['id']}, type_id={piece['Sequence']['type_id']})"
        return f'SpecialToken(id="{piece["SpecialToken"]["id"]}", type_id={piece["SpecialToken"]["type_id"]})'

    return "[" + ", ".join(map(one, pieces)) + "]"


class TemplateProcessing(PostProcessor):
    """Puts special tokens where a template says.

    Args:
        single: the template of one sequence, such as ``"[CLS] $A [SEP]"`` or a list of its pieces; ``:n`` after a
            piece gives its type id, 0 by default.
        pair: the template of two, such as ``"[CLS] $A [SEP] $B:1 [SEP]:1"``.
        special_tokens: (text, id) of every special token in them, or {"id": text, "ids": [...], "tokens": [...]}.

    Raises:
        ValueError: a template names a special token that is not in special_tokens, or one without $A or $B.

    Example:
        >>> TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)]).num_special_tokens_to_add(False)
        1
    """

    _type = "TemplateProcessing"
    _keys = ("single", "pair", "special_tokens")

    def __init__(
        self,
        single: str | list[str] | None = None,
        pair: str | list[str] | None = None,
        special_tokens: Iterable[Any] | None = None,
    ) -> None:
        known = {token["id"]: token for token in map(_special, special_tokens or [])}
        values = {
            "single": _pieces("$0" if single is None else single),
            "pair": _pieces("$A:0 $B:1" if pair is None else pair),
        }
        for name, pieces in values.items():
            missing = {p["SpecialToken"]["id"] for p in pieces if "SpecialToken" in p} - known.keys()
            if missing:
                raise ValueError(f"Missing SpecialToken(s) with id(s) `{', '.join(sorted(missing))}`")
            sequences = {p["Sequence"]["id"] for p in pieces if "Sequence" in p}
            if name == "pair" and sequences != {"A", "B"}:
                raise ValueError("Template for `pair` must use both sequences")
        self._init(**values, special_tokens=dict(sorted(known.items())))

    @property
    def single(self) -> str:
        """The template of one sequence."""
        return _shown(self._values["single"])

    @single.setter
    def single(self, template: str | list[str]) -> None:
        self._set("single", _pieces(template))

    def __repr__(self) -> str:
        tokens = ", ".join(
            f'"{key}":SpecialToken(id="{token["id"]}", ids={token["ids"]}, tokens=['
            + ", ".join(f'"{text}"' for text in token["tokens"])
            + "])"
            for key, token in self._values["special_tokens"].items()
        )
        return (
            f"TemplateProcessing(single={_shown(self._values['single'])}, pair={_shown(self._values['pair'])}, "
            f"special_tokens={{{tokens}}})"
        )


class Sequence(PostProcessor):
    """Post-processors one after the other.

    Args:
        processors: in the order in which they run.
    """

    _type = "Sequence"

    def __init__(self, processors: list[PostProcessor]) -> None:
        self._init(processors=list(processors))

    @classmethod
    def _restore(cls, spec: dict[str, Any]) -> Sequence:
        return cls([build(PostProcessor, item) for item in spec["processors"]])

    def __getnewargs__(self) -> tuple[list[PostProcessor]]:
        return ([],)

    def __iter__(self) -> Iterator[PostProcessor]:
        return iter(self._values["processors"])

    def __getitem__(self, index: int) -> PostProcessor:
        return self._values["processors"][index]

    def __setitem__(self, index: int, value: PostProcessor) -> None:
        items = list(self._values["processors"])
        items[index] = value
        self._set("processors", items)
