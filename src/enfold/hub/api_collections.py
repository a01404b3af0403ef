"""Calls about collections of repositories."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from enfold.hub import http
from enfold.hub.api_base import Token
from enfold.hub.api_repos import RepositoryCalls
from enfold.hub.collections import Collection
from enfold.hub.errors import HfHubHTTPError

__all__ = ["CollectionCalls"]


class CollectionCalls(RepositoryCalls):
    """Calls that make, list and change collections."""

    def _collection(self, slug: str, *more: str) -> str:
        return "/".join([f"{self.endpoint}/api/collections/{slug}", *more])

    def list_collections(
        self,
        *,
        owner: Sequence[str] | str | None = None,
        item: Sequence[str] | str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        token: Token = None,
    ) -> Iterator[Collection]:
        """Yield collections with the first four items of each.

        Args:
            owner: only those of these accounts.
            item: only those with one of these: ``"models/namespace/name"``.
            sort: "lastModified", "trending" or "upvotes".
            limit: how many at most.
            token: a token, for private ones.
        """
        query: list[tuple[str, str]] = []
        for name, value in (("owner", owner), ("item", item)):
            query += [(name, one) for one in ([value] if isinstance(value, str) else value or [])]
        if sort is not None:
            query.append(("sort", sort))
        if limit is not None:
            query.append(("limit", str(limit)))
        found = http.pages(f"{self.endpoint}/api/collections", token=self._token(token), params=query)
        for position, raw in enumerate(itertools.islice(found, limit)):
            yield Collection.told(raw, self.endpoint, position)

    def get_collection(self, collection_slug: str, *, token: Token = None) -> Collection:
        """Return a collection with all its items."""
        return Collection.told(self._send("GET", self._collection(collection_slug), token).json(), self.endpoint)

    def create_collection(
        self,
        title: str,
        *,
        namespace: str | None = None,
        description: str | None = None,
        private: bool = False,
        exists_ok: bool = False,
        token: Token = None,
    ) -> Collection:
        """Make a collection.

        Args:
            title: up to 60 characters.
            namespace: whose it is; the token's own by default.
            description: up to 150 characters.
            private: whether only members of the namespace see it.
            exists_ok: return the one of that title instead of raising.
            token: a token that may write there.
        """
        body: dict[str, Any] = {
            "title": title,
            "namespace": namespace or self.whoami(token)["name"],
            "private": private,
        }
        if description is not None:
            body["description"] = description
        try:
            answer = self._send("POST", f"{self.endpoint}/api/collections", token, json=body).json()
        except HfHubHTTPError as error:
            if not exists_ok or error.response is None or error.response.status_code != 409:
                raise
            return self.get_collection(error.response.json()["slug"], token=token)
        return Collection.told(answer, self.endpoint)

    def update_collection_metadata(
        self,
        collection_slug: str,
        *,
        title: str | None = None,
        description: str | None = None,
        position: int | None = None,
        private: bool | None = None,
        theme: str | None = None,
        token: Token = None,
    ) -> Collection:
        """Change a collection; what is None stays. The slug follows the title, and the old one stays valid."""
        given = {"title": title, "description": description, "position": position, "private": private, "theme": theme}
        body = {name: value for name, value in given.items() if value is not None}
        answer = self._send("PATCH", self._collection(collection_slug), token, json=body).json()
        return Collection.told(answer["data"], self.endpoint)

    def delete_collection(self, collection_slug: str, *, missing_ok: bool = False, token: Token = None) -> None:
        """Delete a collection; what is in it stays."""
        self._gone("DELETE", self._collection(collection_slug), missing_ok, token)

    def _gone(self, method: str, address: str, missing_ok: bool, token: Token) -> None:
        try:
            self._send(method, address, token)
        except HfHubHTTPError as error:
            if not missing_ok or error.response is None or error.response.status_code != 404:
                raise

    def add_collection_item(
        self,
        collection_slug: str,
        item_id: str,
        item_type: str,
        *,
        note: str | None = None,
        exists_ok: bool = False,
        token: Token = None,
    ) -> Collection:
        """Put something at the end of a collection.

        Args:
            collection_slug: the collection.
            item_id: a repository's id.
            item_type: "model", "dataset" or "space" (the Hub may know others).
            note: up to 500 characters.
            exists_ok: do nothing when it is there already.
            token: a token that may write.
        """
        body: dict[str, Any] = {"item": {"id": item_id, "type": item_type}}
        if note is not None:
            body["note"] = note
        try:
            answer = self._send("POST", self._collection(collection_slug, "items"), token, json=body).json()
        except HfHubHTTPError as error:
            if not exists_ok or error.response is None or error.response.status_code != 409:
                raise
            return self.get_collection(collection_slug, token=token)
        return Collection.told(answer, self.endpoint)

    def update_collection_item(
        self,
        collection_slug: str,
        item_object_id: str,
        *,
        note: str | None = None,
        position: int | None = None,
        token: Token = None,
    ) -> None:
        """Change an item's note, or move it to a place counted from 0."""
        given = {"note": note, "position": position}
        body = {name: value for name, value in given.items() if value is not None}
        self._send("PATCH", self._collection(collection_slug, "items", item_object_id), token, json=body)

    def delete_collection_item(
        self, collection_slug: str, item_object_id: str, *, missing_ok: bool = False, token: Token = None
    ) -> None:
        """Take an item out of a collection."""
        self._gone("DELETE", self._collection(collection_slug, "items", item_object_id), missing_ok, token)
