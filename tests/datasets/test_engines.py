"""TensorFlow, JAX and Spark, where they are installed: they are too large to be installed for every run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from enfold.datasets import Array2D, Dataset, Features, IterableDataset, Value

pytestmark = pytest.mark.slow


def rows(count: int = 10) -> Dataset:
    return Dataset.from_dict(
        {
            "ids": [[i, i + 1, i + 2] for i in range(count)],
            "score": [i / 4 for i in range(count)],
            "text": [f"t{i}" for i in range(count)],
            "label": [i % 2 for i in range(count)],
            "ragged": [[i] * (i % 3) for i in range(count)],
        }
    )


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    sql = pytest.importorskip("pyspark.sql", reason="needs the extra spark")
    made = (
        sql.SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    yield made
    made.stop()


class TestTensorFlow:
    @pytest.fixture(autouse=True)
    def tf(self) -> Any:
        return pytest.importorskip("tensorflow", reason="needs the extra tf")

    def test_the_format_gives_tensors(self, tf: Any) -> None:
        shown = rows().with_format("tensorflow")
        batch = shown[:3]
        assert batch["ids"].dtype == tf.int64 and batch["ids"].shape == (3, 3)
        assert batch["score"].dtype == tf.float32 and batch["text"].dtype == tf.string
        assert batch["ragged"].to_list() == [[], [1], [2, 2]] and shown[1]["text"].numpy() == b"t1"
        images = Dataset.from_dict({"a": np.zeros((2, 2, 2), "u1")}, Features({"a": Array2D((2, 2), "uint8")}))
        assert images.with_format("tf")["a"][:].dtype == tf.uint8

    def test_batches_for_keras(self, tf: Any) -> None:
        made = rows().to_tf_dataset(batch_size=4, columns=["ids", "score"], label_cols="label")
        assert len(made) == 3 and made.element_spec[0]["ids"].shape.as_list() == [None, 3]
        batches = list(made)
        assert [len(labels) for _, labels in batches] == [4, 4, 2] and batches[1][0]["ids"].numpy()[0].tolist() == [
            4,
            5,
            6,
        ]
        assert batches[0][0]["score"].dtype == tf.float32 and batches[0][1].dtype == tf.int64
        one = rows().to_tf_dataset(batch_size=3, columns="text", drop_remainder=True, num_workers=2)
        assert next(iter(one)).numpy().tolist() == [b"t0", b"t1", b"t2"] and len(list(one)) == 3
        single = next(iter(rows().to_tf_dataset(columns=["ids"])))
        assert single.numpy().tolist() == [0, 1, 2]
        shuffled = rows(100).to_tf_dataset(batch_size=100, columns="score", shuffle=True)
        first, second = (next(iter(shuffled)).numpy() for _ in range(2))
        assert sorted(first) == sorted(second) and not np.array_equal(first, second)

    def test_collators_and_what_is_wrong(self, tf: Any) -> None:
        def padded(batch: list[dict[str, Any]], width: int) -> dict[str, Any]:
            return {
                "ragged": np.stack([np.pad(row["ragged"], (0, width - len(row["ragged"]))) for row in batch]),
                "labels": np.array([row["label"] for row in batch]),
            }

        made = rows().to_tf_dataset(
            5, columns=["ragged"], label_cols=["label"], collate_fn=padded, collate_fn_args={"width": 4}
        )
        values, labels = next(iter(made))
        assert values.shape == (5, 4) and labels.numpy().tolist() == [0, 1, 0, 1, 0]
        with pytest.raises(ValueError, match="scroe"):
            rows().to_tf_dataset(2, columns=["scroe"])
        with pytest.raises(ValueError, match="needs columns"):
            rows().to_tf_dataset(2, label_cols="label")
        with pytest.raises(ValueError, match="twice"):
            rows().to_tf_dataset(2, columns=["ids", "ids"])

    def test_a_model_is_fitted(self, tf: Any) -> None:
        model = tf.keras.Sequential([tf.keras.Input((3,)), tf.keras.layers.Dense(1)])
        model.compile(loss="mse")
        data = rows(32).to_tf_dataset(batch_size=8, columns="ids", label_cols="score", shuffle=True)
        history = model.fit(data, epochs=2, verbose=0)
        assert len(history.history["loss"]) == 2 and model.predict(data, verbose=0).shape == (32, 1)


class TestJax:
    def test_the_format_gives_arrays(self) -> None:
        jax = pytest.importorskip("jax", reason="needs the extra jax")
        shown = rows().with_format("jax")
        batch = shown[:3]
        assert isinstance(batch["ids"], jax.Array) and batch["ids"].dtype == "int32" and batch["ids"].shape == (3, 3)
        assert batch["score"].dtype == "float32" and batch["text"] == ["t0", "t1", "t2"]
        assert [array.tolist() for array in batch["ragged"]] == [[], [1], [2, 2]]
        assert int(shown[4]["label"]) == 0 and shown["ids"][2].tolist() == [2, 3, 4]
        device = str(jax.devices()[0])
        assert str(rows().with_format("jax", device=device)[:2]["ids"].device) == device
        with pytest.raises(ValueError, match="there is no device"):
            rows().with_format("jax", device="tpu:99")[0]
        assert jax.jit(lambda x: x.sum())(batch["ids"]) == 18
        stream = rows().to_iterable_dataset().with_format("jax")
        assert isinstance(next(iter(stream))["ids"], jax.Array)


class TestSpark:
    def test_rows_go_to_spark_and_come_back(self, session: Any, tmp_path: Path) -> None:
        path = str(tmp_path / "rows.parquet")
        rows(40).to_parquet(path, batch_size=10)
        dataset = Dataset.from_parquet(path, cache_dir=str(tmp_path / "cache"))
        frame = dataset.to_spark(session)
        assert frame.count() == 40 and frame.columns == dataset.column_names
        assert dataset.select([3, 1]).to_spark(session, str(tmp_path / "shared")).select("text").collect() == [
            ("t3",),
            ("t1",),
        ]
        wide = frame.filter("label = 1").selectExpr("text", "ids", "score * 2 as twice").repartition(3)
        back = Dataset.from_spark(wide, cache_dir=str(tmp_path / "cache"))
        assert back.num_rows == 20 and back.features["ids"].feature == Value("int64")
        assert sorted(back["twice"]) == [i / 2 for i in range(40) if i % 2] and len(back.fragments()) == 3
        written = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.parquet")}
        again = Dataset.from_spark(wide, cache_dir=str(tmp_path / "cache"), keep_in_memory=True)
        assert again[:] == back[:] and written == {path: path.stat().st_mtime_ns for path in written}
        stream = IterableDataset.from_spark(wide)
        assert sorted(row["twice"] for row in stream) == sorted(back["twice"]) and stream.num_shards == 3
