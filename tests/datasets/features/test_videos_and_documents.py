"""Videos and PDF documents: folders of them, frames and pages, and the way out and back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from enfold.datasets import Dataset, Features, Pdf, Value, Video, load_dataset


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def write_video(path: Path, frames: int = 20, rate: int = 10) -> None:
    """A video that becomes brighter from frame to frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 2_000_000
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 10 + 20, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_pdf(path: Path, pages: list[str]) -> None:
    """A document with a line of text a page, by the rules of PDF 1.4."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    bodies = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        drawn = f"BT /F1 12 Tf 20 50 Td ({text}) Tj ET"
        bodies.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 100] /Resources << /Font << /F1 3 0 R >> >> "
            f"/Contents {5 + 2 * number} 0 R >>"
        )
        bodies.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
    out, places = "%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(bodies) + 1
    out += f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    path.write_bytes(f"{out}startxref\n{out.index('xref')}\n%%EOF\n".encode())


def brightness(frame: Any) -> float:
    return float(np.asarray(frame).mean())


def test_frames_are_decoded_when_they_are_asked_for(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    data = {"v": [str(tmp_path / "a.mp4"), {"bytes": (tmp_path / "a.mp4").read_bytes(), "path": None}, None]}
    rows = Dataset.from_dict(data, Features({"v": Video()}))
    for clip in rows["v"][:2]:
        assert len(clip) == 20 and clip.metadata.width == 64 and clip.metadata.height == 48
        assert clip.metadata.average_fps == pytest.approx(10)
        found = clip.get_frames_at([0, 10, 19])
        assert found.data.shape == (3, 3, 48, 64) and found.pts_seconds[1] == pytest.approx(1.0)
        assert [brightness(frame) for frame in found.data] == pytest.approx([20, 120, 210], abs=4)
        assert brightness(clip[5]) == pytest.approx(70, abs=4)
        with pytest.raises(IndexError):
            clip.get_frames_at([20])
    assert rows[2]["v"] is None
    last = rows.cast_column("v", Video(dimension_order="NHWC"))[0]["v"]
    assert last.get_frames_at([1]).data.shape == (1, 48, 64, 3)
    raw = rows.cast_column("v", Video(decode=False))
    assert raw[0]["v"] == {"bytes": None, "path": str(tmp_path / "a.mp4")}


def test_a_folder_of_videos_with_metadata(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a", "b"):
        write_video(folder / f"{name}.mp4", frames=4)
    (folder / "metadata.csv").write_text("file_name,said\na.mp4,hello\nb.mp4,bye\n")
    rows = load_dataset(str(folder), split="train")
    assert rows.features == Features({"video": Video(), "said": Value("string")})
    assert [len(row["video"]) for row in rows] == [4, 4] and rows["said"][:] == ["hello", "bye"]
    # what is shared holds the file itself
    rows._write_parquet(str(tmp_path / "out.parquet"), embed_external_files=True)
    for file in folder.glob("*.mp4"):
        file.unlink()
    back = load_dataset("parquet", data_files=str(tmp_path / "out.parquet"), split="train")
    assert back.features == rows.features and len(back[1]["video"]) == 4
    longer = back.map(lambda row: {"frames": len(row["video"])})
    assert longer["frames"][:] == [4, 4] and longer.features["video"] == Video()


def test_documents_give_their_pages(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    for label, pages in (("long", ["first page", "second page"]), ("short", ["only page"])):
        (folder / label).mkdir(parents=True)
        write_pdf(folder / label / "a.pdf", pages)
    rows = load_dataset(str(folder), split="train", drop_labels=False)
    assert rows.features["label"].names == ["long", "short"] and rows.features["pdf"] == Pdf()
    assert [page.extract_text() for page in rows[0]["pdf"].pages] == ["first page", "second page"]
    assert rows[1]["pdf"].pages[0].extract_text() == "only page"
    import pdfplumber

    opened = pdfplumber.open(io.BytesIO((folder / "short" / "a.pdf").read_bytes()))
    again = Dataset.from_dict({"p": [opened, None]}, Features({"p": Pdf()}))
    assert again[0]["p"].pages[0].extract_text() == "only page" and again[1]["p"] is None
    stream = load_dataset(str(folder), split="train", streaming=True)
    assert [len(row["pdf"].pages) for row in stream] == [2, 1]


def test_damaged_files_are_errors_when_they_are_decoded(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.pdf"):
        (tmp_path / name).write_bytes(b"this is neither")
    rows = Dataset.from_dict(
        {"v": [str(tmp_path / "a.mp4")], "p": [str(tmp_path / "a.pdf")]}, Features({"v": Video(), "p": Pdf()})
    )
    assert rows.cast_column("v", Video(decode=False)).cast_column("p", Pdf(decode=False)).num_rows == 1
    with pytest.raises(Exception, match=r"(?i)invalid data|no video"):
        len(rows.select_columns("v")[0]["v"])
    with pytest.raises(Exception, match=r"(?i)pdf|root|eof"):
        rows.select_columns("p")[0]["p"].pages
