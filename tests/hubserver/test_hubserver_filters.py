"""The filters and the order by trend of lists, as the official client's arguments name them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from enfold.hub import HfApi
from enfold.hub.errors import HfHubHTTPError
from enfold.hubserver import EmbeddedHub, trending
from enfold.hubserver import database as db

WEEK = 7 * 86_400.0


def weights(count: int, dtype: str = "F32") -> bytes:
    """Return a safetensors file of one tensor."""
    size = count * 4
    header = json.dumps({"x": {"dtype": dtype, "shape": [count], "data_offsets": [0, size]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HfApi]:
    with EmbeddedHub(tmp_path_factory.mktemp("filters"), durable=False) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        models: dict[str, tuple[str, int]] = {
            "small": ("library_name: transformers\nco2_eq_emissions:\n  emissions: 12.5\n", 1_500),
            "large": ("library_name: diffusers\nco2_eq_emissions: 900 g\n", 40_000),
            "packed": ("tags: [gguf]\n", 0),
        }
        for name, (card, count) in models.items():
            repo = api.create_repo(f"ada/{name}").repo_id
            api.upload_file(path_or_fileobj=f"---\n{card}---\n".encode(), path_in_repo="README.md", repo_id=repo)
            if count:
                api.upload_file(path_or_fileobj=weights(count), path_in_repo="model.safetensors", repo_id=repo)
        shards = api.create_repo("ada/shards").repo_id
        index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
        for name, data in {
            "model-1.safetensors": weights(3_000),
            "model-2.safetensors": weights(4_000),
            "model.safetensors.index.json": json.dumps(index).encode(),
        }.items():
            api.upload_file(path_or_fileobj=data, path_in_repo=name, repo_id=shards)
        api.update_repo_settings("ada/large", gated="auto")
        cards = {
            ("dataset", "plain"): "language_creators: [found]\nmultilinguality: monolingual\n",
            ("dataset", "bench"): "benchmark: official\ntask_ids: [topic-classification]\n",
            ("space", "alone"): "sdk: static\n",
            ("space", "demo"): "sdk: static\nmodels: [ada/small]\n",
            ("space", "shown"): "sdk: static\ndatasets: [ada/plain]\n",
        }
        for (kind, name), card in cards.items():
            sdk = {"space_sdk": "static"} if kind == "space" else {}
            api.create_repo(f"ada/{name}", repo_type=kind, **sdk)
            content = f"---\n{card}---\n".encode()
            api.upload_file(path_or_fileobj=content, path_in_repo="README.md", repo_id=f"ada/{name}", repo_type=kind)
        api.update_repo_settings("ada/bench", repo_type="dataset", gated="manual")
        api.hub = hub.hub  # type: ignore[attr-defined]
        yield api


def names(found: Any) -> list[str]:
    return sorted(item.id.removeprefix("ada/") for item in found)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"gated": True}, ["large"]),
        ({"gated": False}, ["packed", "shards", "small"]),
        ({"num_parameters": "min:2K"}, ["large", "shards"]),
        ({"num_parameters": "max:0.002M"}, ["small"]),
        ({"num_parameters": "min:7K,max:7K"}, ["shards"]),
        ({"apps": "llama.cpp"}, ["packed"]),
        ({"apps": ["vllm"]}, ["small"]),
        ({"apps": ["vllm", "ollama"]}, []),
        ({"inference_provider": "all"}, []),
        ({"inference": "warm"}, []),
        ({"emissions_thresholds": (None, 100), "cardData": True}, ["small"]),
        ({"emissions_thresholds": (100, None), "cardData": True}, ["large"]),
        ({"gated": False, "search": "s", "num_parameters": "min:1"}, ["shards", "small"]),
    ],
)
def test_models(api: HfApi, arguments: dict[str, Any], expected: list[str]) -> None:
    assert names(api.list_models(author="ada", **arguments)) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"gated": True}, ["bench"]),
        ({"gated": False}, ["plain"]),
        ({"benchmark": True}, ["bench"]),
        ({"language_creators": "found", "multilinguality": ["monolingual"]}, ["plain"]),
        ({"task_ids": "topic-classification"}, ["bench"]),
    ],
)
def test_datasets(api: HfApi, arguments: dict[str, Any], expected: list[str]) -> None:
    assert names(api.list_datasets(author="ada", **arguments)) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"models": "ada/small"}, ["demo"]),
        ({"datasets": ["ada/none", "ada/plain"]}, ["shown"]),
        ({"models": "ada/small", "datasets": "ada/plain"}, []),
        ({"linked": True}, ["demo", "shown"]),
        ({}, ["alone", "demo", "shown"]),
    ],
)
def test_spaces(api: HfApi, arguments: dict[str, Any], expected: list[str]) -> None:
    assert names(api.list_spaces(author="ada", **arguments)) == expected


def test_what_no_filter_knows_is_refused(api: HfApi) -> None:
    for arguments in ({"apps": "word"}, {"num_parameters": "many"}, {"gated": "perhaps"}):
        with pytest.raises(HfHubHTTPError, match="400"):
            list(api.list_models(**arguments))
    with pytest.raises(ValueError, match="cardData=True"):
        list(api.list_models(emissions_thresholds=(1, 2)))


def test_a_models_parameters_are_told(api: HfApi) -> None:
    assert api.model_info("ada/shards").safetensors.total == 7_000
    api.upload_file(path_or_fileobj=b"no weights", path_in_repo="model-2.safetensors", repo_id="ada/shards")
    assert api.model_info("ada/shards").safetensors is None
    api.upload_file(path_or_fileobj=weights(4_000), path_in_repo="model-2.safetensors", repo_id="ada/shards")
    assert api.model_info("ada/shards").safetensors.total == 7_000


def test_a_trend_fades_and_what_is_new_counts_more() -> None:
    old = trending.add(0.0, 3, at=1e9)
    assert trending.score(old, at=1e9) == 3 and trending.score(old, at=1e9 + 2 * WEEK) == 0.75
    assert trending.add(0.0, 2, at=1e9 + WEEK) > old, "two of today are more than three of a week ago"
    both = trending.add(old, 5, at=1e9 + WEEK)
    assert trending.score(both, at=1e9 + WEEK) == 6.5
    assert trending.score(trending.add(both, -5, at=1e9 + WEEK), at=1e9 + WEEK) == 1.5
    assert trending.add(trending.add(0.0, 5, at=1e9), -5, at=1e9) == 0.0
    assert trending.score(0.0, at=2e9) == 0.0


def test_lists_are_in_order_of_the_trend(api: HfApi) -> None:
    hub = api.hub  # type: ignore[attr-defined]
    with hub.database.read() as connection:
        ids = {row.key: row.id for row in connection.execute(select(db.repo))}
    for name, count in (("small", 3), ("packed", 2)):
        for _ in range(count):
            hub.repositories.count_download(ids[f"ada/{name}"])
    hub.repositories.flush_counts()
    first = [item.id for item in api.list_models(author="ada", sort="trending_score", limit=2)]
    assert first == ["ada/small", "ada/packed"]
    api.like("ada/packed")
    found = list(api.list_models(author="ada", sort="trending_score", expand=["trendingScore", "downloads"]))
    assert [item.id for item in found][:2] == ["ada/packed", "ada/small"]
    assert found[0].trending_score == pytest.approx(22, abs=0.1) and found[0].downloads == 2
    # Three weeks later a single download counts for more than five of then.
    with hub.database.write() as connection:
        table = db.repo
        rows = {row.key: row for row in connection.execute(select(table).where(table.c.namespace == "ada"))}
        aged = rows["ada/packed"].trend - 10
        connection.execute(update(table).where(table.c.id == rows["ada/packed"].id).values(trend=aged))
    assert [item.id for item in api.list_models(author="ada", sort="trending_score", limit=1)] == ["ada/small"]
    api.unlike("ada/packed")
