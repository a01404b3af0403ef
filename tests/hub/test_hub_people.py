"""People, likes and gated repositories through our client."""

from __future__ import annotations

import pytest

from enfold import hub
from enfold.hub import HfApi
from enfold.hub.errors import GatedRepoError
from enfold.hubserver import EmbeddedHub


def test_a_gated_repository_lets_in_whom_it_accepts(api: HfApi, repo_id: str, server: EmbeddedHub) -> None:
    api.upload_file(path_or_fileobj=b"a", path_in_repo="a.txt", repo_id=repo_id)
    api.update_repo_settings(repo_id, gated="manual")
    guest = HfApi(token=server.create_user("gated-guest"))
    with pytest.raises(GatedRepoError):
        guest.auth_check(repo_id)
    with pytest.raises(GatedRepoError):
        hub.hf_hub_download(repo_id, "a.txt", token=guest.token)
    api.grant_access(repo_id, "gated-guest")
    guest.auth_check(repo_id)
    assert hub.hf_hub_download(repo_id, "a.txt", token=guest.token)
    (request,) = api.list_accepted_access_requests(repo_id)
    assert (request.username, request.status, request.fields) == ("gated-guest", "accepted", None)
    api.cancel_access_request(repo_id, request_id=request.request_id)
    assert [item.username for item in api.list_pending_access_requests(repo_id)] == ["gated-guest"]
    api.reject_access_request(repo_id, "gated-guest", rejection_reason="no")
    assert [item.status for item in api.list_rejected_access_requests(repo_id)] == ["rejected"]
    api.accept_access_request(repo_id, "gated-guest")
    guest.auth_check(repo_id)
    with pytest.raises(ValueError, match="either user or request_id"):
        api.accept_access_request(repo_id)


def test_likes_are_given_and_taken(api: HfApi, repo_id: str) -> None:
    api.like(repo_id)
    assert [user.username for user in api.list_repo_likers(repo_id)] == ["owner"]
    likes = api.list_liked_repos()
    assert likes.user == "owner" and repo_id in likes.models and likes.total == len(likes.models) and not likes.spaces
    api.unlike(repo_id)
    assert repo_id not in api.list_liked_repos("owner").models and list(api.list_repo_likers(repo_id)) == []


def test_people_are_described(api: HfApi, repo_id: str, server: EmbeddedHub) -> None:
    server.create_user("described", fullname="Some One")
    server.create_organisation("described-team", {"described": "write"})
    user = api.get_user_overview("described")
    assert (user.username, user.fullname, user.num_models) == ("described", "Some One", 0)
    (team,) = user.orgs
    assert team.name == "described-team" and team.plan is None
    assert api.get_organization_overview("described-team").num_users == 1
    assert [member.username for member in api.list_organization_members("described-team")] == ["described"]
    assert list(api.list_user_followers("described")) == list(api.list_user_following("described")) == []
