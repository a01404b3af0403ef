"""Indexes over vectors or texts: faiss where it is installed, every distance by numpy where not, Elasticsearch.

Vectors are searched with faiss where it is installed. Without it the same calls compute every distance with numpy:
the answers are those of faiss' exact index, and the saved file can be read by both.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from enfold.errors import EnfoldError
from enfold.log import get_logger

from .values import arrow_to_numpy, one_array

__all__ = [
    "BatchedSearchResults",
    "ElasticSearchIndex",
    "ExactIndex",
    "FaissIndex",
    "MissingIndex",
    "SearchResults",
]

logger = get_logger(__name__)

# faiss.METRIC_INNER_PRODUCT and faiss.METRIC_L2
_INNER_PRODUCT, _L2 = 0, 1
# Distances that the exact search holds at a time.
_BLOCK = 1 << 24


class MissingIndex(EnfoldError, ValueError):
    """A dataset has no index of the asked name, or the wrong kind of it."""


class SearchResults(NamedTuple):
    """Scores and row numbers of the nearest rows, nearest first; -1 where there are fewer rows."""

    scores: Sequence[float]
    indices: Sequence[int]


class BatchedSearchResults(NamedTuple):
    """Scores and row numbers for each query."""

    total_scores: Sequence[Sequence[float]]
    total_indices: Sequence[Sequence[int]]


class ExactIndex:
    """Vectors in one matrix; a search computes every distance.

    Args:
        dimension: the length of a vector.
        metric: 1 for the squared Euclidean distance, 0 for the inner product.
    """

    def __init__(self, dimension: int, metric: int = _L2) -> None:
        if metric not in (_INNER_PRODUCT, _L2):
            raise ValueError(f"without faiss, metric_type is 0 (inner product) or 1 (Euclidean), not {metric}")
        self.d, self.metric_type = dimension, metric
        self._parts: list[np.ndarray] = []
        self._rows: np.ndarray | None = None

    @property
    def ntotal(self) -> int:
        """The number of vectors."""
        return len(self._matrix())

    def _matrix(self) -> np.ndarray:
        if self._rows is None or self._parts:
            rows = [] if self._rows is None else [self._rows]
            parts = [*rows, *self._parts] or [np.zeros((0, self.d), np.float32)]
            self._rows, self._parts = np.concatenate(parts), []
        return self._rows

    def train(self, vectors: np.ndarray) -> None:
        """Do nothing: an exact index has nothing to learn."""

    def add(self, vectors: np.ndarray) -> None:
        """Add vectors, shape (n, dimension)."""
        if vectors.ndim != 2 or vectors.shape[1] != self.d:
            raise ValueError(f"vectors have the shape {vectors.shape}; expected (rows, {self.d})")
        self._parts.append(np.ascontiguousarray(vectors, np.float32))

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return scores (float32) and row numbers (int64) of the ``k`` nearest vectors, shape (queries, k)."""
        rows = self._matrix()
        queries = np.ascontiguousarray(queries, np.float32)
        if queries.shape[1] != self.d:
            raise ValueError(f"a query has {queries.shape[1]} dimensions; the index has {self.d}")
        worst = -np.inf if self.metric_type == _INNER_PRODUCT else np.inf
        scores = np.full((len(queries), k), worst, np.float32)
        found = np.full((len(queries), k), -1, np.int64)
        squares = np.einsum("ij,ij->i", rows, rows) if self.metric_type == _L2 else None
        count = min(k, len(rows))
        step = max(1, _BLOCK // max(len(rows), 1))
        for start in range(0, len(queries) if count else 0, step):
            part = queries[start : start + step]
            products = part @ rows.T
            if squares is not None:
                own = np.einsum("ij,ij->i", part, part)
                products = np.maximum(squares[None, :] - 2 * products + own[:, None], 0)
            order = -products if self.metric_type == _INNER_PRODUCT else products
            near = np.argpartition(order, count - 1, axis=1)[:, :count] if count < len(rows) else None
            if near is None:
                near = np.broadcast_to(np.arange(count), (len(part), count))
            values = np.take_along_axis(order, near, axis=1)
            ranks = np.lexsort((near, values), axis=1)
            near = np.take_along_axis(near, ranks, axis=1)
            found[start : start + step, :count] = near
            scores[start : start + step, :count] = np.take_along_axis(products, near, axis=1)
        return scores, found

    # The layout of faiss' flat index (faiss/impl/index_write.cpp): a tag, the header, then the floats as bytes.
    def to_bytes(self) -> bytes:
        """Return the index in faiss' own file format."""
        rows = self._matrix()
        tag = b"IxFI" if self.metric_type == _INNER_PRODUCT else b"IxF2"
        header = struct.pack("<iqqq?i", self.d, len(rows), 1 << 20, 1 << 20, True, self.metric_type)
        return tag + header + struct.pack("<Q", rows.size) + rows.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> ExactIndex:
        """Return the index of a file of a flat faiss index.

        Raises:
            ValueError: the file holds another kind of index, or is cut off.
        """
        head = 4 + struct.calcsize("<iqqq?i")
        if data[:4] not in (b"IxFI", b"IxF2"):
            raise ValueError(
                f"this index is a {data[:4]!r}; without faiss only flat indexes can be read: pip install faiss-cpu"
            )
        if len(data) < head + 8:
            raise ValueError("the index file is cut off")
        dimension, count, _, _, _, metric = struct.unpack("<iqqq?i", data[4:head])
        (size,) = struct.unpack("<Q", data[head : head + 8])
        if dimension <= 0 or size != count * dimension or len(data) != head + 8 + size * 4:
            raise ValueError(f"the index file is damaged: {count} vectors of {dimension} floats in {len(data)} bytes")
        made = cls(dimension, metric)
        made._rows = np.frombuffer(data, "<f4", size, head + 8).reshape(count, dimension)
        return made


class FaissIndex:
    """An index of vectors.

    Args:
        device: the GPU's number, -1 for all, or a list of them; the processor where None.
        string_factory: the kind of index as faiss names them, ``"Flat"``, ``"IVF100,PQ8"``.
        metric_type: 0 for the inner product, 1 for the squared Euclidean distance (the default).
        custom_index: a faiss index to fill instead.
    """

    def __init__(
        self,
        device: int | list[int] | None = None,
        string_factory: str | None = None,
        metric_type: int | None = None,
        custom_index: Any = None,
    ) -> None:
        if string_factory is not None and custom_index is not None:
            raise ValueError("give string_factory or custom_index, not both")
        if device is not None and custom_index is not None:
            raise ValueError("give a custom_index that is on its device already, and no device")
        self.device, self.string_factory, self.metric_type = device, string_factory, metric_type
        self.faiss_index = custom_index

    def _make(self, dimension: int) -> Any:
        metric = _L2 if self.metric_type is None else self.metric_type
        if find_spec("faiss") is None:
            if self.device is not None or self.string_factory not in (None, "Flat"):
                wanted = self.string_factory if self.device is None else f"device={self.device}"
                raise ImportError(
                    f"an index with {wanted!r} needs faiss (pip install faiss-cpu); without it the search is exact"
                )
            return ExactIndex(dimension, metric)
        import faiss

        if self.string_factory is not None:
            made = faiss.index_factory(dimension, self.string_factory, metric)
        else:
            made = faiss.IndexFlat(dimension, metric)
        return _to_device(made, self.device)

    def add_vectors(
        self,
        vectors: Any,
        column: str | None = None,
        batch_size: int = 1000,
        train_size: int | None = None,
        faiss_verbose: bool | None = None,
    ) -> None:
        """Add vectors: a matrix, or a dataset's column of lists.

        Args:
            vectors: shape (n, dimension), or the dataset.
            column: the column's name.
            batch_size: vectors to add at a time.
            train_size: train the index on this many of the first vectors before.
            faiss_verbose: let faiss print what it does.
        """

        def part(start: int, stop: int) -> np.ndarray:
            if column is None:
                rows = np.asarray(vectors[start:stop])
            else:
                rows = arrow_to_numpy(one_array(vectors._read(start, min(stop, len(vectors)), [column]).column(0)))
            if rows.dtype == object or rows.ndim != 2:
                raise ValueError(
                    f"rows {start} to {min(stop, len(vectors)) - 1}"
                    + (f" of column {column!r}" if column else "")
                    + " are not vectors of one length without missing values"
                )
            return np.ascontiguousarray(rows, np.float32)

        if self.faiss_index is None:
            self.faiss_index = self._make(part(0, 1).shape[1] if len(vectors) else 1)
        if faiss_verbose is not None:
            self.faiss_index.verbose = faiss_verbose
        if train_size is not None:
            self.faiss_index.train(part(0, train_size))
        for start in range(0, len(vectors), batch_size):
            self.faiss_index.add(part(start, start + batch_size))

    def search(self, query: Any, k: int = 10, **options: Any) -> SearchResults:
        """Return the ``k`` nearest rows to one vector, shape (dimension,) or (1, dimension)."""
        query = np.asarray(query)
        if query.ndim != 1 and (query.ndim != 2 or query.shape[0] != 1):
            raise ValueError(f"a query has one dimension, or two with one row; this one is of shape {query.shape}")
        scores, indices = self.search_batch(query.reshape(1, -1), k, **options)
        return SearchResults(scores[0], indices[0])

    def search_batch(self, queries: Any, k: int = 10, **options: Any) -> BatchedSearchResults:
        """Return the ``k`` nearest rows to each vector, shape (queries, dimension)."""
        queries = np.asarray(queries)
        if queries.ndim != 2:
            raise ValueError(f"queries have two dimensions; these are of shape {queries.shape}")
        scores, indices = self.faiss_index.search(np.ascontiguousarray(queries, np.float32), k, **options)
        return BatchedSearchResults(scores, indices.astype(int))

    def save(self, file: str | os.PathLike[str], storage_options: dict[str, Any] | None = None) -> None:
        """Write the index to a file that faiss reads, too."""
        if isinstance(self.faiss_index, ExactIndex):
            data = self.faiss_index.to_bytes()
        else:
            import faiss

            index = faiss.index_gpu_to_cpu(self.faiss_index) if self.device is not None else self.faiss_index
            data = faiss.serialize_index(index).tobytes()
        if "://" in os.fspath(file):
            import fsspec

            with fsspec.open(os.fspath(file), "wb", **(storage_options or {})) as remote:
                remote.write(data)
            return
        path = os.path.abspath(os.fspath(file))
        number, temporary = tempfile.mkstemp(prefix=".tmp-", dir=os.path.dirname(path))
        with os.fdopen(number, "wb") as local:
            local.write(data)
        os.replace(temporary, path)

    @classmethod
    def load(
        cls,
        file: str | os.PathLike[str],
        device: int | list[int] | None = None,
        storage_options: dict[str, Any] | None = None,
    ) -> FaissIndex:
        """Return the index of a file."""
        made = cls(device=device)
        if "://" in os.fspath(file):
            import fsspec

            with fsspec.open(os.fspath(file), "rb", **(storage_options or {})) as remote:
                data = remote.read()
        else:
            with open(file, "rb") as local:
                data = local.read()
        if find_spec("faiss") is None:
            made.faiss_index = ExactIndex.from_bytes(data)
        else:
            import faiss

            try:
                found = faiss.deserialize_index(np.frombuffer(data, np.uint8))
            except RuntimeError as error:
                raise ValueError(f"{os.fspath(file)!r} is no index that faiss can read: {error}") from error
            made.faiss_index = _to_device(found, device)
        return made


def _to_device(index: Any, device: int | list[int] | None) -> Any:
    if device is None:
        return index
    import faiss

    if isinstance(device, int):
        if device < 0:
            return faiss.index_cpu_to_all_gpus(index)
        return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), device, index)
    return faiss.index_cpu_to_gpus_list(index, gpus=list(device))


class ElasticSearchIndex:
    """An index of text in an Elasticsearch server, searched by BM25.

    Args:
        host, port: the server's.
        es_client: a client to use instead.
        es_index_name: the index' name on the server; a new one where None.
        es_index_config: its settings and mappings; English analysis of a field ``text`` where None.
    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        es_client: Any = None,
        es_index_name: str | None = None,
        es_index_config: dict[str, Any] | None = None,
    ) -> None:
        if es_client is not None and (host is not None or port is not None):
            raise ValueError("give es_client, or host and port, not both")
        if es_client is None:
            if find_spec("elasticsearch") is None:
                raise ImportError("an Elasticsearch index needs its client: pip install elasticsearch")
            import elasticsearch

            es_client = elasticsearch.Elasticsearch(f"http://{host or 'localhost'}:{port or 9200}")
        self.es_client = es_client
        self.es_index_name = es_index_name or f"enfold-{os.urandom(6).hex()}"
        self.es_index_config = es_index_config or {
            "settings": {"number_of_shards": 1, "analysis": {"analyzer": {"stop_standard": {"type": "standard"}}}},
            "mappings": {"properties": {"text": {"type": "text", "analyzer": "standard", "similarity": "BM25"}}},
        }

    def add_documents(self, documents: Any, column: str | None = None) -> None:
        """Add texts: a list of them, or a dataset's column."""
        self.es_client.indices.create(index=self.es_index_name, **self.es_index_config)
        step = 1000
        for start in range(0, len(documents), step):
            texts = documents[start : start + step] if column is None else documents[start : start + step][column]
            operations: list[dict[str, Any]] = []
            for number, text in enumerate(texts):
                operations += [{"index": {"_index": self.es_index_name, "_id": str(start + number)}}, {"text": text}]
            answer = self.es_client.bulk(operations=operations)
            if answer["errors"]:
                wrong = next(item["index"] for item in answer["items"] if item["index"].get("error"))
                raise MissingIndex(f"row {wrong['_id']} was refused by Elasticsearch: {wrong['error']}")
        self.es_client.indices.refresh(index=self.es_index_name)

    def search(self, query: str, k: int = 10, **options: Any) -> SearchResults:
        """Return the ``k`` best rows for a text."""
        answer = self.es_client.search(
            index=self.es_index_name,
            query={"multi_match": {"query": query, "fields": ["text"], "type": "cross_fields"}},
            size=k,
            **options,
        )
        hits = answer["hits"]["hits"]
        return SearchResults([hit["_score"] for hit in hits], [int(hit["_id"]) for hit in hits])

    def search_batch(self, queries: Sequence[str], k: int = 10, **options: Any) -> BatchedSearchResults:
        """Return the ``k`` best rows for each text."""
        found = [self.search(query, k, **options) for query in queries]
        return BatchedSearchResults([one.scores for one in found], [one.indices for one in found])
