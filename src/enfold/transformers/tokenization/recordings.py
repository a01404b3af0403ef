"""Long recordings that a model heard window by window: one text, its segments, its words, with their times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.log import get_logger

__all__ = ["decode_windows", "join_windows", "words_of"]

logger = get_logger(__name__)

_NO_SPACES = ("chinese", "japanese", "thai", "lao", "myanmar", "cantonese")
_BEFORE = "\"'“¡¿([{-"
_AFTER = "\"'.。,，!！?？:：”)]}、"


def join_windows(windows: Sequence[list[int]], times: Sequence[list[Any]] | None = None) -> tuple[list[int], list[Any]]:
    """Join the tokens of windows that overlap, where they agree best.

    For every way of laying a window over the end of what there is, the share of equal tokens is counted; the best lay
    is cut in its middle, so that each side keeps what it heard with more around it.

    Args:
        windows: ids of each window.
        times: (start, end) of each token of each window, or None.

    Returns:
        The ids, and their times (empty without).
    """
    left = list(windows[0])
    left_times = list(times[0]) if times else []
    ids: list[int] = []
    spans: list[Any] = []
    for number, right in enumerate(windows[1:], 1):
        best, cut = 0.0, (len(left), len(left), 0, 0)
        for lay in range(1, len(left) + len(right)):
            a, b = max(0, len(left) - lay), min(len(left), len(left) + len(right) - lay)
            c, d = max(0, lay - len(left)), min(len(right), lay)
            if times:
                pairs = zip(range(a, b), range(c, d), strict=True)
                equal = sum(left[i] == right[j] and left_times[i] <= times[number][j] for i, j in pairs)
            else:
                equal = sum(x == y for x, y in zip(left[a:b], right[c:d], strict=True))
            # a longer lay wins a tie
            share = equal / lay + lay / 10000.0
            if equal > 1 and share > best:
                best, cut = share, (a, b, c, d)
        a, b, c, d = cut
        ids += left[: (a + b) // 2]
        left = list(right[(c + d) // 2 :])
        if times:
            spans += left_times[: (a + b) // 2]
            left_times = list(times[number][(c + d) // 2 :])
    return ids + left, spans + left_times


def words_of(tokenizer: Any, ids: list[int], language: str | None) -> tuple[list[str], list[list[int]]]:
    """Return the words of ids and, for each, the places of its tokens; punctuation belongs to the word it touches."""
    parts: list[tuple[str, list[int]]] = []
    whole = tokenizer.decode(ids, decode_with_timestamps=True)
    held: list[int] = []
    at = 0
    for place in range(len(ids)):
        held.append(place)
        text = tokenizer.decode([ids[index] for index in held], decode_with_timestamps=True)
        broken = text.find("\ufffd")
        # a character may take several tokens; one that is broken in the whole text as well stays so
        if broken < 0 or at + broken >= len(whole) or whole[at + broken] == "\ufffd":
            parts.append((text, held))
            held = []
            at += len(text)
    language = language or tokenizer.language or "english"
    if language not in _NO_SPACES:
        joined: list[tuple[str, list[int]]] = []
        for text, places in parts:
            special = ids[places[0]] >= tokenizer.eos_token_id
            begins = text.startswith(" ") or text.strip() in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
            if special or begins or not joined:
                joined.append((text, list(places)))
            else:
                joined[-1] = (joined[-1][0] + text, joined[-1][1] + places)
        parts = joined
    words = [text for text, _ in parts]
    places_of = [list(places) for _, places in parts]
    _attach(words, places_of)
    return [word for word in words if word], [places for places in places_of if places]


def _attach(words: list[str], places: list[list[int]]) -> None:
    right = len(words) - 1
    for left in range(len(words) - 2, -1, -1):
        if words[left].startswith(" ") and words[left].strip() in _BEFORE:
            words[right] = words[left] + words[right]
            places[right] = places[left] + places[right]
            words[left], places[left] = "", []
        else:
            right = left
    left = 0
    for right in range(1, len(words)):
        if not words[left].endswith(" ") and words[right] in _AFTER:
            words[left] += words[right]
            places[left] += places[right]
            words[right], places[right] = "", []
        else:
            left = right


class _Transcript:
    """What is heard so far, in segments."""

    def __init__(self, tokenizer: Any, words: bool, with_language: bool) -> None:
        self.tokenizer, self.words, self.with_language = tokenizer, words, with_language
        self.language: str | None = None
        self.segments: list[dict[str, Any]] = []
        self.start()

    def start(self) -> None:
        self.segment: dict[str, Any] = {"language": self.language, "timestamp": [None, None], "text": ""}
        self.windows: list[list[int]] = []
        self.times: list[list[Any]] = []
        self.ids: list[int] = []
        self.spans: list[Any] = []

    def flush(self) -> None:
        """Move the tokens of this window to those of the segment."""
        self.windows.append(self.ids)
        if self.words:
            self.times.append(self.spans)
        self.ids, self.spans = [], []

    def end(self) -> None:
        """End the segment: join its windows and keep it."""
        ids, times = join_windows(self.windows, self.times or None)
        self.segment["text"] = self.tokenizer.decode(ids)
        if self.words:
            texts, places = words_of(self.tokenizer, ids, self.language)
            extra = {"language": self.language} if self.with_language else {}
            self.segment["words"] = [
                {"text": text, "timestamp": (times[place[0]][0], times[place[-1]][1]), **extra}
                for text, place in zip(texts, places, strict=True)
            ]
        self.segments.append(self.segment)
        self.start()


def decode_windows(
    tokenizer: Any,
    windows: Sequence[dict[str, Any]],
    return_timestamps: bool | str,
    return_language: bool,
    precision: float,
    segment_size: int = 1500,
) -> tuple[str, dict[str, Any]]:
    """Return the text of a recording, and its segments or words.

    Args:
        tokenizer: Whisper's.
        windows: for each window {"tokens" [1, tokens], "stride" (length, left, right) in seconds, "token_timestamps"}.
        return_timestamps: True for segments with their times, "word" for words.
        return_language: say the language of each segment or word.
        precision: seconds between two timestamp tokens.
        segment_size: timestamp tokens of a window.

    Returns:
        The text, and {"chunks": …} when anything is asked for.
    """
    from enfold.transformers.tokenization.whisper import LANGUAGES

    by_word = return_timestamps == "word"
    heard = _Transcript(tokenizer, by_word, return_language)
    first = tokenizer.convert_tokens_to_ids("<|notimestamps|>") + 1
    special = set(tokenizer.all_special_ids)
    offset = 0.0
    skipping = False
    for window in windows:
        ids = tokenizer._strip_prompt(window["tokens"][0].tolist())
        stamps = window["token_timestamps"][0].tolist() if by_word else []
        last_kept: int | None = None
        first_kept: float = first
        highest = before = previous = 0.0
        if "stride" in window:
            length, left, right = window["stride"]
            offset -= left
            if left:
                first_kept = left / precision + first
            if right:
                for id in reversed(ids):
                    if id >= first:
                        if last_kept is not None and (id - first) * precision < length - right:
                            break
                        last_kept = id
        for place, id in enumerate(ids):
            if id in special:
                language = LANGUAGES.get(tokenizer.decode([id])[2:-2])
                if language is not None:
                    if heard.language and language != heard.language and not return_timestamps:
                        heard.flush()
                        heard.end()
                    heard.segment["language"] = heard.language = language
            elif id >= first:
                time = float((id - first) * precision)
                if time < highest:
                    if place >= 2 and not (ids[place - 1] >= first and ids[place - 2] >= first):
                        before += precision * segment_size
                    else:
                        highest = previous
                        before += previous
                previous, highest = highest, time
                now = round((id - first) * precision + offset + before, 2)
                if last_kept and id >= last_kept:
                    skipping = True  # the next window hears this better
                elif skipping or (heard.windows and id < first_kept):
                    skipping = False
                elif heard.segment["timestamp"][0] is None:
                    heard.segment["timestamp"][0] = now
                elif now != heard.segment["timestamp"][0]:
                    heard.segment["timestamp"][1] = now
                    heard.flush()
                    heard.end()
            else:
                heard.ids.append(id)
                if by_word:
                    begin = offset if place == 0 else stamps[place - 1] + offset
                    heard.spans.append((round(begin, 2), round(stamps[place] + offset, 2)))
        if "stride" in window:
            offset += length - right
        if heard.ids:
            heard.flush()
        elif not any(heard.windows):
            heard.start()
    if heard.windows:
        if return_timestamps:
            logger.warning("the model gave no last timestamp: the recording may end inside a word")
        heard.end()
    text = "".join(segment["text"] for segment in heard.segments)
    if not return_timestamps and not return_language:
        return text, {}
    if by_word:
        return text, {"chunks": [word for segment in heard.segments for word in segment["words"]]}
    for segment in heard.segments:
        times = segment.pop("timestamp")
        if return_timestamps:
            segment["timestamp"] = tuple(times)
        if not return_language:
            del segment["language"]
        segment["text"] = segment.pop("text")
    return text, {"chunks": heard.segments}
