"""Translators between many languages, from repositories as the Hub has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from enfold.transformers import pipeline

pytestmark = pytest.mark.peer

PAIRS = [
    ("facebook/m2m100_418M", "zh", "en", "__en__"),
    ("facebook/mbart-large-50-many-to-many-mmt", "fr_XX", "de_DE", "de_DE"),
]


@pytest.mark.parametrize(("name", "source", "target", "token"), PAIRS)
def test_a_text_is_written_after_the_token_of_its_language(
    fixture_repositories: Path, name: str, source: str, target: str, token: str
) -> None:
    translate = pipeline("translation", model=str(fixture_repositories / "models" / name), src_lang=source)
    given = {"tgt_lang": target, "src_lang": source, "max_length": 8}
    ids = translate("Hello", **given, return_tensors=True)[0]["translation_token_ids"].tolist()
    tokenizer = translate.tokenizer
    assert ids[0] == translate.model.config.decoder_start_token_id
    assert ids[1] == tokenizer.convert_tokens_to_ids(token) != tokenizer.unk_token_id and len(ids) <= 8
    texts = ["Hello", "A good film, not bad at all.", "movie"]
    assert translate(texts, **given) == [translate(text, **given)[0] for text in texts]


def test_languages_must_be_named(fixture_repositories: Path) -> None:
    translate = pipeline("translation", model=str(fixture_repositories / "models" / PAIRS[0][0]))
    with pytest.raises(ValueError, match="give src_lang and tgt_lang"):
        translate("Hello")


def test_the_task_may_name_the_languages(fixture_repositories: Path) -> None:
    folder = str(fixture_repositories / "models" / PAIRS[0][0])
    named = pipeline("translation_en_to_fr", model=folder)
    assert named("movie", max_length=6) == pipeline("translation", model=folder, src_lang="en", tgt_lang="fr")(
        "movie", max_length=6
    )
    assert named.task == "translation_en_to_fr"
