"""Cards: metadata and text survive reading and writing; results become a model-index and come back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.hub import (
    DatasetCard,
    DatasetCardData,
    EvalResult,
    HfApi,
    ModelCard,
    ModelCardData,
    RepoCard,
    metadata_load,
    metadata_save,
    metadata_update,
)

RESULT = {
    "task_type": "text-classification",
    "dataset_type": "demo/headlines",
    "dataset_name": "Headlines",
    "metric_type": "accuracy",
}


def test_a_card_keeps_what_is_not_changed() -> None:
    text = "---\nlicense: mit\nzeta: 1\nlanguage:\n- en\n- ä\n---\n\n# Title\n\nBody --- with dashes\n"
    card = ModelCard(text)
    assert str(card) == text
    card.data.license = "apache-2.0"
    card.data.tags = ["new"]
    written = str(card)
    assert written.startswith("---\nlicense: apache-2.0\nzeta: 1\nlanguage:\n- en\n- ä\ntags:\n- new\n---\n")
    assert written.endswith("Body --- with dashes\n")


def test_line_breaks_are_kept(tmp_path: Path) -> None:
    text = "---\r\nlicense: mit\r\n---\r\n# Hi\r\n"
    RepoCard(text).save(tmp_path / "README.md")
    assert (tmp_path / "README.md").read_bytes().decode() == text
    metadata_save(tmp_path / "README.md", {"license": "bsd"})
    assert (tmp_path / "README.md").read_bytes() == b"---\r\nlicense: bsd\r\n---\r\n# Hi\r\n"


def test_a_card_without_metadata_is_text() -> None:
    assert RepoCard("# Hi").data.to_dict() == {} and str(RepoCard("# Hi")) == "# Hi"
    with pytest.raises(ValueError, match="mapping"):
        RepoCard("---\n- a\n---\n")


_words = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\x85\u2028\u2029\ufeff"), max_size=12
)
_values = st.recursive(
    st.one_of(_words, st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_words, inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(data=st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), _values, max_size=4), body=_words)
def test_any_metadata_survives(data: dict[str, object], body: str) -> None:
    card = RepoCard("")
    for name, value in data.items():
        card.data[name] = value
    card.text = "\n" + body
    assert RepoCard(str(card)).data.to_dict() == data
    assert RepoCard(str(card)).text.strip() == body.strip()


def test_results_become_a_model_index_and_come_back() -> None:
    results = [
        EvalResult(**RESULT, metric_value=0.9, dataset_split="test", source_url="http://s", source_name="s"),
        EvalResult(**{**RESULT, "metric_type": "f1"}, metric_value=0.8, dataset_split="test"),
        EvalResult(**{**RESULT, "dataset_type": "other"}, metric_value={"a": 1}, metric_name="Acc", verified=True),
    ]
    data = ModelCardData(model_name="m", eval_results=results, license="mit")
    index = data.to_dict()["model-index"]
    assert [len(entry["metrics"]) for entry in index[0]["results"]] == [2, 1]
    assert index[0]["results"][0]["metrics"][0] == {"type": "accuracy", "value": 0.9}
    card = ModelCard(f"---\n{data}\n---\n# m\n")
    back = card.data.eval_results
    assert card.data.model_name == "m" and len(back) == 3
    assert back[0] == results[0] and back[2] == results[2]
    assert back[1].is_equal_except_value(
        EvalResult(
            **{**RESULT, "metric_type": "f1"},
            metric_value=0,
            dataset_split="test",
            source_url="http://s",
            source_name="s",
        )
    )
    with pytest.raises(ValueError, match="model_name"):
        ModelCardData(eval_results=results)
    with pytest.raises(ValueError, match="model-index"):
        ModelCard("---\nmodel-index:\n- name: x\n  results:\n  - {}\n---\n")
    assert ModelCard("---\nmodel-index: 3\n---\n", ignore_metadata_errors=True).data.eval_results is None


def test_a_template_makes_a_card(tmp_path: Path) -> None:
    data = ModelCardData(license="mit", model_name="m", eval_results=[EvalResult(**RESULT, metric_value=1.0)])
    card = ModelCard.from_template(data, model_id="me/m", model_description="It tells headlines apart.")
    assert "# Model Card for me/m" in card.text and "It tells headlines apart." in card.text
    assert card.data.eval_results[0].metric_value == 1.0
    (tmp_path / "t.md").write_text("---\n{{ card_data }}\n---\n# {{ name }} {{ license }}")
    assert ModelCard.from_template(data, template_path=tmp_path / "t.md", name="N").text == "# N mit"
    dataset = DatasetCard.from_template(DatasetCardData(pretty_name="Rows", license="cc0-1.0"))
    assert "# Dataset Card for Rows" in dataset.text and dataset.data.license == "cc0-1.0"
    with pytest.raises(Exception, match="unsafe"):
        ModelCard.from_template(data, template_str="{{ ''.__class__.__mro__ }}")


def test_cards_are_shared_checked_and_updated(api: HfApi, repo_id: str) -> None:
    ModelCard("---\nlicense: apache-2.0\npipeline_tag: text-classification\n---\n# Demo\n").push_to_hub(repo_id)
    assert ModelCard.load(repo_id).data.license == "apache-2.0"
    info = api.model_info(repo_id)
    assert info.pipeline_tag == "text-classification" and "license:apache-2.0" in info.tags
    assert info.card_data.license == "apache-2.0"
    with pytest.raises(ValueError, match="pipeline_tag"):
        ModelCard("---\npipeline_tag: [a]\n---\n").push_to_hub(repo_id)
    index = ModelCardData(model_name="m", eval_results=[EvalResult(**RESULT, metric_value=0.5)]).to_dict()
    metadata_update(repo_id, {"tags": ["a"], **index})
    with pytest.raises(ValueError, match="overwrite"):
        metadata_update(repo_id, {"license": "mit"})
    index["model-index"][0]["results"][0]["metrics"][0]["value"] = 0.75
    with pytest.raises(ValueError, match="overwrite"):
        metadata_update(repo_id, index)
    metadata_update(repo_id, index, overwrite=True)
    card = ModelCard.load(repo_id)
    assert card.data.tags == ["a"] and [result.metric_value for result in card.data.eval_results] == [0.75]
    assert card.data.license == "apache-2.0" and "# Demo" in card.text


def test_metadata_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("# Only text")
    assert metadata_load(path) is None
    metadata_save(path, {"license": "mit", "tags": ["a"]})
    assert metadata_load(path) == {"license": "mit", "tags": ["a"]}
    assert path.read_text().endswith("# Only text")
