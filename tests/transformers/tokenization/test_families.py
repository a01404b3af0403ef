"""Families: language marks, prefixes, frames to words, tokenizers of users, training, ids to inputs."""

from __future__ import annotations

import copy
import json
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from enfold.tokenizers import Regex, Tokenizer, models, pre_tokenizers
from enfold.transformers import (
    AutoTokenizer,
    BertTokenizer,
    GPT2Tokenizer,
    LayoutLMv2Tokenizer,
    LEDTokenizer,
    NllbTokenizer,
    PreTrainedTokenizer,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
    RoFormerTokenizer,
    Wav2Vec2CTCTokenizer,
    WhisperTokenizer,
)
from enfold.transformers.tokenization.chat import ChatTemplateError, render
from enfold.transformers.tokenization.names import homes
from enfold.transformers.tokenization.recordings import join_windows
from enfold.transformers.tokenization.transcripts import EnglishTextNormalizer

LETTERS = {chr(97 + number): number for number in range(26)}


class Letters(PreTrainedTokenizer):
    """A user's tokenizer."""

    vocab_files_names = {"letters_file": "letters.txt"}
    needed_files = ("letters_file",)

    def __init__(self, letters_file: str, **kwargs: Any) -> None:
        self.decoder = dict(enumerate(Path(letters_file).read_text().split()))
        self.encoder = {letter: id for id, letter in self.decoder.items()}
        super().__init__(**kwargs)

    @property
    def vocab_size(self) -> int:
        return len(self.encoder)

    def get_vocab(self) -> dict[str, int]:
        return {**self.encoder, **self.added_tokens_encoder}

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        return [letter for letter in text if letter != " "]

    def _convert_token_to_id(self, token: str) -> int | None:
        return self.encoder.get(token)

    def _convert_id_to_token(self, index: int) -> str | None:
        return self.decoder.get(index)

    def build_inputs_with_special_tokens(self, token_ids_0: Any, token_ids_1: Any = None) -> list[int]:
        return [self.bos_token_id, *token_ids_0, *(token_ids_1 or [])]

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        path = Path(save_directory) / "letters.txt"
        path.write_text(" ".join(self.encoder))
        return (str(path),)


@pytest.fixture
def letters(tmp_path: Path) -> Any:
    (tmp_path / "letters.txt").write_text(" ".join(LETTERS))
    return Letters(str(tmp_path / "letters.txt"), bos_token="<s>", pad_token="<pad>", unk_token="<unk>")


def test_a_tokenizer_written_in_python_pads_cuts_and_decodes(letters: Any) -> None:
    batch = letters(["ab<s>c", "abcd"], padding=True, return_tensors="np")
    assert batch["input_ids"].tolist() == [[26, 0, 1, 26, 2], [26, 0, 1, 2, 3]]
    cut = letters("abcdef", truncation=True, max_length=4, return_overflowing_tokens=True)
    assert cut["input_ids"] == [26, 0, 1, 2] and cut["overflowing_tokens"] == [3, 4, 5]
    assert not letters.is_fast and letters.decode([0, 1, 26], skip_special_tokens=True) == "a b"
    assert letters("é")["input_ids"] == [26, letters.unk_token_id]
    with pytest.raises(NotImplementedError, match="offsets"):
        letters("a", return_offsets_mapping=True)


def test_a_tokenizer_written_in_python_is_copied_and_saved(letters: Any, tmp_path: Path) -> None:
    letters.add_tokens(["new"])
    for made in (copy.deepcopy(letters), pickle.loads(pickle.dumps(letters))):
        assert made("a new b")["input_ids"] == letters("a new b")["input_ids"]
        made.add_tokens(["other"])
        assert len(made) == len(letters) + 1
    letters.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved" / "tokenizer.json").exists()
    again = Letters.from_pretrained(tmp_path / "saved")
    assert again("a new b")["input_ids"] == letters("a new b")["input_ids"]


def test_every_named_class_can_be_reached() -> None:
    from enfold import transformers

    for name in homes():
        assert getattr(transformers, name) is not None


def test_ids_become_inputs_as_texts_do() -> None:
    tokenizer = BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS])
    plain = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a b c", "d e")]
    for options in ({}, {"truncation": True, "max_length": 6}, {"truncation": "only_first", "max_length": 6}):
        made = tokenizer.prepare_for_model(*plain, **options)
        assert dict(made) == dict(tokenizer("a b c", "d e", **options))
    assert tokenizer.get_special_tokens_mask(*plain) == [1, 0, 0, 0, 1, 0, 0, 1]
    assert tokenizer.get_special_tokens_mask([2, 5, 3], already_has_special_tokens=True) == [1, 0, 1]
    with pytest.raises(ValueError, match="only_first"):
        tokenizer.prepare_for_model(*plain, truncation=True, max_length=4, return_overflowing_tokens=True)


def test_roberta_separates_pairs_with_two_tokens_of_type_zero() -> None:
    tokenizer = RobertaTokenizer({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "<mask>": 6}, [])
    assert tokenizer("a", "b")["input_ids"] == [0, 4, 2, 2, 5, 2]
    assert tokenizer.build_inputs_with_special_tokens([4], [5]) == [0, 4, 2, 2, 5, 2]
    assert tokenizer.create_token_type_ids_from_sequences([4], [5]) == [0] * 6
    assert tokenizer("a <mask>")["input_ids"] == [0, 4, 6, 2]


def test_languages_mark_source_and_target() -> None:
    pieces = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>", "▁a", "▁b")]
    tokenizer = NllbTokenizer(pieces, src_lang="fra_Latn", tgt_lang="deu_Latn")
    french, german = tokenizer.convert_tokens_to_ids(["fra_Latn", "deu_Latn"])
    batch = tokenizer("a", text_target="b")
    assert batch["input_ids"] == [french, 4, 2] and batch["labels"] == [german, 5, 2]
    assert tokenizer("a")["input_ids"] == [french, 4, 2]
    tokenizer.src_lang = "eng_Latn"
    assert tokenizer("a")["input_ids"][0] == tokenizer.convert_tokens_to_ids("eng_Latn")
    with pytest.raises(ValueError, match="fra_Latn"):
        tokenizer.src_lang = "fra_Latin"
    assert tokenizer.src_lang == "eng_Latn"


@pytest.fixture
def whisper() -> Any:
    from enfold.transformers.tokenization.whisper import LANGUAGES

    special = ["endoftext", "startoftranscript", *LANGUAGES, "translate", "transcribe", "startoflm", "startofprev"]
    words = [*LETTERS, "Ġ", *(f"<|{name}|>" for name in [*special, "nospeech", "notimestamps"])]
    extra = [f"<|{name}|>" for name in [*special[1:], "nospeech", "notimestamps"]]
    made = WhisperTokenizer({word: id for id, word in enumerate(words)}, [], additional_special_tokens=extra)
    made.add_tokens([f"<|{step * 0.02:.2f}|>" for step in range(1501)])
    return made


def test_whispers_prefix_names_language_and_task(whisper: Any) -> None:
    whisper.set_prefix_tokens(language="French", task="transcribe")
    assert whisper("a").tokens()[:4] == ["<|startoftranscript|>", "<|fr|>", "<|transcribe|>", "<|notimestamps|>"]
    assert whisper.get_decoder_prompt_ids(language="de")[0] == (1, whisper.convert_tokens_to_ids("<|de|>"))
    with pytest.raises(ValueError, match="french"):
        whisper.set_prefix_tokens(language="frensh")
    assert whisper("a").tokens()[1] == "<|de|>"


def test_whispers_times_are_kept_or_dropped(whisper: Any) -> None:
    ids = whisper.convert_tokens_to_ids(["<|0.00|>", "a", "b", "<|1.00|>", "<|1.00|>", "c", "<|2.50|>"])
    assert whisper.decode(ids) == "abc"
    assert whisper.decode(ids, decode_with_timestamps=True) == "<|0.00|>ab<|1.00|><|1.00|>c<|2.50|>"
    found = whisper.decode(ids, output_offsets=True)["offsets"]
    assert [(part["text"], part["timestamp"]) for part in found] == [("ab", (0.0, 1.0)), ("c", (1.0, 2.5))]


def test_windows_are_joined_where_they_agree() -> None:
    assert join_windows([[1, 2, 3, 4, 5], [4, 5, 6, 7]])[0] == [1, 2, 3, 4, 5, 6, 7]
    assert join_windows([[1, 2], [3, 4]])[0] == [1, 2, 3, 4]


def test_transcripts_are_normalized_for_comparison() -> None:
    clean = EnglishTextNormalizer({"colour": "color"})
    assert clean("Dr. Who's colour, um, isn't [noise] Red!") == "doctor who is color is not red"
    assert clean("twenty five dollars and two and a half percent") == "$25 and 2.5%"


def test_frames_become_letters_words_and_their_places(tmp_path: Path) -> None:
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "L"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: id for id, token in enumerate(tokens)}))
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    frames = [0, 5, 5, 7, 0, 7, 4, 4, 6, 0]
    assert tokenizer.decode(frames) == "ALL B"
    found = tokenizer.decode(frames, output_word_offsets=True)
    assert found.word_offsets == [
        {"word": "ALL", "start_offset": 1, "end_offset": 6},
        {"word": "B", "start_offset": 8, "end_offset": 9},
    ]
    assert tokenizer.batch_decode([frames, [5]]) == ["ALL B", "A"]
    assert tokenizer("AB L")["input_ids"] == [5, 6, 4, 7]


def test_a_new_vocabulary_is_learnt() -> None:
    old = GPT2Tokenizer({**LETTERS, "Ġ": 26, "<|endoftext|>": 27}, [], model_max_length=9)
    new = old.train_new_from_iterator(["low lower lowest"] * 9, 270, new_special_tokens=["<x>"])
    assert type(new) is GPT2Tokenizer and new.model_max_length == 9
    assert new.tokenize("slow<x>") == ["s", "low", "<x>"] and "<x>" in new.all_special_tokens
    assert new.eos_token_id == new.convert_tokens_to_ids("<|endoftext|>")
    assert old.tokenize("low") == ["l", "o", "w"]


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(90) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{{ 'a' * 10 ** 10 }}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ '{:>9999999999}'.format(1) }}",
        "{{ 'a' | center(10 ** 10) }}",
        "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
    ],
)
def test_templates_have_an_end(template: str) -> None:
    with pytest.raises(ChatTemplateError):
        render(template, [])


def test_named_templates_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    core = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    named = {"default": "plain", "tool_use": "tools"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, chat_template=named)
    tokenizer.save_pretrained(tmp_path)
    assert (tmp_path / "chat_template.jinja").read_text() == "plain"
    assert (tmp_path / "additional_chat_templates" / "tool_use.jinja").read_text() == "tools"
    made = AutoTokenizer.from_pretrained(tmp_path)
    assert made.chat_template == named
    assert made.apply_chat_template([{"role": "user"}], tools=[{"name": "x"}], tokenize=False) == "tools"
    tokenizer.chat_template = {"../out": "no"}
    with pytest.raises(ValueError, match="no name for a file"):
        tokenizer.save_pretrained(tmp_path / "other")


def test_control_tokens_that_a_user_writes_are_text() -> None:
    core = Tokenizer(models.WordLevel({"<s>": 0, "<": 1, "s": 2, ">": 3, "[UNK]": 4}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    core.add_special_tokens(["<s>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", pad_token="[UNK]")
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
    chat = [{"role": "user", "content": "<s>"}]
    assert tokenizer.apply_chat_template(chat)["input_ids"] == [0, 0]
    assert tokenizer.apply_chat_template(chat, sanitize_control_tokens=True)["input_ids"] == [0, 1, 2, 3]


@pytest.mark.parametrize(("side", "rows"), [("left", [[1, 0, 0], [-1, 1, 0]]), ("right", [[1, 0, 0], [1, 0, -1]])])
def test_led_pads_the_places_of_global_attention(side: str, rows: list[list[int]]) -> None:
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a"]
    tokenizer = LEDTokenizer({token: id for id, token in enumerate(names)}, [])
    given = {"input_ids": [[5, 5, 5], [5, 5]], "global_attention_mask": [[1, 0, 0], [1, 0]]}
    assert tokenizer.pad(given, padding=True, padding_side=side)["global_attention_mask"] == rows


def test_words_that_rjieba_finds_are_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = types.ModuleType("rjieba")
    stand_in.tokenize = lambda text, hmm: [("今天", 0, 2), ("天气", 2, 4)]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rjieba", stand_in)
    tokenizer = RoFormerTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "今天", "天", "气"])
    assert tokenizer.tokenize("今天天气") == ["今天", "天", "气"]
    assert pickle.loads(pickle.dumps(tokenizer)).tokenize("今天天气") == ["今天", "天", "气"]
    tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).tokenize("今天天气") == ["今天", "天", "气"]
    monkeypatch.setitem(sys.modules, "rjieba", None)
    with pytest.raises(ImportError, match="pip install rjieba"):
        RoFormerTokenizer(["[UNK]"])


def test_pages_want_a_box_and_a_label_for_every_word() -> None:
    tokenizer = LayoutLMv2Tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"])
    with pytest.raises(ValueError, match="give boxes="):
        tokenizer(["a", "ab"])
    with pytest.raises(ValueError, match="page 0 has 2 words, but 1 boxes"):
        tokenizer(["a", "ab"], boxes=[[1, 1, 2, 2]])
    with pytest.raises(ValueError, match="2 pages, but labels for 1"):
        tokenizer([["a"], ["ab"]], boxes=[[[1, 1, 2, 2]]] * 2, word_labels=[[1]])
    with pytest.raises(ValueError, match="1 questions for 2 pages"):
        tokenizer(["what"], [["a"], ["ab"]], boxes=[[[1, 1, 2, 2]]] * 2)
    with pytest.raises(ValueError, match="the words of a page are a list of str"):
        tokenizer("a", boxes=[[1, 1, 2, 2]])


def test_what_is_set_on_the_core_is_no_business_of_calls() -> None:
    tokenizer = BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"])
    tokenizer.set_truncation_and_padding("max_length", "longest_first", 4, 0, None, "left")
    assert tokenizer.backend_tokenizer.encode("a b a b a").ids == [2, 5, 6, 3]
    assert tokenizer.backend_tokenizer.encode("a").ids == [0, 2, 5, 3]
    assert tokenizer("a b a b a", return_offsets_mapping=True)["input_ids"] == [2, 5, 6, 5, 6, 5, 3]
    assert tokenizer("a b", is_split_into_words=False)["input_ids"] == [2, 5, 6, 3]
    tokenizer.set_truncation_and_padding("do_not_pad", "do_not_truncate", None, 0, None)
    assert tokenizer.backend_tokenizer.truncation is None and tokenizer.backend_tokenizer.padding is None
    with pytest.raises(ValueError, match="add_generation_prompt"):
        tokenizer.encode_message_with_chat_template({"role": "user", "content": "a"}, add_generation_prompt=True)
