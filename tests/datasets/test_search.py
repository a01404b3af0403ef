"""Search indexes: the nearest rows, exact without faiss and by it where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from enfold.datasets import Dataset
from enfold.datasets.indexes import ElasticSearchIndex, ExactIndex, MissingIndex


def vectors(count: int = 50, seed: int = 0) -> Dataset:
    rows = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return Dataset.from_dict({"name": [f"n{i}" for i in range(count)], "v": rows})


def test_the_nearest_rows_are_found() -> None:
    dataset = vectors()
    matrix = np.asarray(dataset["v"])
    assert dataset.add_faiss_index("v") is dataset and dataset.list_indexes() == ["v"]
    query = matrix[7] + 0.01
    distances = ((matrix - query) ** 2).sum(1)
    scores, rows = dataset.search("v", query, k=5)
    assert list(rows) == np.argsort(distances)[:5].tolist() and rows[0] == 7
    np.testing.assert_allclose(scores, np.sort(distances)[:5], atol=1e-4)
    scores, examples = dataset.get_nearest_examples("v", query, k=3)
    assert examples["name"][0] == "n7" and len(scores) == len(examples["v"]) == 3
    many = dataset.get_nearest_examples_batch("v", matrix[:4], k=60)
    assert [found["name"][0] for found in many.total_examples] == ["n0", "n1", "n2", "n3"]
    assert all(len(found["name"]) == len(score) == 50 for score, found in zip(*many, strict=True))
    assert dataset.search("v", query, k=60).indices[50:].tolist() == [-1] * 10
    dataset.add_faiss_index("v", index_name="dot", metric_type=0)
    assert dataset.search("dot", query, k=1).indices[0] == int(np.argmax(matrix @ query))


def test_indexes_belong_to_one_dataset_and_its_rows() -> None:
    dataset = vectors()
    dataset.add_faiss_index("v")
    assert dataset.is_index_initialized("v") and dataset.select([3, 1]).list_indexes() == []
    dataset.drop_index("v")
    assert dataset.list_indexes() == []
    dataset.add_faiss_index_from_external_arrays(np.eye(50, dtype=np.float64), "eye")
    assert dataset.search("eye", np.eye(50)[9], k=1).indices[0] == 9
    with pytest.raises(MissingIndex, match="did you mean 'eye'"):
        dataset.get_nearest_examples("eyes", np.zeros(50))
    with pytest.raises(ValueError, match=r"shape \(2, 50\)"):
        dataset.search("eye", np.zeros((2, 50)))
    ragged = Dataset.from_dict({"v": [[1.0], [1.0, 2.0]]})
    with pytest.raises(ValueError, match="rows 0 to 1 of column 'v' are not vectors"):
        ragged.add_faiss_index("v")
    with pytest.raises(ValueError, match="did you mean 'v'"):
        ragged.add_faiss_index("vv")


def test_an_index_is_saved_and_loaded(tmp_path: Path) -> None:
    dataset = vectors()
    dataset.add_faiss_index("v")
    dataset.save_faiss_index("v", tmp_path / "v.faiss")
    other = vectors()
    other.load_faiss_index("again", tmp_path / "v.faiss")
    query = np.asarray(dataset["v"])[11]
    assert list(other.search("again", query).indices) == list(dataset.search("v", query).indices)
    with pytest.raises(ValueError, match="50 vectors; the dataset has 3 rows"):
        vectors(3).load_faiss_index("again", tmp_path / "v.faiss")
    data = (tmp_path / "v.faiss").read_bytes()
    for bad in (b"", data[:20], data[:-4], b"IwPQ" + data[4:], data[:4] + b"\xff" * 40 + data[44:]):
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(ValueError, match=r"cut off|damaged|faiss"):
            other.load_faiss_index("bad", tmp_path / "bad")


def test_the_exact_index_is_faiss_own() -> None:
    import faiss

    for metric in (0, 1):
        rows = np.random.default_rng(1).normal(size=(200, 6)).astype(np.float32)
        ours, theirs = ExactIndex(6, metric), faiss.IndexFlat(6, metric)
        for index in (ours, theirs):
            index.add(rows)
        mine, other = ours.search(rows[:9], 7), theirs.search(rows[:9], 7)
        np.testing.assert_array_equal(mine[1], other[1])
        np.testing.assert_allclose(mine[0], other[0], atol=1e-4)
        assert ours.to_bytes() == faiss.serialize_index(theirs).tobytes()
        read = ExactIndex.from_bytes(faiss.serialize_index(theirs).tobytes())
        np.testing.assert_array_equal(read.search(rows[:9], 7)[1], other[1])


class Server:
    """As much of an Elasticsearch client as an index uses."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.indices = self

    def create(self, **options: Any) -> None:
        assert "mappings" in options

    def refresh(self, index: str) -> None:
        pass

    def bulk(self, operations: list[dict[str, Any]]) -> dict[str, Any]:
        for head, body in zip(operations[::2], operations[1::2], strict=True):
            self.texts[head["index"]["_id"]] = body["text"]
        return {"errors": False, "items": []}

    def search(self, index: str, query: dict[str, Any], size: int) -> dict[str, Any]:
        words = set(query["multi_match"]["query"].split())
        hits = [{"_id": key, "_score": float(len(words & set(text.split())))} for key, text in self.texts.items()]
        return {"hits": {"hits": sorted(hits, key=lambda hit: -hit["_score"])[:size]}}


def test_texts_are_searched_by_a_server() -> None:
    dataset = Dataset.from_dict({"text": ["a red fox", "a blue whale", "red red wine"]})
    dataset.add_elasticsearch_index("text", es_client=Server())
    scores, rows = dataset.get_nearest_examples("text", "blue whale", k=1)
    assert rows["text"] == ["a blue whale"] and scores == [2.0]
    if find_spec("elasticsearch") is None:
        with pytest.raises(ImportError, match="pip install elasticsearch"):
            dataset.add_elasticsearch_index("text")
    with pytest.raises(ValueError, match="not both"):
        ElasticSearchIndex(host="x", es_client=Server())
