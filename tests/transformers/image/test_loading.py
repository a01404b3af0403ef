"""Pictures in every form, and what is no picture."""

from __future__ import annotations

import base64
import io
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from enfold.transformers.image.loading import ImageError, load_image, load_images

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


def png(image: PIL.Image.Image | None = None, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    (image or PIL.Image.fromarray(PIXELS)).save(buffer, form)
    return buffer.getvalue()


def test_every_form_gives_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(png())
    text = base64.b64encode(png()).decode()
    forms = [
        path,
        str(path),
        text,
        f"data:image/png;base64,{text}",
        png(),
        PIXELS,
        torch.from_numpy(PIXELS),
        np.moveaxis(PIXELS, -1, 0),
        PIL.Image.fromarray(PIXELS),
        (PIXELS / 255).astype(np.float32),
    ]
    for form in forms:
        assert np.array_equal(np.asarray(load_image(form)), PIXELS), type(form)
    nested = load_images([forms[0], [forms[1]]])
    assert nested[1][0].size == (7, 9)


def test_a_url_is_fetched(tmp_path: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/picture.png"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(png() if found else b"no")

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        where = f"http://127.0.0.1:{server.server_port}"
        assert np.array_equal(np.asarray(load_image(f"{where}/picture.png", timeout=5)), PIXELS)
        with pytest.raises(ImageError, match="404"):
            load_image(f"{where}/other.png", timeout=5)
    finally:
        server.shutdown()


def test_a_picture_is_turned_as_its_camera_was_held() -> None:
    picture = PIL.Image.fromarray(PIXELS)
    exif = picture.getexif()
    exif[0x0112] = 6  # turned by a quarter
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=exif)
    assert load_image(buffer.getvalue()).size == (9, 7)


def test_greys_and_transparency_become_rgb() -> None:
    assert load_image(PIXELS[..., 0]).mode == "RGB"
    assert load_image(PIL.Image.fromarray(PIXELS).convert("RGBA")).mode == "RGB"


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_truncated_file_is_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / "cut"
    noise = PIL.Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = png(noise, form)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match="cannot be read to its end"):
        load_image(path)


def test_what_is_no_picture_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a picture")
    with pytest.raises(ImageError, match=r"notes\.txt is no image"):
        load_image(path)
    with pytest.raises(ImageError, match="neither a file that exists, nor a URL"):
        load_image("missing picture.png")
    with pytest.raises(ImageError, match="not dict"):
        load_image({"path": "x"})
    with pytest.raises(ImageError, match="two or three dimensions"):
        load_image(np.zeros((2, 3, 4, 5)))
