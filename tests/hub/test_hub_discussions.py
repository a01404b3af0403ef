"""Discussions and pull requests through our client."""

from __future__ import annotations

from pathlib import Path

import pytest

from enfold.hub import CommitOperationAdd, DiscussionComment, DiscussionCommit, HfApi
from enfold.hub.errors import HfHubHTTPError


def test_a_discussion_is_held(api: HfApi, repo_id: str) -> None:
    made = api.create_discussion(repo_id, "Why?", description="**Tell** me")
    assert (made.num, made.status, made.is_pull_request, made.git_reference) == (1, "open", False, None)
    assert made.url == f"{api.endpoint}/{repo_id}/discussions/1" and made.target_branch is None
    (first,) = made.events
    assert isinstance(first, DiscussionComment) and first.content == "**Tell** me"
    assert "<strong>Tell</strong>" in first.rendered and first.last_edited_by == made.author
    said = api.comment_discussion(repo_id, 1, "Because.")
    edited = api.edit_discussion_comment(repo_id, 1, said.id, "Because so.")
    assert edited.edited and edited.number_of_edits == 1 and edited.edit_history[0]["raw"] == "Because."
    assert edited.last_edited_at >= said.created_at.replace(microsecond=0)
    with pytest.warns(UserWarning, match="cannot be undone"):
        hidden = api.hide_discussion_comment(repo_id, 1, said.id)
    assert hidden.hidden and "Because" not in hidden.content and not hidden.edit_history
    assert api.rename_discussion(repo_id, 1, "Why not?").old_title == "Why?"
    assert api.change_discussion_status(repo_id, 1, "closed", comment="done").new_status == "closed"
    assert [item.title for item in api.get_repo_discussions(repo_id, discussion_status="closed")] == ["Why not?"]
    assert list(api.get_repo_discussions(repo_id, discussion_type="pull_request")) == []


def test_a_change_is_proposed_and_merged(api: HfApi, repo_id: str, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(bytes(100_000))
    commit = api.upload_folder(repo_id=repo_id, folder_path=tmp_path, create_pr=True, commit_message="Weights")
    assert commit.pr_url == f"{api.endpoint}/{repo_id}/discussions/1" and commit.pr_revision == "refs/pr/1"
    assert "w.safetensors" not in api.list_repo_files(repo_id)
    api.create_commit(repo_id, [CommitOperationAdd("a.txt", b"a")], commit_message="More", revision="refs/pr/1")
    request = api.get_discussion_details(repo_id, 1)
    assert [event.summary for event in request.events if isinstance(event, DiscussionCommit)] == ["Weights", "More"]
    assert request.target_branch == "refs/heads/main" and request.conflicting_files == []
    assert request.diff is not None and "+++ b/a.txt" in request.diff and request.merge_commit_oid is None
    api.merge_pull_request(repo_id, 1, comment="Thanks")
    merged = api.get_discussion_details(repo_id, 1)
    assert merged.status == "merged" and merged.merge_commit_oid == api.model_info(repo_id).sha
    assert {"a.txt", "w.safetensors"} <= set(api.list_repo_files(repo_id))
    with pytest.raises(HfHubHTTPError, match="merged"):
        api.merge_pull_request(repo_id, 1)
    draft = api.create_pull_request(repo_id, "Later")
    assert (draft.status, draft.git_reference) == ("draft", "refs/pr/2")


def test_wrong_arguments_are_refused_before_anything_is_sent(api: HfApi) -> None:
    with pytest.raises(ValueError, match="discussion_num must be a positive whole number, not 0"):
        api.get_discussion_details("me/none", 0)
    with pytest.raises(ValueError, match="discussion_type is one of all, discussion, pull_request, not 'pr'"):
        next(api.get_repo_discussions("me/none", discussion_type="pr"))
    with pytest.raises(ValueError, match="new_status is 'open' or 'closed', not 'merged'"):
        api.change_discussion_status("me/none", 1, "merged")
