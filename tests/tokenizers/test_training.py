"""Training: what a vocabulary must hold, what may be fed, and what stays when it fails."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.tokenizers import AddedToken, Tokenizer, TrainingError, models, pre_tokenizers, trainers

QUIET = {"show_progress": False}
WORDS = st.lists(st.text(alphabet="abcé中 ", min_size=0, max_size=12), min_size=1, max_size=12)


def bpe(**options: Any) -> Tokenizer:
    made = Tokenizer(models.BPE(**options))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


def naive_merges(words: Counter[str], size: int) -> list[tuple[str, str]]:
    """BPE as the paper has it: count all pairs again after every merge."""
    ids = {character: i for i, character in enumerate(sorted({c for word in words for c in word}))}
    split = {word: list(word) for word in words}
    merges: list[tuple[str, str]] = []
    while len(ids) < size:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in split.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        if not pairs:
            break
        left, right = max(pairs, key=lambda pair: (pairs[pair], -ids[pair[0]], -ids[pair[1]]))
        if left + right in ids:
            return merges  # a token made in two ways: the paper says nothing of it
        ids[left + right] = len(ids)
        merges.append((left, right))
        for parts in split.values():
            i = 0
            while i + 1 < len(parts):
                if (parts[i], parts[i + 1]) == (left, right):
                    parts[i : i + 2] = [left + right]
                i += 1
    return merges


@settings(max_examples=60, deadline=None)
@given(WORDS, st.integers(3, 40))
def test_merges_are_those_of_counting_again_after_every_merge(texts: list[str], size: int) -> None:
    tokenizer = bpe()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, **QUIET))
    merges = [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    expected = naive_merges(Counter(word for text in texts for word in text.split(" ") if word), size)
    assert merges[: len(expected)] == expected


@settings(max_examples=40, deadline=None)
@given(WORDS, st.integers(8, 60))
def test_unigram_pieces_hold_every_character_and_the_size(texts: list[str], size: int) -> None:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(texts, trainers.UnigramTrainer(vocab_size=size, unk_token="<unk>", **QUIET))
    pieces = json.loads(tokenizer.to_str())["model"]["vocab"]
    scores = [score for _, score in pieces[1:]]
    assert pieces[0] == ["<unk>", 0.0] and scores == sorted(scores, reverse=True)
    characters = {c for text in texts for c in text.replace(" ", "▁")} | ({"▁"} if any(texts) else set())
    assert characters <= {piece for piece, _ in pieces}
    for text in texts:
        assert 0 not in tokenizer.encode(text).ids


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"word{i % 97} other{i % 13} {'x' * (i % 7)} ünï{i % 5}" for i in range(40_000)]
    made = []
    for threads in ("1", "3"):
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
        monkeypatch.setenv("RAYON_NUM_THREADS", threads)
        for model, trainer in (
            (models.BPE(), trainers.BpeTrainer(vocab_size=300, **QUIET)),
            (models.Unigram(), trainers.UnigramTrainer(vocab_size=120, **QUIET)),
        ):
            tokenizer = Tokenizer(model)
            tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
            tokenizer.train_from_iterator(texts, trainer)
            made.append(tokenizer.to_str())
    assert made[:2] == made[2:]


def test_texts_lists_of_texts_and_arrow_columns_are_the_same() -> None:
    pa = pytest.importorskip("pyarrow")
    texts = ["low lower", "lowest", "new newer"] * 3

    def batches() -> Iterator[Any]:
        yield texts[:2]
        yield from texts[2:4]
        yield pa.array(texts[4:6])
        yield tuple(texts[6:])

    made = set()
    for source in (texts, iter(texts), batches(), pa.array(texts), pa.chunked_array([texts[:4], texts[4:]])):
        tokenizer = bpe()
        tokenizer.train_from_iterator(source, trainers.BpeTrainer(**QUIET))
        made.add(tokenizer.to_str())
    assert len(made) == 1


def test_a_failed_training_leaves_the_tokenizer_as_it_was(tmp_path: Path) -> None:
    def interrupted() -> Iterator[str]:
        yield "some text"
        raise KeyboardInterrupt

    tokenizer = bpe()
    tokenizer.train_from_iterator(["low lower"], trainers.BpeTrainer(special_tokens=["<s>"], **QUIET))
    before, model = tokenizer.to_str(), tokenizer.model
    with pytest.raises(KeyboardInterrupt):
        tokenizer.train_from_iterator(interrupted(), trainers.BpeTrainer(**QUIET))
    with pytest.raises(TypeError, match="'int' object"):
        tokenizer.train_from_iterator([1], trainers.BpeTrainer(**QUIET))
    with pytest.raises(TypeError, match="not an instance of 'str'"):
        tokenizer.train_from_iterator([["a", 1]], trainers.BpeTrainer(**QUIET))
    with pytest.raises(TypeError, match="lone surrogate"):
        tokenizer.train_from_iterator(["a\ud800"], trainers.BpeTrainer(**QUIET))
    with pytest.raises(FileNotFoundError):
        tokenizer.train([tmp_path / "missing.txt"], trainers.BpeTrainer(**QUIET))
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 au lait")
    with pytest.raises(TrainingError, match=r"latin.txt is not UTF-8: byte 0xe9 at offset 3"):
        tokenizer.train([tmp_path / "latin.txt"], trainers.BpeTrainer(**QUIET))
    with pytest.raises(TrainingError, match=r"WordPieceTrainer can only train a WordPiece.*use BpeTrainer"):
        tokenizer.train_from_iterator(["a"], trainers.WordPieceTrainer(**QUIET))
    assert tokenizer.to_str() == before and tokenizer.model is model


def test_a_vocabulary_too_small_for_the_characters_says_so() -> None:
    tokenizer = Tokenizer(models.Unigram())
    with pytest.raises(TrainingError, match="not large enough to contain all chars: there are 5, and vocab_size is 3"):
        tokenizer.train_from_iterator(["abcde"], trainers.UnigramTrainer(vocab_size=3, **QUIET))


def test_whoever_holds_the_model_sees_the_new_vocabulary() -> None:
    model = models.BPE(unk_token="<unk>")
    one, two = Tokenizer(model), Tokenizer(model)
    one.train_from_iterator(["ab ab"], trainers.BpeTrainer(**QUIET))
    assert two.encode("ab").tokens == ["ab"] and model.unk_token == "<unk>"


@pytest.mark.parametrize(
    "trainer",
    [
        trainers.BpeTrainer(
            special_tokens=["a", AddedToken("b", lstrip=True)], limit_alphabet=3, initial_alphabet=["é"]
        ),
        trainers.WordPieceTrainer(vocab_size=17),
        trainers.WordLevelTrainer(min_frequency=2),
        trainers.UnigramTrainer(unk_token="<unk>", shrinking_factor=0.5, seed_size=10),
    ],
)
def test_trainers_can_be_pickled_and_set(trainer: Any) -> None:
    again = pickle.loads(pickle.dumps(trainer))
    assert repr(again) == repr(trainer)
    again.vocab_size = 123
    assert again.vocab_size == 123 and trainer.vocab_size != 123
    again.special_tokens = ["x"]
    assert again.special_tokens == [AddedToken("x", special=True)]
    with pytest.raises(TypeError):
        again.vocab_size = "many"
    with pytest.raises(OverflowError):
        again.vocab_size = -1
    with pytest.raises(TypeError):
        again.special_tokens = [1]


def test_progress_as_lines_of_json(capfd: pytest.CaptureFixture[str]) -> None:
    bpe().train_from_iterator(["ab ab"], trainers.BpeTrainer(progress_format="json"))
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert lines[-1]["stage"] == "Compute merges" and lines[-1]["current"] == lines[-1]["total"]
    bpe().train_from_iterator(["ab ab"], trainers.BpeTrainer(progress_format="silent"))
    assert "merges" not in capfd.readouterr().err


def test_models_know_their_trainer() -> None:
    for model, trainer in (
        (models.BPE(), trainers.BpeTrainer),
        (models.WordPiece(), trainers.WordPieceTrainer),
        (models.WordLevel(), trainers.WordLevelTrainer),
        (models.Unigram(), trainers.UnigramTrainer),
    ):
        assert type(model.get_trainer()) is trainer
