"""Calls that search the Hub's models, datasets and Spaces."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from enfold.hub import http
from enfold.hub.api_base import Caller, Token
from enfold.hub.types import (
    DatasetInfo,
    ModelInfo,
    SpaceInfo,
)

__all__ = ["ListCalls"]


class ListCalls(Caller):
    """Calls that list repositories."""

    def _list(self, kind: str, make: Any, limit: int | None, token: Token, params: dict[str, Any]) -> Iterator[Any]:
        query: list[tuple[str, str]] = []
        for name, value in params.items():
            for item in value if isinstance(value, (list, tuple, set)) else [value]:
                if item is not None and (item is not False or name in _TWO_SIDED):
                    query.append((name, str(item).lower() if isinstance(item, bool) else str(item)))
        if limit is not None:
            query.append(("limit", str(limit)))
        found = http.pages(f"{self.endpoint}/api/{kind}", token=self._token(token), params=query)
        for raw in itertools.islice(found, limit):
            yield make(**raw)

    def list_models(
        self,
        *,
        filter: str | Iterable[str] | None = None,
        author: str | None = None,
        search: str | None = None,
        sort: str | None = None,
        direction: int | None = None,
        limit: int | None = None,
        full: bool | None = None,
        cardData: bool = False,
        expand: Sequence[str] | None = None,
        pipeline_tag: str | None = None,
        gated: bool | None = None,
        fetch_config: bool = False,
        token: Token = None,
        task: str | None = None,
        library: str | Iterable[str] | None = None,
        language: str | Iterable[str] | None = None,
        tags: str | Iterable[str] | None = None,
        trained_dataset: str | Iterable[str] | None = None,
        model_name: str | None = None,
        apps: str | Iterable[str] | None = None,
        inference: str | None = None,
        inference_provider: str | Iterable[str] | None = None,
        num_parameters: str | None = None,
        emissions_thresholds: tuple[float | None, float | None] | None = None,
        **more: Any,
    ) -> Iterator[ModelInfo]:
        """Yield the models of the Hub that match.

        Args:
            filter: tags that a model must all have.
            author: the namespace.
            search: a word that the id must contain.
            sort: "downloads", "likes", "created_at", "last_modified" or "trending_score"; always descending.
            direction: accepted for older programs.
            limit: how many at most; all by default.
            full: with files and card data.
            cardData: with card data.
            expand: only these members.
            pipeline_tag: the task.
            gated: only gated (True) or only ungated (False) ones.
            fetch_config: with the configuration.
            token: as everywhere.
            task: a tag, as are the four arguments after it.
            library: see above.
            language: see above.
            tags: see above.
            trained_dataset: the dataset that a model was trained on.
            model_name: a word that the id must contain.
            apps: programs that can run the model, such as "llama.cpp".
            inference: "warm": only models that somebody serves for the Hub.
            inference_provider: who serves them; "all" for anybody.
            num_parameters: how many parameters, such as "min:6B,max:128B", "max:1B".
            emissions_thresholds: grams of CO2 that the training took at least and at most, by the card.
            more: further query parameters.

        Raises:
            ValueError: ``emissions_thresholds`` without ``cardData=True``, or without any bound.
        """
        if emissions_thresholds is not None and not cardData:
            raise ValueError("emissions_thresholds are looked up in the cards: pass cardData=True as well")
        if emissions_thresholds == (None, None):
            raise ValueError("emissions_thresholds needs a least or a greatest amount")
        wanted = [*_items(filter), *_items(task), *_items(library), *_items(language), *_items(tags)]
        wanted += [name if name.startswith("dataset:") else f"dataset:{name}" for name in _items(trained_dataset)]
        params = {
            "filter": wanted,
            "author": author,
            "search": [search, model_name],
            "sort": _SORTS.get(sort or "", sort),
            "full": full if full is not None else (None if expand else True if cardData else None),
            "cardData": cardData,
            "config": fetch_config,
            "expand": expand,
            "pipeline_tag": pipeline_tag,
            "gated": gated,
            "apps": list(_items(apps)),
            "inference": inference,
            "inference_provider": list(_items(inference_provider)),
            "num_parameters": num_parameters,
            **more,
        }
        for found in self._list("models", ModelInfo, limit, token, params):
            if emissions_thresholds is None or _emitted(found, *emissions_thresholds):
                yield found

    def list_datasets(
        self,
        *,
        filter: str | Iterable[str] | None = None,
        author: str | None = None,
        search: str | None = None,
        sort: str | None = None,
        direction: int | None = None,
        limit: int | None = None,
        full: bool | None = None,
        expand: Sequence[str] | None = None,
        token: Token = None,
        dataset_name: str | None = None,
        language: str | Iterable[str] | None = None,
        task_categories: str | Iterable[str] | None = None,
        size_categories: str | Iterable[str] | None = None,
        tags: str | Iterable[str] | None = None,
        benchmark: str | bool | None = None,
        gated: bool | None = None,
        language_creators: str | Iterable[str] | None = None,
        multilinguality: str | Iterable[str] | None = None,
        task_ids: str | Iterable[str] | None = None,
        **more: Any,
    ) -> Iterator[DatasetInfo]:
        """Yield the datasets of the Hub that match; arguments as in :meth:`list_models`.

        ``benchmark`` is the kind of one ("official", or True for that); ``language``, ``task_categories``,
        ``size_categories``, ``language_creators``, ``multilinguality`` and ``task_ids`` are what the card says.
        """
        wanted = [*_items(filter), *_items(tags)]
        for prefix, values in (
            ("language", language),
            ("task_categories", task_categories),
            ("size_categories", size_categories),
            ("language_creators", language_creators),
            ("multilinguality", multilinguality),
            ("task_ids", task_ids),
            ("benchmark", "official" if benchmark is True else benchmark or None),
        ):
            wanted += [name if name.startswith(f"{prefix}:") else f"{prefix}:{name}" for name in _items(values)]
        params = {
            "filter": wanted,
            "author": author,
            "search": [search, dataset_name],
            "gated": gated,
            "sort": _SORTS.get(sort or "", sort),
            "full": full,
            "expand": expand,
            **more,
        }
        yield from self._list("datasets", DatasetInfo, limit, token, params)

    def list_spaces(
        self,
        *,
        filter: str | Iterable[str] | None = None,
        author: str | None = None,
        search: str | None = None,
        sort: str | None = None,
        direction: int | None = None,
        limit: int | None = None,
        full: bool | None = None,
        expand: Sequence[str] | None = None,
        token: Token = None,
        datasets: str | Iterable[str] | None = None,
        models: str | Iterable[str] | None = None,
        linked: bool = False,
        **more: Any,
    ) -> Iterator[SpaceInfo]:
        """Yield the Spaces of the Hub that match; arguments as in :meth:`list_models`.

        ``models`` and ``datasets`` are ids of which a Space must name one in its card; ``linked`` asks for any.
        """
        params = {
            "filter": list(_items(filter)),
            "author": author,
            "search": search,
            "datasets": list(_items(datasets)),
            "models": list(_items(models)),
            "linked": linked,
            "sort": _SORTS.get(sort or "", sort),
            "full": full,
            "expand": expand,
            **more,
        }
        yield from self._list("spaces", SpaceInfo, limit, token, params)


def _items(value: str | Iterable[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _emitted(model: ModelInfo, least: float | None, most: float | None) -> bool:
    """Say whether a model's card tells of emissions between two amounts, in grams."""
    said = (model.card_data or {}).get("co2_eq_emissions")
    said = said.get("emissions") if isinstance(said, dict) else said
    found = re.match(r"\s*(\d+(?:\.\d+)?)", str(said)) if said is not None else None
    if found is None:
        return False
    return (least is None or float(found[1]) >= least) and (most is None or float(found[1]) <= most)


_TWO_SIDED = {"gated", "inference"}  # of which False asks for something as well
_SORTS = {"last_modified": "lastModified", "created_at": "createdAt", "trending_score": "trendingScore"}
