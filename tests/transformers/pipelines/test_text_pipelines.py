"""Pipelines of texts: kinds of input, batches, and what goes wrong."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

import enfold.transformers as tf
from enfold.datasets import Dataset
from enfold.transformers import Conversation, SquadExample, pipeline
from enfold.transformers.pipelines import ChunkPipeline, KeyDataset, PipelineException
from enfold.transformers.pipelines.texts import TextPipeline
from parity.pipelines.comparing import same
from parity.pipelines.texts import ASKED, CHAT, GREEDY, STORY, TEXTS, make


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "all"
    make(tf, made)
    return made


@pytest.fixture(scope="module")
def tags(folder: Path) -> Any:
    return pipeline("ner", model=str(folder / "tokens"), aggregation_strategy="simple", device=-1)


@pytest.fixture(scope="module")
def answers(folder: Path) -> Any:
    return pipeline("question-answering", model=str(folder / "question"), device=-1)


@pytest.fixture(scope="module")
def fills(folder: Path) -> Any:
    return pipeline("fill-mask", model=str(folder / "mask"), device=-1)


@pytest.fixture(scope="module")
def judges(folder: Path) -> Any:
    return pipeline("zero-shot-classification", model=str(folder / "nli"), device=-1)


def test_every_kind_of_many_texts_has_the_same_answers(tags: Any) -> None:
    one_by_one = [tags(text) for text in TEXTS]
    rows = Dataset.from_dict({"text": TEXTS})
    for many in (TEXTS, rows["text"], list(rows["text"]), KeyDataset(rows, "text"), (text for text in TEXTS)):
        found = tags(many, batch_size=2)
        assert isinstance(found, list) == isinstance(many, list)
        same(list(found), one_by_one)


def test_a_generator_is_read_as_its_answers_are(tags: Any) -> None:
    read: list[str] = []

    def speak() -> Any:
        for text in TEXTS:
            read.append(text)
            yield text

    found = tags(speak())
    assert isinstance(found, types.GeneratorType)
    next(found)
    assert read == TEXTS[:1]


def test_a_batch_without_padding_has_no_mask(tags: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    forward = type(tags)._forward

    def spy(self: Any, inputs: Any, **options: Any) -> Any:
        seen.append(inputs)
        return forward(self, inputs, **options)

    monkeypatch.setattr(type(tags), "_forward", spy)
    tags([TEXTS[2], TEXTS[2]])
    tags([TEXTS[0], TEXTS[2]])
    assert "attention_mask" not in seen[0] and seen[0]["input_ids"].shape[0] == 2
    assert "attention_mask" in seen[1] and len(seen) == 2


@pytest.mark.filterwarnings("ignore")
def test_texts_of_any_length_share_few_batches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classify = pipeline("text-classification", model=str(folder / "nli"), device=-1)
    shapes: list[Any] = []
    forward = TextPipeline._forward
    monkeypatch.setattr(
        TextPipeline, "_forward", lambda self, inputs: shapes.append(inputs["input_ids"].shape) or forward(self, inputs)
    )
    classify(["Who?", STORY[:90]] * 50)
    assert len(shapes) == 1 or all(rows * width <= 4096 for rows, width in shapes)
    assert sum(rows for rows, _ in shapes) == 100


def test_questions_come_in_every_form(answers: Any) -> None:
    asked = ASKED[0]
    wanted = answers(**asked)
    assert list(wanted) == ["score", "start", "end", "answer"]
    assert wanted["answer"] == asked["context"][wanted["start"] : wanted["end"]]
    example = SquadExample(None, asked["question"], asked["context"])
    for form in (asked, [asked], example, [example]):
        same(answers(form), wanted)
    same(answers([asked, example]), [wanted, wanted])
    same(list(answers(one for one in (asked, asked))), [wanted, wanted])
    same(list(answers(Dataset.from_list([asked, asked]))), [wanted, wanted])
    same(answers.create_sample("Who?", "Me.").context_text, "Me.")


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"question": "Who?"}, ValueError, "needs question=… and context=…"),
        ({"question": "Who?", "context": ""}, ValueError, "the context is empty"),
        ({"question": ["a", "b"], "context": ["c"]}, ValueError, "2 questions do not go with 1 contexts"),
        ({"question": "Who?", "context": "Me.", "top_k": 0}, ValueError, "top_k is at least 1"),
        ({"question": "Who?", "context": "Me.", "doc_stride": 99, "max_seq_len": 9}, ValueError, "doc_stride=99"),
        ({"data": [{"question": "Who?"}]}, KeyError, "context is missing"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(answers: Any, given: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        answers(**given)


def test_an_unknown_strategy_shows_the_nearest(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"'simpel'.*simple"):
        pipeline("ner", model=str(folder / "tokens"), aggregation_strategy="simpel")
    with pytest.raises(ValueError, match="choose an aggregation_strategy"):
        pipeline("ner", model=str(folder / "tokens"), aggregation_strategy="none", stride=2)


@pytest.mark.parametrize(
    ("older", "strategy"),
    [
        ({"grouped_entities": True}, "simple"),
        ({"grouped_entities": True, "ignore_subwords": True}, "first"),
        ({"grouped_entities": False}, "none"),
        ({"ignore_subwords": True}, "none"),
    ],
)
def test_older_names_of_strategies_say_what_they_became(folder: Path, older: Any, strategy: str) -> None:
    with pytest.warns(UserWarning, match=f"this is '{strategy}'"):
        old = pipeline("ner", model=str(folder / "tokens"), device=-1, **older)
    new = pipeline("ner", model=str(folder / "tokens"), device=-1, aggregation_strategy=strategy)
    same(old(TEXTS), new(TEXTS))


def test_given_places_stand_in_for_the_tokenizers(tags: Any) -> None:
    places = [(0, 0)] + [(9, 9)] * 14 + [(0, 0)]
    found = tags(TEXTS[0], offset_mapping=places)
    assert {(entity["start"], entity["end"]) for entity in found} <= {(9, 9)}
    with pytest.raises(ValueError, match="2 offset mappings"):
        tags(TEXTS[0], offset_mapping=[places, places])


def test_a_text_without_a_mask_is_refused(fills: Any) -> None:
    with pytest.raises(PipelineException, match=r"no mask \(\[MASK\]\) in 'Who\?'"):
        fills(["[MASK]", "Who?"])
    with pytest.raises(ValueError, match="none of them has a token"):
        fills("[MASK]", targets=[""])


def test_labels_and_templates_are_checked(judges: Any) -> None:
    with pytest.raises(ValueError, match="at least one label"):
        judges("text", candidate_labels=" , ")
    with pytest.raises(ValueError, match=r"no place \{\} for the label"):
        judges("text", ["sports"], hypothesis_template="about sports")
    with pytest.raises(ValueError, match="2 more arguments"):
        judges("text", ["sports"], ["cooking"])
    same(judges("text", ["a", "b"], multi_class=True), judges("text", "a,b", multi_label=True))


def test_features_are_tensors_where_asked(folder: Path) -> None:
    read = pipeline("feature-extraction", model=str(folder / "states"), device=-1, return_tensors=True)
    assert [tuple(states.shape[::2]) for states in read(TEXTS)] == [(1, 24)] * len(TEXTS)
    with pytest.raises(ValueError, match="given twice"):
        read("a", truncation=True, tokenize_kwargs={"truncation": True})


def test_a_saved_pipeline_answers_the_same(answers: Any, tmp_path: Path) -> None:
    answers.save_pretrained(str(tmp_path))
    again = pipeline(model=str(tmp_path), device=-1)
    assert again.task == "question-answering"
    same(again(**ASKED[1]), answers(**ASKED[1]))


def test_a_conversation_grows_by_its_answer(folder: Path) -> None:
    talks = pipeline("conversational", model=str(folder / "write"), device=-1, **GREEDY)
    talk = Conversation("Who works?")
    assert talks(talk) is talk
    write = pipeline("text-generation", model=str(folder / "write"), device=-1)
    told = write([{"role": "user", "content": "Who works?"}], **GREEDY)[0]["generated_text"][-1]["content"]
    assert talk.generated_responses == [told]
    talk.add_user_input("Where?")
    with pytest.warns(UserWarning, match="has no answer yet"):
        talk.add_user_input("When?")
    talk.add_user_input("Why?", overwrite=True)
    assert (talk.past_user_inputs, talk.new_user_input) == (["Who works?"], "Why?")
    first, second = talks([talk, Conversation(CHAT)])
    assert len(first) == 4 and second.messages[0]["role"] == "system"
    with pytest.raises(ValueError, match="does not wait for an answer"):
        talks(first)


def test_a_task_of_ones_own_may_cut_its_inputs(folder: Path) -> None:
    class Words(ChunkPipeline):
        def _sanitize_parameters(self, **_: Any) -> Any:
            return {}, {}, {}

        def preprocess(self, text: str) -> Any:  # type: ignore[override]
            for word in text.split():
                yield self.tokenizer(word, return_tensors="pt")

        def _forward(self, inputs: Any) -> Any:  # type: ignore[override]
            return self.model(**inputs).logits.argmax(-1)

        def postprocess(self, outputs: Any) -> Any:  # type: ignore[override]
            return [int(output) for output in outputs]

    source = folder / "nli"
    words = Words(model=tf.AutoModelForSequenceClassification.from_pretrained(source), device=-1)
    words.tokenizer = tf.AutoTokenizer.from_pretrained(source)
    assert [len(found) for found in words(["a b c", "d"])] == [3, 1]
