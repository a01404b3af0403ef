"""``enfold paint``: a picture from a text, with its settings in its file; or a page that paints."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["command", "paint"]

MODEL = "stable-diffusion-v1-5/stable-diffusion-v1-5"


def command(
    prompt: Annotated[str | None, typer.Argument(help="What to paint.", show_default=False)] = None,
    model: Annotated[str, typer.Option(help="A folder, or a repository's id.")] = MODEL,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the picture goes; a PNG.")] = Path(
        "picture.png"
    ),
    negative: Annotated[str | None, typer.Option(help="What not to paint.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="More take longer and are finer.")] = 30,
    guidance: Annotated[float, typer.Option(help="Above 1 the picture follows the text more closely.")] = 7.5,
    height: Annotated[int | None, typer.Option(help="In pixels; by default what the model was trained on.")] = None,
    width: Annotated[int | None, typer.Option(help="In pixels; by default what the model was trained on.")] = None,
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 1,
    seed: Annotated[int | None, typer.Option(help="The same seed paints the same picture; random by default.")] = None,
    image: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="A picture to paint over.")] = None,
    mask: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="White where it is painted.")] = None,
    strength: Annotated[float, typer.Option(min=0, max=1, help="How much of the picture is lost.")] = 0.8,
    scheduler: Annotated[str | None, typer.Option(help="Another scheduler, DPMSolverMultistepScheduler say.")] = None,
    dtype: Annotated[str, typer.Option(help="Type of the weights: float32, bfloat16, float16.")] = "float32",
    device: Annotated[str, typer.Option(help="Where it computes.")] = "cpu",
    page: Annotated[bool, typer.Option("--page", help="Open a page that paints, instead.")] = False,
    port: Annotated[int, typer.Option(help="Of the page.")] = 7860,
) -> None:
    """Paint a picture from a text; its settings are kept in its file (`Image.open(…).text["parameters"]`)."""
    if page:
        build_page(model, dtype, device).launch(server_port=port)
        return
    if prompt is None:
        raise typer.BadParameter("say what to paint, or open a page with --page")
    if mask is not None and image is None:
        raise typer.BadParameter("--mask shows a part of --image; give both")
    settings = {
        "prompt": prompt,
        "negative_prompt": negative,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "height": height,
        "width": width,
        "num_images_per_prompt": count,
        "seed": secrets.randbelow(2**32) if seed is None else seed,
        "strength": strength if image else None,
        "scheduler": scheduler,
    }
    pipe = load(model, dtype, device, image is not None, mask is not None, scheduler)
    given: dict[str, Any] = {}
    if image is not None or mask is not None:
        from PIL import Image

        given = {
            name: Image.open(path).convert("RGB") for name, path in (("image", image), ("mask_image", mask)) if path
        }
    for path in paint(pipe, output, {"model": model, **settings}, given):
        print(path)


def load(
    model: str, dtype: str, device: str, over: bool = False, part: bool = False, scheduler: str | None = None
) -> Any:
    """Return the pipeline for a text, for a text and a picture (``over``), or for a part of one (``part``)."""
    import torch

    from enfold import diffusers
    from enfold.errors import EnfoldError, nearest

    kind = diffusers.AutoPipelineForText2Image
    if over:
        kind = diffusers.AutoPipelineForInpainting if part else diffusers.AutoPipelineForImage2Image
    types = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in types:
        raise EnfoldError(f"no type {dtype!r}{nearest(dtype, types)}; there are {', '.join(types)}")
    pipe = kind.from_pretrained(model, torch_dtype=types[dtype]).to(device)
    if scheduler is not None:
        known = [name for name in dir(diffusers) if name.endswith("Scheduler")]
        if scheduler not in known:
            raise EnfoldError(f"no scheduler {scheduler!r}{nearest(scheduler, known)}; there are {', '.join(known)}")
        pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
    return pipe


def paint(pipe: Any, output: Path, settings: dict[str, Any], given: dict[str, Any] | None = None) -> list[Path]:
    """Paint and save; return the files, numbered from the second on.

    Args:
        pipe: a pipeline that takes a prompt.
        output: the first file; its folder is made.
        settings: arguments of the call, ``seed``, and what else is to be kept in the files.
        given: pictures for the call.
    """
    import torch
    from PIL.PngImagePlugin import PngInfo

    kept = {name: value for name, value in settings.items() if value is not None}
    call = {name: value for name, value in kept.items() if name not in ("model", "seed", "scheduler")}
    if given and "mask_image" not in given:  # as large as the picture that is painted over
        call = {name: value for name, value in call.items() if name not in ("height", "width")}
    generator = torch.Generator().manual_seed(kept["seed"])
    images = pipe(**call, **(given or {}), generator=generator).images
    facts = PngInfo()
    facts.add_itxt("parameters", json.dumps(kept, ensure_ascii=False))
    output.parent.mkdir(parents=True, exist_ok=True)
    files = []
    for index, image in enumerate(images):
        path = output if index == 0 else output.with_stem(f"{output.stem}-{index + 1}")
        image.save(path, format="PNG", pnginfo=facts)
        files.append(path)
    return files


def build_page(model: str, dtype: str = "float32", device: str = "cpu") -> Any:
    """Return a page that paints, with progress and previews; the model is loaded by the first picture.

    Args:
        model: a folder, or a repository's id.
        dtype: type of the weights.
        device: where it computes.
    """
    from enfold import gradio as gr

    loaded: list[Any] = []

    def draw(
        prompt: str, negative: str, steps: float, guidance: float, seed: float, progress: Any = gr.Progress()
    ) -> Any:
        if not loaded:
            progress(0, desc="Loading the model")
            loaded.append(load(model, dtype, device))
        yield from drawn(loaded[0], prompt, negative, int(steps), guidance, int(seed), progress)

    with gr.Blocks(title="Paint") as page:
        gr.Markdown("# Paint")
        with gr.Row():
            with gr.Column():
                prompt = gr.Textbox(label="What to paint", lines=2)
                negative = gr.Textbox(label="What not to paint")
                steps = gr.Slider(1, 100, value=30, step=1, label="Steps")
                guidance = gr.Slider(1, 20, value=7.5, step=0.5, label="How closely to follow the text")
                seed = gr.Number(value=0, precision=0, label="Seed")
                button = gr.Button("Paint", variant="primary")
            picture = gr.Image(label="Picture", type="pil")
        button.click(draw, [prompt, negative, steps, guidance, seed], picture, api_name="paint")
    return page


def drawn(
    pipe: Any, prompt: str, negative: str, steps: int, guidance: float, seed: int, progress: Callable[..., Any]
) -> Any:
    """Yield previews of a picture, about ten, and at last the picture."""
    import queue
    import threading

    import torch

    previews: queue.Queue[Any] = queue.Queue()
    every = max(1, steps // 10)

    def look(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        progress((step + 1, steps), desc="Painting")
        if step % every == 0 and step + 1 < steps:
            image, _ = pipeline._finish(tensors["latents"][:1], "pil", tensors["latents"].dtype, None)
            previews.put(image[0])
        return {}

    def work() -> None:
        try:
            generator = torch.Generator().manual_seed(seed)
            call = {"num_inference_steps": steps, "guidance_scale": guidance, "callback_on_step_end": look}
            previews.put((pipe(prompt, negative_prompt=negative or None, generator=generator, **call).images[0],))
        except Exception as error:
            previews.put(error)

    threading.Thread(target=work, daemon=True).start()
    while True:
        found = previews.get()
        if isinstance(found, Exception):
            raise found
        if isinstance(found, tuple):
            yield found[0]
            return
        yield found
