"""``enfold serve``: models behind OpenAI's, TGI's and the Hub's routes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enfold.errors import EnfoldError

if TYPE_CHECKING:
    from enfold.serving.service import Service

__all__ = ["command"]

LIMITS, ENGINE, NETWORK = "How much", "Engine", "Network"


def command(
    models: Annotated[
        list[str], typer.Argument(help="[NAME=]PLACE: a folder, a GGUF file, or a repository's id (repeatable).")
    ],
    adapter: Annotated[
        list[str] | None, typer.Option(help="NAME=PLACE: a PEFT folder for the first model (repeatable).")
    ] = None,
    dtype: Annotated[str, typer.Option(help="Of the weights: auto (as stored), float32, bfloat16, float16.")] = "auto",
    device: Annotated[str, typer.Option(help="Where it computes.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="That torch computes with; by default all cores.")] = None,
    revision: Annotated[str | None, typer.Option(help="Of the repository.")] = None,
    chat_template: Annotated[str | None, typer.Option(help="A template, or its file, instead of the model's.")] = None,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the repository's code.")] = False,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Show a page to chat with at the root.")] = True,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            help="A key that callers need (repeatable); better in the variable, which others cannot see.",
            envvar="ENFOLD_API_KEYS",
            show_envvar=True,
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A file with a key in each line.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="To listen on; 0.0.0.0 lets other machines in.", rich_help_panel=NETWORK)
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes any free one.", rich_help_panel=NETWORK)] = 8000,
    certificate: Annotated[
        Path | None, typer.Option(exists=True, help="A TLS certificate (PEM).", rich_help_panel=NETWORK)
    ] = None,
    certificate_key: Annotated[
        Path | None, typer.Option(exists=True, help="Its private key (PEM).", rich_help_panel=NETWORK)
    ] = None,
    grace: Annotated[
        int,
        typer.Option(min=0, help="Seconds that answers have to end when the server stops.", rich_help_panel=NETWORK),
    ] = 30,
    replicas: Annotated[
        int, typer.Option(min=1, help="Copies of the server, run by Ray Serve.", rich_help_panel=NETWORK)
    ] = 1,
    max_prompt_tokens: Annotated[
        int | None, typer.Option(min=1, help="Of a prompt; by default what the model reads.", rich_help_panel=LIMITS)
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Of an answer.", rich_help_panel=LIMITS)] = 4096,
    max_queue: Annotated[int, typer.Option(min=0, help="Answers that may wait.", rich_help_panel=LIMITS)] = 128,
    max_body: Annotated[int, typer.Option(min=1024, help="Bytes of a request.", rich_help_panel=LIMITS)] = 8 * 2**20,
    max_per_key: Annotated[
        int, typer.Option(min=1, help="Requests that one caller may have open.", rich_help_panel=LIMITS)
    ] = 256,
    max_running: Annotated[
        int, typer.Option(min=1, help="Answers that are written at once.", rich_help_panel=ENGINE)
    ] = 32,
    max_step_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens that a step reads.", rich_help_panel=ENGINE)
    ] = 512,
    cache_memory: Annotated[
        float, typer.Option(min=0.001, help="Gigabytes for keys and values.", rich_help_panel=ENGINE)
    ] = 1.0,
    prefix_cache: Annotated[
        bool,
        typer.Option("--prefix-cache/--no-prefix-cache", help="Read equal beginnings once.", rich_help_panel=ENGINE),
    ] = True,
) -> None:
    """Serve models until Ctrl-C: chats, completions, vectors, order, transcripts.

    Clients of OpenAI's use it with base_url=http://HOST:PORT/v1, those of TGI and the Hub with http://HOST:PORT.
    """
    settings: dict[str, Any] = {
        "models": models,
        "adapters": dict(_pair(text) for text in adapter or []),
        "loading": {
            "dtype": dtype, "device": device, "revision": revision, "chat_template": chat_template,
            "trust_remote_code": trust_remote_code,
        },
        "keys": _keys(api_key, api_key_file),
        "limits": {
            "prompt_tokens": max_prompt_tokens, "new_tokens": max_new_tokens, "queue": max_queue, "body": max_body,
            "per_key": max_per_key,
        },
        "engine": {
            "max_running": max_running, "max_step_tokens": max_step_tokens, "memory": int(cache_memory * 2**30),
            "prefix_cache": prefix_cache,
        },
        "threads": threads,
        "page": page,
    }  # fmt: skip
    if (certificate is None) != (certificate_key is None):
        raise typer.BadParameter("a certificate and its key are given together", param_hint="--certificate")
    if replicas > 1:
        from enfold.serving.replicas import run_replicas

        run_replicas(settings, replicas, host, port)
        return
    from enfold.serving.app import create_app
    from enfold.serving.loading import build_service
    from enfold.web.server import BackgroundServer

    service = build_service(**settings)
    tls = {} if certificate is None else {"ssl_certfile": str(certificate), "ssl_keyfile": str(certificate_key)}
    server = BackgroundServer(
        create_app(service), host=host, port=port, timeout_graceful_shutdown=grace, h11_max_incomplete_event_size=65536,
        **tls,
    )  # fmt: skip
    _tell(service, server.url.replace("http://", "https://") if tls else server.url)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        server.wait()
        raise EnfoldError("the server ended by itself; its log says why")
    except KeyboardInterrupt:
        typer.echo("\nNo new requests are taken; answers that have begun are finished.")
        service.end()
        server.stop(timeout=grace + 10)


def _tell(service: Service, url: str) -> None:
    import sys

    for model in service.models.values():
        about = ", ".join(f"{name} {value}" for name, value in model.about.items())
        typer.echo(f"Serving {model.name} for {model.kind}" + (f" ({about})" if about else ""))
    typer.echo(f"At {url}, for OpenAI's clients {url}/v1   Stop it: Ctrl-C")
    if not service.keys.required and "127.0.0.1" not in url and "[::1]" not in url:
        typer.echo(
            "Anybody who reaches this address may use it: --api-key or ENFOLD_API_KEYS asks for a key.", err=True
        )
    sys.stdout.flush()


def _keys(given: list[str] | None, file: Path | None) -> list[str]:
    lines = [] if file is None else file.read_text("utf-8").splitlines()
    found = [key for text in given or [] for key in text.replace(",", " ").split()]
    os.environ.pop("ENFOLD_API_KEYS", None)  # nothing that this process starts shall see them
    return found + [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _pair(text: str) -> tuple[str, str]:
    name, separator, place = text.partition("=")
    if not separator or not name or not place:
        raise typer.BadParameter(f"{text!r} is not NAME=PLACE", param_hint="--adapter")
    return name, place
