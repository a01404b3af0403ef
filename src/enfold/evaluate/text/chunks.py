"""Named entities in sequences of tags, read leniently as conlleval does, or strictly by a tagging scheme.

Source: E. Tjong Kim Sang and S. Buchholz, "Introduction to the CoNLL-2000 shared task", 2000; L. Ratinov and D. Roth,
"Design challenges and misconceptions in named entity recognition", 2009 (schemes); the rules are those of seqeval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from enfold.errors import nearest
from enfold.evaluate.errors import EvaluationError

__all__ = ["SCHEMES", "Chunk", "detected", "lenient", "strict"]

#: entity type, first tag, tag after the last
Chunk = tuple[str, int, int]
Tag = tuple[str, str]  # prefix and type


@dataclass(frozen=True)
class Scheme:
    """Rules on two neighbouring tags: prefix before, prefix now, and ``=`` same type, ``!`` another, ``*`` any.

    An underscore stands for any prefix.
    """

    prefixes: str
    start: str
    inside: str
    end: str


SCHEMES = {
    "IOB1": Scheme("IOB", "OI* II! BI* IB= BB=", "BI= II=", "II! IO* IB* BO* BI! BB="),
    "IOE1": Scheme("IOE", "OI* II! EI* EE=", "II= IE=", "II! IO* IE! EI= EE="),
    "IOB2": Scheme("IOB", "_B*", "BI= II=", "IO* II! IB* BO* BI! BB*"),
    "IOE2": Scheme("IOE", "OI* OE* EI* EE* II! IE!", "IE= II=", "E_*"),
    "IOBES": Scheme("IOBES", "_B* _S*", "BI= BE= II= IE=", "S_* E_*"),
    "BILOU": Scheme("BILOU", "_B* _U*", "BI= BL= II= IL=", "U_* L_*"),
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
    rules = SCHEMES[scheme]
    read = [*_strict_tags(tags, rules, scheme, suffix), ("O", "_")]
    found, place, before = set(), 0, ("O", "_")
    while place < len(read):
        if not _fits(rules.start, before, read[place]):
            before = read[place]
            place += 1
            continue
        begin = place
        place += 1
        while place < len(read) and _fits(rules.inside, read[place - 1], read[place]):
            place += 1
        place = min(place, len(read) - 1) if begin < len(tags) else place
        if place > begin and _fits(rules.end, read[place - 1], read[place]):
            found.add((read[begin][1], begin, place))
        before = read[place - 1]
    return found


def _strict_tags(tags: Sequence[str], rules: Scheme, scheme: str, suffix: bool) -> Iterator[Tag]:
    for tag in tags:
        prefix = tag[-1:] if suffix else tag[:1]
        if not prefix or prefix not in rules.prefixes:
            raise EvaluationError(f"the tag {tag!r} is not of the scheme {scheme}, whose prefixes are {rules.prefixes}")
        yield prefix, (tag[:-1] if suffix else tag[1:]).strip("-") or "_"


def _fits(rules: str, before: Tag, now: Tag) -> bool:
    for rule in rules.split():
        old, new, condition = tuple(rule)
        kind = condition == "*" or (before[1] == now[1]) == (condition == "=")
        if old in ("_", before[0]) and new in ("_", now[0]) and kind:
            return True
    return False


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
