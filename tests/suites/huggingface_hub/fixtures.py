"""What the files of huggingface_hub's own tests expect of their conftest, which its source archive leaves out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from huggingface_hub import HfApi, RepoUrl

from .testing_constants import ENDPOINT_STAGING, TOKEN, USER
from .testing_utils import repo_name

RepoFactory = Callable[..., RepoUrl]


@pytest.fixture(scope="session")
def api() -> HfApi:
    """Return the client of the account that most tests use."""
    return HfApi(endpoint=ENDPOINT_STAGING, token=TOKEN)


@pytest.fixture
def repo_factory(api: HfApi) -> Iterator[RepoFactory]:
    """Yield a function that makes a repository, which is deleted when the test ends."""
    made: list[tuple[RepoUrl, Any]] = []

    def make(repo_type: str = "model", *, repo_id: str | None = None, token: Any = None, **options: Any) -> RepoUrl:
        name = repo_id or repo_name()
        if "/" not in name and token is None:
            name = f"{USER}/{name}"
        if repo_type == "space":
            options.setdefault("space_sdk", "static")
        url = api.create_repo(name, repo_type=repo_type, token=token, **options)
        made.append((url, token))
        return url

    yield make
    for url, token in made:
        with contextlib.suppress(Exception):
            api.delete_repo(url.repo_id, repo_type=url.repo_type, token=token, missing_ok=True)


@pytest.fixture
def new_repo_id(api: HfApi) -> Iterator[str]:
    """Yield the id of a model that is not there yet, and is deleted when the test ends."""
    name = f"{USER}/{repo_name()}"
    yield name
    api.delete_repo(name, missing_ok=True)


@pytest.fixture
def fx_cache_dir(request: pytest.FixtureRequest, tmp_path: Any) -> None:
    """Give a class of tests a folder as ``cache_dir``."""
    request.cls.cache_dir = tmp_path.resolve()


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test begin without the token of whoever runs it, and without an agent's name."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AI_AGENT"):
        monkeypatch.delenv(name, raising=False)
    with contextlib.suppress(ImportError, AttributeError):
        from huggingface_hub.utils import _detect_agent

        monkeypatch.setattr(_detect_agent, "_registry", {"standardEnvVars": [], "harnesses": {}})
