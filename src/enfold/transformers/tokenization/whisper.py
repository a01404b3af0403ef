"""Whisper's tokenizer: GPT-2's bytes, a prefix that says language and task, and timestamps among the tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from enfold.errors import EnfoldError, nearest
from enfold.transformers.tokenization.byte_level import GPT2Tokenizer
from enfold.transformers.tokenization.decoding import plain_ids

__all__ = ["LANGUAGES", "TASK_IDS", "TO_LANGUAGE_CODE", "WhisperTokenizer"]

# the languages in the order of their tokens (Radford et al. 2022, arXiv:2212.04356; "yue" since large-v3)
LANGUAGES: dict[str, str] = dict(
    entry.split(":")  # type: ignore[misc]
    for entry in (
        "en:english,zh:chinese,de:german,es:spanish,ru:russian,ko:korean,fr:french,ja:japanese,pt:portuguese,"
        "tr:turkish,pl:polish,ca:catalan,nl:dutch,ar:arabic,sv:swedish,it:italian,id:indonesian,hi:hindi,fi:finnish,"
        "vi:vietnamese,he:hebrew,uk:ukrainian,el:greek,ms:malay,cs:czech,ro:romanian,da:danish,hu:hungarian,ta:tamil,"
        "no:norwegian,th:thai,ur:urdu,hr:croatian,bg:bulgarian,lt:lithuanian,la:latin,mi:maori,ml:malayalam,cy:welsh,"
        "sk:slovak,te:telugu,fa:persian,lv:latvian,bn:bengali,sr:serbian,az:azerbaijani,sl:slovenian,kn:kannada,"
        "et:estonian,mk:macedonian,br:breton,eu:basque,is:icelandic,hy:armenian,ne:nepali,mn:mongolian,bs:bosnian,"
        "kk:kazakh,sq:albanian,sw:swahili,gl:galician,mr:marathi,pa:punjabi,si:sinhala,km:khmer,sn:shona,yo:yoruba,"
        "so:somali,af:afrikaans,oc:occitan,ka:georgian,be:belarusian,tg:tajik,sd:sindhi,gu:gujarati,am:amharic,"
        "yi:yiddish,lo:lao,uz:uzbek,fo:faroese,ht:haitian creole,ps:pashto,tk:turkmen,nn:nynorsk,mt:maltese,"
        "sa:sanskrit,lb:luxembourgish,my:myanmar,bo:tibetan,tl:tagalog,mg:malagasy,as:assamese,tt:tatar,haw:hawaiian,"
        "ln:lingala,ha:hausa,ba:bashkir,jw:javanese,su:sundanese,yue:cantonese"
    ).split(",")
)
TO_LANGUAGE_CODE: dict[str, str] = {
    **{name: code for code, name in LANGUAGES.items()},
    "burmese": "my",
    "valencian": "ca",
    "flemish": "nl",
    "haitian": "ht",
    "letzeburgesch": "lb",
    "pushto": "ps",
    "panjabi": "pa",
    "moldavian": "ro",
    "moldovan": "ro",
    "sinhalese": "si",
    "castilian": "es",
    "mandarin": "zh",
}
TASK_IDS = ["translate", "transcribe"]
_END = "<|endoftext|>"
_TIMESTAMP = re.compile(r"<\|(\d+\.\d+)\|>")


class WrongLanguage(EnfoldError, ValueError):
    """A language or a task that Whisper does not know."""


class WhisperTokenizer(GPT2Tokenizer):
    """Whisper's byte-level BPE.

    Args:
        language: the language of the speech, "french" or "fr"; none in the prefix by default.
        task: "transcribe" or "translate" (into English); none in the prefix by default.
        predict_timestamps: leave ``<|notimestamps|>`` out of the prefix.
        normalizer_file: normalizer.json, the English spellings that ``normalize`` makes equal.
        kwargs: as for ``GPT2Tokenizer``.

    Example:
        >>> tokenizer = WhisperTokenizer.from_pretrained(  # doctest: +SKIP
        ...     "openai/whisper-tiny", language="fr", task="transcribe")
        >>> tokenizer("Bonjour").tokens()[:4]  # doctest: +SKIP
        ['<|startoftranscript|>', '<|fr|>', '<|transcribe|>', '<|notimestamps|>']
    """

    vocab_files_names = {**GPT2Tokenizer.vocab_files_names, "normalizer_file": "normalizer.json"}
    default_tokens = {"unk_token": _END, "bos_token": _END, "eos_token": _END}
    language: str | None
    task: str | None
    english_spelling_normalizer: ClassVar[dict[str, str] | None] = None

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)
        self.language = settings.get("language")
        self.task = settings.get("task")
        self.predict_timestamps = bool(settings.get("predict_timestamps", False))
        path = settings.get("normalizer_file")
        if path is not None:
            with open(path, encoding="utf-8") as file:
                self.__dict__["english_spelling_normalizer"] = json.load(file)
        told = any(settings.get(name) is not None for name in ("language", "task", "predict_timestamps"))
        if (built or told) and self._tokenizer.token_to_id("<|startoftranscript|>") is not None:
            self.set_prefix_tokens()

    # --- the prefix

    @property
    def prefix_tokens(self) -> list[int]:
        """The ids that every transcript begins with."""
        start = self.convert_tokens_to_ids("<|startoftranscript|>")
        ids = [start]
        if self.language is not None:
            self.language = self.language.lower()
            code = TO_LANGUAGE_CODE.get(self.language, self.language)
            if code not in LANGUAGES:
                hint = nearest(self.language, [*TO_LANGUAGE_CODE, *LANGUAGES])
                raise WrongLanguage(f"Whisper does not know the language {self.language!r}{hint}")
            ids.append(start + 1 + list(LANGUAGES).index(code))
        if self.task is not None:
            if self.task not in TASK_IDS:
                raise WrongLanguage(f"task is one of {', '.join(TASK_IDS)}, not {self.task!r}")
            ids.append(self.convert_tokens_to_ids(f"<|{self.task}|>"))
        if not self.predict_timestamps:
            ids.append(self.convert_tokens_to_ids("<|notimestamps|>"))
        return ids

    def set_prefix_tokens(
        self, language: str | None = None, task: str | None = None, predict_timestamps: bool | None = None
    ) -> None:
        """Change what texts begin with; what is None stays as it is.

        Args:
            language: a language's name or code.
            task: "transcribe" or "translate".
            predict_timestamps: leave ``<|notimestamps|>`` out.

        Raises:
            ValueError: an unknown language or task.
        """
        before = self.language, self.task, self.predict_timestamps
        self.language = self.language if language is None else language
        self.task = self.task if task is None else task
        self.predict_timestamps = self.predict_timestamps if predict_timestamps is None else predict_timestamps
        try:
            ids = self.prefix_tokens
        except WrongLanguage:
            self.language, self.task, self.predict_timestamps = before
            raise
        prefix = " ".join(f"{token}:0" for token in self.convert_ids_to_tokens(ids))
        self._surround(f"{prefix} $A:0 {{eos}}:0", f"{prefix} $A:0 $B:1 {{eos}}:1")

    def get_decoder_prompt_ids(
        self, task: str | None = None, language: str | None = None, no_timestamps: bool = True
    ) -> list[tuple[int, int]]:
        """Return (position, id) of the tokens after the first that generation is to begin with, and set the prefix."""
        self.set_prefix_tokens(task=task, language=language, predict_timestamps=not no_timestamps)
        return [(position + 1, id) for position, id in enumerate(self.prefix_tokens[1:])]

    def get_prompt_ids(self, text: str, return_tensors: str | None = "np") -> Any:
        """Return the ids of a prompt for the decoder, a text that sets names and style: ``<|startofprev|> text``.

        Raises:
            ValueError: the text holds a special token.
        """
        batch = self("<|startofprev|>", " " + text.strip(), add_special_tokens=False)
        first = self.all_special_ids[0]
        wrong = next((id for id in batch["input_ids"][1:] if id >= first), None)
        if wrong is not None:
            raise ValueError(f"the prompt holds the special token {self.convert_ids_to_tokens(wrong)!r}")
        return batch.convert_to_tensors(return_tensors)["input_ids"]

    # --- decoding

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        output_offsets: bool = False,
        time_precision: float = 0.02,
        decode_with_timestamps: bool = False,
        normalize: bool = False,
        basic_normalize: bool = False,
        remove_diacritics: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the text of ids, or the texts of several rows of ids.

        Args:
            token_ids: ids [tokens], or rows [batch, tokens].
            skip_special_tokens: leave special tokens out, and a prompt before the transcript.
            clean_up_tokenization_spaces: remove spaces before punctuation; the tokenizer's setting by default.
            output_offsets: return {"text", "offsets"}, the segments with their (start, end) in seconds.
            time_precision: seconds between two timestamps.
            decode_with_timestamps: keep the timestamps in the text, counted from the beginning of the first segment.
            normalize: normalize as English, as word error rates are measured.
            basic_normalize: normalize as any language.
            remove_diacritics: with ``basic_normalize``, remove marks.
        """
        rows = plain_ids(token_ids)
        if rows and not isinstance(rows[0], int):
            options: dict[str, Any] = dict(
                output_offsets=output_offsets,
                time_precision=time_precision,
                decode_with_timestamps=decode_with_timestamps,
                normalize=normalize,
                basic_normalize=basic_normalize,
                remove_diacritics=remove_diacritics,
            )
            return [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces, **options) for row in rows]
        ids = self._strip_prompt(rows) if skip_special_tokens else rows
        if decode_with_timestamps:
            text = self._with_timestamps(ids, skip_special_tokens, time_precision)
        else:
            text = super().decode(ids, skip_special_tokens, clean_up_tokenization_spaces)
            if normalize:
                text = self.normalize(text)
            elif basic_normalize:
                text = self.basic_normalize(text, remove_diacritics)
            text = _TIMESTAMP.sub("", text)
        if output_offsets:
            return {"text": text, "offsets": self._compute_offsets(rows, time_precision)}
        return text

    def _plain_decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        return super().decode(list(ids), skip_special_tokens)

    def _strip_prompt(
        self, ids: list[int], prompt_token_id: int | None = None, decoder_start_token_id: int | None = None
    ) -> list[int]:
        ids = plain_ids(ids)
        prompt = self.convert_tokens_to_ids("<|startofprev|>") if prompt_token_id is None else prompt_token_id
        start = decoder_start_token_id
        start = self.convert_tokens_to_ids("<|startoftranscript|>") if start is None else start
        if not ids or ids[0] != prompt:
            return ids
        return ids[ids.index(start) :] if start in ids else []

    @property
    def _first_timestamp(self) -> int:
        return self.all_special_ids[-1] + 1

    def _with_timestamps(self, ids: list[int], skip_special_tokens: bool, precision: float) -> str:
        clock = _Clock(self._first_timestamp, precision)
        parts: list[str | list[int]] = [[]]
        for place, id in enumerate(ids):
            if id < clock.first:
                parts[-1].append(id)  # type: ignore[union-attr]
                continue
            time, undone = clock.tick(ids, place)
            if undone:
                del parts[-2:]
            parts += [f"<|{time:.2f}|>", []]
        return "".join(
            part if isinstance(part, str) else self._plain_decode(part, skip_special_tokens) if part else ""
            for part in parts
        )

    def _compute_offsets(self, ids: Any, time_precision: float = 0.02, segment_size: int = 1500) -> list[Any]:
        """Return {"text", "timestamp"} of each segment between two timestamps."""
        ids = plain_ids(ids)
        first = self._first_timestamp
        stamps = [place for place, id in enumerate(ids) if id >= first]
        cuts = [place for place in stamps[1:] if place - 1 in set(stamps)]
        if not cuts and len(stamps) <= 1:
            return []
        if stamps[-1] + 1 not in cuts:
            cuts.append(stamps[-1] + 1)
        found = []
        begin, highest, before = stamps[0], 0, 0
        for end in cuts:
            segment = ids[begin:end]
            if len(segment) > 1:
                start, stop = segment[0] - first, segment[-1] - first
                if start < highest:
                    # the clock went back: a window of 30 seconds ended, with one timestamp alone or with two
                    alone = begin >= 2 and not (ids[begin - 2] >= first and ids[begin - 1] >= first)
                    before += segment_size if alone else highest
                highest = stop
                text = _TIMESTAMP.sub("", self._plain_decode(segment))
                shift = before * time_precision
                times = (start * time_precision + shift, stop * time_precision + shift)
                found.append({"text": text, "timestamp": times})
            begin = end
        return found

    def timestamp_ids(self, time_precision: float = 0.02) -> list[int]:
        """Return the ids of all timestamps."""
        return self.convert_tokens_to_ids([f"<|{step * time_precision:.2f}|>" for step in range(1501)])

    def normalize(self, text: str) -> str:
        """Return a text normalized as English: lower case, no punctuation, numbers in digits, one spelling a word."""
        from enfold.transformers.tokenization.transcripts import EnglishTextNormalizer

        return EnglishTextNormalizer(self.english_spelling_normalizer or {})(text)

    @staticmethod
    def basic_normalize(text: str, remove_diacritics: bool = False) -> str:
        """Return a text in lower case without brackets and punctuation.

        Args:
            text: the text.
            remove_diacritics: remove marks as well.
        """
        from enfold.transformers.tokenization.transcripts import BasicTextNormalizer

        return BasicTextNormalizer(remove_diacritics=remove_diacritics)(text)

    def _decode_asr(
        self, model_outputs: Any, *, return_timestamps: Any, return_language: Any, time_precision: float
    ) -> tuple[str, dict[str, Any]]:
        """Return the text and the chunks of a long recording from the outputs of its windows."""
        from enfold.transformers.tokenization.recordings import decode_windows

        return decode_windows(self, model_outputs, return_timestamps, bool(return_language), time_precision)

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write vocab.json, merges.txt and, where there are spellings, normalizer.json, and return their paths."""
        import os

        paths = super().save_vocabulary(save_directory, filename_prefix)
        if self.english_spelling_normalizer is None:
            return paths
        path = os.path.join(save_directory, (f"{filename_prefix}-" if filename_prefix else "") + "normalizer.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.english_spelling_normalizer, file, indent=2, sort_keys=True, ensure_ascii=False)
            file.write("\n")
        return (*paths, path)


class _Clock:
    """Timestamps as they follow each other, over the windows of 30 seconds that a recording was cut into."""

    def __init__(self, first: int, precision: float, window: int = 1500) -> None:
        self.first, self.precision, self.window = first, precision, window * precision
        self.highest = self.before = self.last = 0.0

    def tick(self, ids: Sequence[int], place: int) -> tuple[float, bool]:
        """Return the seconds from the beginning of the timestamp at ``place``, and whether the one before is undone."""
        time = float((ids[place] - self.first) * self.precision)
        undone = False
        if time < self.highest:
            # the next window began: after one timestamp alone all of the window was speech, after two it ended
            if place >= 2 and not (ids[place - 1] >= self.first and ids[place - 2] >= self.first):
                self.before += self.window
            else:
                self.highest = self.last
                self.before += self.last
                undone = True
        self.last = self.highest
        self.highest = time
        return time + self.before, undone
