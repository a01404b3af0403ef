"""Programs beside accelerate's helpers for tests are found where those lie, whatever `accelerate` is."""

from pathlib import Path

from accelerate.test_utils import testing


def beside(*parts: str) -> Path:
    """Return a path in the folder of the wheel that the helpers come from."""
    return Path(testing.__file__).parents[1].joinpath(*parts)


testing.path_in_accelerate_package = beside
