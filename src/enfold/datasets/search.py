"""Searching a dataset: indexes over its columns, and the rows nearest to a query."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from enfold.errors import nearest

from .indexes import BatchedSearchResults, ElasticSearchIndex, FaissIndex, MissingIndex, SearchResults

__all__ = ["BatchedNearestExamplesResults", "NearestExamplesResults", "SearchMixin"]


class NearestExamplesResults(NamedTuple):
    """Scores and rows, as a dict of columns."""

    scores: Sequence[float]
    examples: dict[str, Any]


class BatchedNearestExamplesResults(NamedTuple):
    """Scores and rows for each query."""

    total_scores: Sequence[Sequence[float]]
    total_examples: list[dict[str, Any]]


class SearchMixin:
    """The methods of a dataset that search it. Indexes belong to the object that they were added to."""

    _indexes: dict[str, Any]

    def list_indexes(self) -> list[str]:
        """Return the names of the indexes."""
        return list(self._indexes)

    def is_index_initialized(self, index_name: str) -> bool:
        """Return whether there is an index of a name."""
        return index_name in self._indexes

    def get_index(self, index_name: str) -> Any:
        """Return an index.

        Raises:
            MissingIndex: there is none of that name.
        """
        if index_name not in self._indexes:
            raise MissingIndex(
                f"there is no index {index_name!r}{nearest(index_name, self._indexes)}: "
                "add one with add_faiss_index() or add_elasticsearch_index(), or load it"
            )
        return self._indexes[index_name]

    def drop_index(self, index_name: str) -> None:
        """Forget an index."""
        self.get_index(index_name)
        self._indexes = {name: index for name, index in self._indexes.items() if name != index_name}

    def _set_index(self, name: str, index: Any) -> None:
        # a new dict: other datasets made of this one keep theirs
        self._indexes = {**self._indexes, name: index}

    def add_faiss_index(
        self: Any,
        column: str,
        index_name: str | None = None,
        device: int | list[int] | None = None,
        string_factory: str | None = None,
        metric_type: int | None = None,
        custom_index: Any = None,
        batch_size: int = 1000,
        train_size: int | None = None,
        faiss_verbose: bool = False,
        dtype: Any = np.float32,
    ) -> Any:
        """Index a column of vectors; return the dataset itself.

        Args:
            column: a column of lists of one length.
            index_name: the index' name; the column's where None.
            device: the GPU's number, -1 for all, or a list of them; the processor where None.
            string_factory: the kind of index as faiss names them; exact where None.
            metric_type: 0 for the inner product, 1 for the squared Euclidean distance (the default).
            custom_index: a faiss index to fill instead.
            batch_size: vectors to add at a time.
            train_size: train the index on this many of the first vectors before.
            faiss_verbose: let faiss print what it does.
            dtype: accepted for compatibility; vectors are stored as float32.

        Example:
            >>> from enfold.datasets import Dataset
            >>> dataset = Dataset.from_dict({"name": ["a", "b"], "vector": [[0.0, 0.0], [3.0, 4.0]]})
            >>> scores, rows = dataset.add_faiss_index("vector").get_nearest_examples("vector", [3.0, 3.0], k=1)
            >>> rows["name"], scores.tolist()
            (['b'], [1.0])
        """
        self._require(column)
        index = FaissIndex(device, string_factory, metric_type, custom_index)
        index.add_vectors(self, column, batch_size, train_size, faiss_verbose)
        self._set_index(index_name or column, index)
        return self

    def add_faiss_index_from_external_arrays(
        self,
        external_arrays: Any,
        index_name: str,
        device: int | list[int] | None = None,
        string_factory: str | None = None,
        metric_type: int | None = None,
        custom_index: Any = None,
        batch_size: int = 1000,
        train_size: int | None = None,
        faiss_verbose: bool = False,
        dtype: Any = np.float32,
    ) -> None:
        """Index vectors that are not in the dataset: ``external_arrays`` has the shape (rows, dimension)."""
        index = FaissIndex(device, string_factory, metric_type, custom_index)
        index.add_vectors(np.asarray(external_arrays, dtype), None, batch_size, train_size, faiss_verbose)
        self._set_index(index_name, index)

    def save_faiss_index(
        self, index_name: str, file: str | os.PathLike[str], storage_options: dict[str, Any] | None = None
    ) -> None:
        """Write an index of vectors to a file."""
        index = self.get_index(index_name)
        if not isinstance(index, FaissIndex):
            raise MissingIndex(f"index {index_name!r} is a {type(index).__name__}, not an index of vectors")
        index.save(file, storage_options)

    def load_faiss_index(
        self,
        index_name: str,
        file: str | os.PathLike[str],
        device: int | list[int] | None = None,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        """Take an index of vectors from a file.

        Raises:
            ValueError: it has another number of vectors than the dataset has rows.
        """
        index = FaissIndex.load(file, device, storage_options)
        if index.faiss_index.ntotal != len(self):  # type: ignore[arg-type]
            rows = len(self)  # type: ignore[arg-type]
            raise ValueError(f"{os.fspath(file)!r} has {index.faiss_index.ntotal} vectors; the dataset has {rows} rows")
        self._set_index(index_name, index)

    def add_elasticsearch_index(
        self: Any,
        column: str,
        index_name: str | None = None,
        host: str | None = None,
        port: int | None = None,
        es_client: Any = None,
        es_index_name: str | None = None,
        es_index_config: dict[str, Any] | None = None,
    ) -> Any:
        """Index a column of text in an Elasticsearch server; return the dataset itself.

        Args:
            column: the column.
            index_name: the index' name; the column's where None.
            host, port: the server's; or ``es_client``.
            es_index_name, es_index_config: the index on the server.

        Raises:
            ImportError: Elasticsearch's client is not installed.
        """
        self._require(column)
        index = ElasticSearchIndex(host, port, es_client, es_index_name, es_index_config)
        index.add_documents(self, column)
        self._set_index(index_name or column, index)
        return self

    def load_elasticsearch_index(
        self,
        index_name: str,
        es_index_name: str,
        host: str | None = None,
        port: int | None = None,
        es_client: Any = None,
        es_index_config: dict[str, Any] | None = None,
    ) -> None:
        """Take an index that an Elasticsearch server has already."""
        self._set_index(index_name, ElasticSearchIndex(host, port, es_client, es_index_name, es_index_config))

    def search(self, index_name: str, query: Any, k: int = 10, **kwargs: Any) -> SearchResults:
        """Return scores and numbers of the ``k`` rows nearest to a vector or a text."""
        return self.get_index(index_name).search(query, k, **kwargs)

    def search_batch(self, index_name: str, queries: Any, k: int = 10, **kwargs: Any) -> BatchedSearchResults:
        """Return scores and numbers of the ``k`` rows nearest to each query."""
        return self.get_index(index_name).search_batch(queries, k, **kwargs)

    def get_nearest_examples(
        self: Any, index_name: str, query: Any, k: int = 10, **kwargs: Any
    ) -> NearestExamplesResults:
        """Return scores and the ``k`` rows nearest to a query, as a dict of columns."""
        scores, rows = self.search(index_name, query, k, **kwargs)
        known = [int(row) for row in rows if row >= 0]
        return NearestExamplesResults(scores[: len(known)], self[known])

    def get_nearest_examples_batch(
        self: Any, index_name: str, queries: Any, k: int = 10, **kwargs: Any
    ) -> BatchedNearestExamplesResults:
        """Return scores and the ``k`` rows nearest to each query."""
        scores, rows = self.search_batch(index_name, queries, k, **kwargs)
        known = [[int(row) for row in found if row >= 0] for found in rows]
        return BatchedNearestExamplesResults(
            [score[: len(found)] for score, found in zip(scores, known, strict=True)], [self[found] for found in known]
        )
