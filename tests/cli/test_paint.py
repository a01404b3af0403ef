"""``enfold paint`` leaves a picture that says how it was painted, and a page that paints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from enfold.cli import _application
from enfold.cli.paint import build_page, drawn, load

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def model(fixture_repositories: Path) -> str:
    return str(fixture_repositories / "models" / "runwayml" / "stable-diffusion-v1-5")


def enfold(*arguments: Any) -> Any:
    words = ["paint", *map(str, arguments)]
    return CliRunner().invoke(_application(words), words)


def test_a_picture_says_how_it_was_painted_and_is_painted_again_by_that(model: str, tmp_path: Path) -> None:
    first = tmp_path / "new" / "cat.png"
    options = ("--model", model, "--steps", 2, "--height", 64, "--width", 64, "--seed", 5, "--count", 2)
    done = enfold("A cat wearing sunglasses", *options, "--output", first)
    assert done.exit_code == 0, done.output
    assert done.output.split()[-2:] == [str(first), str(tmp_path / "new" / "cat-2.png")]
    with Image.open(first) as image:
        facts, pixels = json.loads(image.text["parameters"]), image.tobytes()  # type: ignore[attr-defined]
    assert facts["prompt"] == "A cat wearing sunglasses" and facts["seed"] == 5 and facts["num_inference_steps"] == 2
    again = enfold("A cat wearing sunglasses", *options, "--output", tmp_path / "again.png")
    assert again.exit_code == 0 and Image.open(tmp_path / "again.png").tobytes() == pixels

    over = enfold("a dog", *options[:4], "--image", first, "--scheduler", "DDIMScheduler", "-o", tmp_path / "dog.png")
    assert over.exit_code == 0, over.output
    assert Image.open(tmp_path / "dog.png").size == (64, 64)


def test_mistakes_are_said_before_anything_is_loaded(model: str, tmp_path: Path) -> None:
    assert "say what to paint" in enfold("--model", model).output
    missing = enfold("a cat", "--model", model, "--mask", __file__)
    assert missing.exit_code == 2 and "give both" in missing.output
    wrong = enfold("a cat", "--model", model, "--scheduler", "DDIMSchedular")
    assert wrong.exit_code == 1 and "did you mean 'DDIMScheduler'" in str(wrong.exception)


def test_the_page_shows_previews_and_then_the_picture(model: str) -> None:
    seen: list[Any] = []
    pipe = load(model, "float32", "cpu")
    pictures = list(drawn(pipe, "a cat", "", 4, 7.5, 0, lambda done, desc: seen.append(done)))
    assert len(pictures) == 4 and {picture.size for picture in pictures} == {(64, 64)}
    assert seen[-1] == (5, 4) or seen[-1] == (4, 4)
    config = build_page(model).get_config_file()
    assert "paint" in {dependency["api_name"] for dependency in config["dependencies"]}
    with pytest.raises(Exception, match="either a prompt"):
        list(drawn(pipe, None, "", 2, 7.5, 0, lambda *_, **__: None))  # type: ignore[arg-type]
