"""The progress bar: counts, values, and lines that a log can hold."""

import os
import subprocess
import sys

import pytest

from enfold import progress

Screen = pytest.CaptureFixture[str]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, capsys: Screen) -> Screen:
    monkeypatch.setattr(progress, "_enabled", True)
    return capsys


def test_without_a_terminal_it_ends_with_one_line(screen: Screen) -> None:
    with progress.Progress(4, "steps") as bar:
        for _ in range(4):
            bar.advance(loss=0.25)
    lines = screen.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "steps" in lines[0] and "100%" in lines[0] and "4/4" in lines[0] and "loss 0.25" in lines[0]


def test_quiet_and_disabled_bars_draw_nothing(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    list(progress.track([1, 2, 3], "quiet", quiet=True))
    progress.disable_progress_bars()
    list(progress.track([1, 2, 3], "disabled"))
    assert screen.readouterr().err == ""


def test_sizes_are_printed_with_their_unit(screen: Screen) -> None:
    with progress.Progress(2_500_000, "model.safetensors", unit="B") as bar:
        bar.advance(2_500_000)
    assert "2.5 MB/2.5 MB" in screen.readouterr().err


def test_a_state_that_a_log_shows_already_is_not_repeated_at_the_end(screen: Screen) -> None:
    with progress.Progress(1) as bar:
        bar.advance()
        bar.report(loss=0.5)
    assert len(screen.readouterr().err.splitlines()) == 1


def test_a_bar_is_drawn_once_more_when_its_loop_fails(screen: Screen) -> None:
    with pytest.raises(ZeroDivisionError), progress.Progress(10) as bar:
        bar.advance(3)
        1 / 0
    assert "3/10" in screen.readouterr().err


@pytest.mark.parametrize("switch", ["HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS"])
def test_either_librarys_switch_turns_bars_off(switch: str) -> None:
    code = "from enfold.datasets import are_progress_bars_disabled as off; print(off())"
    said = [
        subprocess.run([sys.executable, "-c", code], env=os.environ | {switch: value}, capture_output=True, text=True)
        for value in ("1", "0")
    ]
    assert [one.stdout.strip() for one in said] == ["True", "False"]
