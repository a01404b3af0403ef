"""Rows of every shape, and turning one shape into another."""

from __future__ import annotations

from typing import Any

import pytest

from enfold.datasets import Dataset
from enfold.trl.formats import (
    ChatTemplateError,
    MissingColumns,
    apply_chat_template,
    extract_prompt,
    is_conversational,
    maybe_convert_to_chatml,
    maybe_extract_prompt,
    maybe_unpair_preference_dataset,
    prepare_multimodal_messages,
    require_columns,
)
from enfold.trl.packing import PackingError, best_fit, pack_dataset

SKY = [{"role": "user", "content": "What colour is the sky?"}]
BLUE, GREEN = [[{"role": "assistant", "content": f"It is {colour}."}] for colour in ("blue", "green")]


class Plain:
    """A tokenizer of which only the template matters here."""

    def apply_chat_template(self, messages: list[Any], **options: Any) -> str:
        if any(message["role"] == "critic" for message in messages):
            raise ValueError("no such role")
        text = "".join(f"<{message['role']}>{message['content']}</>" for message in messages)
        if options.get("continue_final_message"):
            return text.removesuffix("</>")
        return text + "<assistant><think>" if options.get("add_generation_prompt") else text


def test_a_prompt_is_what_every_answer_begins_with() -> None:
    row = apply_chat_template({"prompt": SKY, "chosen": BLUE, "rejected": GREEN}, Plain())
    assert row == {
        "prompt": "<user>What colour is the sky?</><assistant>",  # the template's "<think>" belongs to no answer
        "chosen": "It is blue.</>",
        "rejected": "It is green.</>",
    }


def test_a_prompt_that_ends_with_an_answer_is_continued() -> None:
    assert apply_chat_template({"prompt": SKY + BLUE}, Plain())["prompt"].endswith("It is blue.")


def test_a_template_that_fails_names_the_roles_and_the_reason() -> None:
    with pytest.raises(ChatTemplateError, match=r"roles user, critic: no such role"):
        apply_chat_template({"messages": [*SKY, {"role": "critic", "content": "Hm"}]}, Plain())
    with pytest.raises(ChatTemplateError, match="not with 'system'"):
        apply_chat_template({"prompt": [{"role": "system", "content": "Be brief"}]}, Plain())
    with pytest.raises(KeyError, match="chosen has no chat form"):
        apply_chat_template({"chosen": BLUE}, Plain())


def test_missing_columns_are_named_with_what_was_found() -> None:
    rows = Dataset.from_dict({"question": ["a"], "choosen": ["b"], "rejected": ["c"]})
    with pytest.raises(
        MissingColumns, match=r"DPOTrainer needs the columns chosen and rejected; .* question, choosen "
    ):
        require_columns(rows, ["chosen", "rejected"], trainer="DPOTrainer")
    require_columns(rows, ["prompt"], ["question"], trainer="GRPOTrainer")


def test_an_answer_is_never_empty_when_one_begins_with_the_other() -> None:
    assert extract_prompt({"chosen": SKY + BLUE, "rejected": SKY + GREEN})["prompt"] == SKY
    assert extract_prompt({"chosen": "ab", "rejected": "abc"}) == {"prompt": "a", "chosen": "b", "rejected": "bc"}
    row = {"prompt": "p", "chosen": SKY + BLUE, "rejected": SKY + GREEN}
    assert maybe_extract_prompt(row)["prompt"] == SKY, "the prompt's form is not the answers'"
    assert maybe_extract_prompt({"prompt": "p", "chosen": "a", "rejected": "b"})["prompt"] == "p"


def test_converting_shared_conversations_leaves_the_row_as_it_was() -> None:
    row = {"conversations": [{"from": "user", "value": "Hi", "weight": 1}]}
    assert maybe_convert_to_chatml(row) == {"messages": [{"weight": 1, "role": "user", "content": "Hi"}]}
    assert row["conversations"][0]["from"] == "user"


def test_a_row_without_messages_is_no_conversation() -> None:
    assert not is_conversational({"prompt": []}) and not is_conversational({"label": True})


def test_images_stand_before_the_first_users_text() -> None:
    messages = prepare_multimodal_messages([*SKY, *BLUE], images=["picture"])
    assert messages[0]["content"][0] == {"type": "image", "image": "picture"}
    with pytest.raises(ValueError, match="2 images were given for 1 places"):
        prepare_multimodal_messages([{"role": "user", "content": [{"type": "image"}]}], images=[1, 2])
    with pytest.raises(ValueError, match="not 'critic'"):
        prepare_multimodal_messages([{"role": "critic", "content": "x"}])


def test_unpairing_repeats_the_other_columns() -> None:
    rows = Dataset.from_dict({"prompt": ["p", "q"], "chosen": ["a", "b"], "rejected": ["c", "d"], "n": [1, 2]})
    apart = maybe_unpair_preference_dataset(rows)
    assert apart[:] == {
        "completion": ["a", "b", "c", "d"],
        "label": [True, True, False, False],
        "prompt": ["p", "q", "p", "q"],
        "n": [1, 2, 1, 2],
    }
    assert maybe_unpair_preference_dataset(apart) is apart


def test_packing_refuses_what_cannot_be_packed() -> None:
    with pytest.raises(PackingError, match=r"not 'bdf'; did you mean 'bfd'\?"):
        pack_dataset(Dataset.from_dict({"a": [[1]]}), 4, "bdf")
    with pytest.raises(PackingError, match="'b' holds int64"):
        pack_dataset(Dataset.from_dict({"a": [[1]], "b": [1]}), 4)
    with pytest.raises(PackingError, match="'a' and 'b' have rows of different lengths"):
        pack_dataset(Dataset.from_dict({"a": [[1]], "b": [[1, 2]]}), 4)


def test_no_bin_is_overfull_and_no_item_is_lost() -> None:
    lengths = [(7 * i * i + 3 * i) % 13 + 1 for i in range(200)]
    bins = best_fit(lengths, 13)
    assert sorted(index for items in bins for index in items) == list(range(200))
    assert max(sum(lengths[index] for index in items) for items in bins) <= 13
