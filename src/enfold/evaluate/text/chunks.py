"""Named entities in sequences of tags, read leniently as conlleval does, or strictly by a tagging scheme.

Source: E. Tjong Kim Sang and S. Buchholz, "Introduction to the CoNLL-2000 shared task", 2000; L. Ratinov and D. Roth,
"Design challenges and misconceptions in named entity recognition", 2009 (schemes); the rules are those of seqeval.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from enfold.errors import nearest
from enfold.evaluate.errors import EvaluationError

__all__ = ["SCHEMES", "Chunk", "detected", "lenient", "strict"]

#: entity type, first tag, tag after the last
Chunk = tuple[str, int, int]
Tag = tuple[str, str]  # prefix and type


# Scheme → its prefixes, and its entities as a regular expression over them. In the text that is searched, prefixes of
# neighbouring tags of one type stand side by side, a bar parts those of two types, and O stands for what is outside. In
# the first two schemes the marks B and E only part entities of one type that touch: each needs a neighbour of its type.
SCHEMES = {
    "IOB1": ("IOB", r"I+|(?<=[IB])B(?!\|B)I*"),
    "IOE1": ("IOE", r"I+E(?=[IE])|I+(?![IE])|(?<=E)E(?=[IE])"),
    "IOB2": ("IOB", "BI*"),
    "IOE2": ("IOE", "I*E"),
    "IOBES": ("IOBES", "S|BI*E"),
    "BILOU": ("BILOU", "U|BI*L"),
}


def lenient(tags: Sequence[str], suffix: bool = False) -> set[Chunk]:
    """Return the entities: runs of one type, parted by B, S, E and O.

    Example:
        >>> sorted(lenient(["B-PER", "I-PER", "O", "I-LOC"]))
        [('LOC', 3, 4), ('PER', 0, 2)]
    """
    found, begin = set(), 0
    before, kind_before = "O", ""
    for place, tag in enumerate([*tags, "O"]):
        prefix, kind = _lenient_tag(tag, suffix)
        changed = kind_before != kind
        if _ends(before, prefix, changed):
            found.add((kind_before, begin, place))
        if _starts(before, prefix, changed):
            begin = place
        before, kind_before = prefix, kind
    return found


def _lenient_tag(tag: str, suffix: bool) -> Tag:
    if suffix:
        return tag[-1:], tag[:-1].rsplit("-", 1)[0] or "_"
    return tag[:1], tag[1:].split("-", 1)[-1] or "_"


def _ends(before: str, now: str, changed: bool) -> bool:
    return before in "ES" or (before in "BI" and now in "BSO") or (before not in "O." and changed)


def _starts(before: str, now: str, changed: bool) -> bool:
    return now in "BS" or (before in "ESO" and now in "EI") or (now not in "O." and changed)


def strict(tags: Sequence[str], scheme: str, suffix: bool = False) -> set[Chunk]:
    """Return the entities that are whole by a scheme's rules.

    Raises:
        EvaluationError: there is no such scheme, or a tag does not belong to it.

    Example:
        >>> strict(["I-PER", "O", "B-LOC"], "IOB2")
        {('LOC', 2, 3)}
    """
    if scheme not in SCHEMES:
        raise EvaluationError(f"no scheme {scheme!r}{nearest(scheme, SCHEMES)}; there are {', '.join(SCHEMES)}")
    prefixes, entity = SCHEMES[scheme]
    text, places, kinds = "", [], []
    kind_before = ""
    for place, tag in enumerate(tags):
        prefix, kind = (tag[-1:], tag[:-1]) if suffix else (tag[:1], tag[1:])
        if not prefix or prefix not in prefixes:
            raise EvaluationError(f"the tag {tag!r} is not of the scheme {scheme}, whose prefixes are {prefixes}")
        kind = "" if prefix == "O" else kind.strip("-") or "_"
        new = "|" * (kind != kind_before) + prefix
        text += new
        places += [place] * len(new)
        kinds.append(kind)
        kind_before = kind
    found = set()
    for match in re.finditer(entity, text):
        begin = places[match.start()]
        found.add((kinds[begin], begin, places[match.end() - 1] + 1))
    return found


def detected(sequences: Sequence[Sequence[str]], suffix: bool = False) -> str:
    """Return the scheme that the tags' prefixes tell: IOB2, IOE2, IOBES or BILOU.

    Raises:
        EvaluationError: they tell none.
    """
    prefixes = {tag[-1:] if suffix else tag[:1] for tags in sequences for tag in tags}
    inner = prefixes - {"O"}
    for scheme, needed in (("IOB2", "B"), ("IOE2", "E")):
        if needed in inner <= {"I", needed}:
            return scheme
    for scheme, single, last in (("IOBES", "S", "E"), ("BILOU", "U", "L")):
        if prefixes == {single} or ({"B"} < inner <= {"B", "I", last, single} and last in inner):
            return scheme
    raise EvaluationError(f"the prefixes {sorted(prefixes)} tell no tagging scheme: name it, of {', '.join(SCHEMES)}")
