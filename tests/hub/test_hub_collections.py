"""Collections through our client."""

from __future__ import annotations

import pytest

from enfold.hub import HfApi
from enfold.hub.errors import HfHubHTTPError
from enfold.hubserver import EmbeddedHub


def test_a_collection_is_made_filled_and_changed(api: HfApi, repo_id: str, server: EmbeddedHub) -> None:
    api.create_repo(f"{repo_id}-rows", repo_type="dataset")
    made = api.create_collection(f"Best of {repo_id}", description="Chosen")
    assert (made.owner, made.private, made.items, made.description) == ("owner", False, [], "Chosen")
    assert made.slug.startswith("owner/best-of-owner-test-") and made.url == f"{api.endpoint}/collections/{made.slug}"
    assert api.create_collection(f"Best of {repo_id}", exists_ok=True).slug == made.slug
    with pytest.raises(HfHubHTTPError, match="already"):
        api.create_collection(f"Best of {repo_id}")
    api.add_collection_item(made.slug, repo_id, "model", note="First")
    both = api.add_collection_item(made.slug, f"{repo_id}-rows", "dataset")
    assert [(item.item_id, item.item_type, item.note) for item in both.items] == [
        (repo_id, "model", "First"),
        (f"{repo_id}-rows", "dataset", None),
    ]
    with pytest.raises(HfHubHTTPError, match="already"):
        api.add_collection_item(made.slug, repo_id, "model")
    assert len(api.add_collection_item(made.slug, repo_id, "model", exists_ok=True).items) == 2
    api.update_collection_item(made.slug, both.items[1].item_object_id, position=0, note="Now first")
    assert [item.note for item in api.get_collection(made.slug).items] == ["Now first", "First"]
    renamed = api.update_collection_metadata(made.slug, title=f"Rest of {repo_id}", theme="pink", private=True)
    assert (
        renamed.slug != made.slug and renamed.theme == "pink" and api.get_collection(made.slug).title == renamed.title
    )
    guest = HfApi(token=server.create_user("collection-guest"))
    with pytest.raises(HfHubHTTPError, match="no collection"):
        guest.get_collection(made.slug)
    api.update_collection_metadata(made.slug, private=False)
    api.update_repo_settings(f"{repo_id}-rows", repo_type="dataset", private=True)
    assert [item.item_id for item in guest.get_collection(made.slug).items] == [repo_id], "what is private is not shown"
    with pytest.raises(HfHubHTTPError, match="rights"):
        guest.add_collection_item(made.slug, repo_id, "model", exists_ok=True)
    api.delete_collection_item(made.slug, both.items[0].item_object_id)
    assert [(item.item_id, item.position) for item in api.get_collection(made.slug).items] == [(f"{repo_id}-rows", 0)]
    api.delete_collection_item(made.slug, "0" * 24, missing_ok=True)
    api.delete_collection(made.slug)
    api.delete_collection(made.slug, missing_ok=True)
    with pytest.raises(HfHubHTTPError, match="no collection"):
        api.delete_collection(made.slug)
    assert api.repo_exists(repo_id)


def test_collections_are_found_by_owner_and_by_item(api: HfApi, repo_id: str, server: EmbeddedHub) -> None:
    server.create_organisation("collects")
    slugs = [api.create_collection(f"Number {number}", namespace="collects").slug for number in range(3)]
    api.add_collection_item(slugs[1], repo_id, "model")
    assert [found.slug for found in api.list_collections(owner="collects")] == [slugs[1], slugs[2], slugs[0]]
    assert [found.slug for found in api.list_collections(item=f"models/{repo_id}")] == [slugs[1]]
    assert [found.position for found in api.list_collections(owner=["collects", "owner"], limit=2)] == [0, 1]
    with pytest.raises(HfHubHTTPError, match="sort"):
        list(api.list_collections(sort="none"))


def test_bad_collections_are_refused(api: HfApi, repo_id: str) -> None:
    made = api.create_collection(f"Bad {repo_id}")
    for title, text in (("", None), ("x" * 61, None), ("x", "y" * 151)):
        with pytest.raises(HfHubHTTPError, match="characters"):
            api.create_collection(title, description=text)
    with pytest.raises(HfHubHTTPError, match="theme"):
        api.update_collection_metadata(made.slug, theme="plaid")
    with pytest.raises(HfHubHTTPError):
        api.add_collection_item(made.slug, "owner/none-such", "model")
    with pytest.raises(HfHubHTTPError, match="type"):
        api.add_collection_item(made.slug, repo_id, "planet")
    with pytest.raises(HfHubHTTPError, match="no item"):
        api.update_collection_item(made.slug, "0" * 24, note="x")
