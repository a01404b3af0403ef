"""aiohttp's web sockets, both ends of them, through the Hub: what the ends agree on passes as it is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from enfold.hub import HfApi
from enfold.hubserver import EmbeddedHub

pytestmark = pytest.mark.peer

PROGRAM = """
import os, sys
sys.path.append({packages!r})
from aiohttp import WSMsgType, web

async def echo(request):
    socket = web.WebSocketResponse(protocols=["other", "echo"], max_msg_size=0)
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(message.data.upper())
        else:
            await socket.send_bytes(message.data[::-1])
    return socket

async def page(request):
    return web.Response(text="ready")

app = web.Application()
app.add_routes([web.get("/", page), web.get("/line", echo)])
web.run_app(app, host="127.0.0.1", port=int(os.environ["GRADIO_SERVER_PORT"]), print=None)
"""
CLIENT = """
import asyncio, json, os, sys
import aiohttp

async def main(address, token):
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        async with session.ws_connect(address, protocols=["echo"], compress=15, max_msg_size=0) as socket:
            said = {"protocol": socket.protocol, "compress": socket.compress}
            await socket.send_str("grüße")
            said["text"] = await socket.receive_str()
            data = os.urandom(4_000_000)
            await socket.send_bytes(data)
            said["bytes"] = await socket.receive_bytes() == data[::-1]
            await asyncio.gather(*[socket.send_str("a" * number) for number in range(100)])
            said["many"] = [len(await socket.receive_str()) for _ in range(100)] == list(range(100))
            await socket.ping()
            said["closed"] = await socket.close(code=4001)  # to which the other end says 1000
            said["code"] = socket.close_code
        lines = [await session.ws_connect(address) for _ in range(20)]
        await asyncio.gather(*[line.send_str(str(number)) for number, line in enumerate(lines)])
        said["side by side"] = [await line.receive_str() for line in lines] == [str(number) for number in range(20)]
        await asyncio.gather(*[line.close() for line in lines])
        return said

print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
"""


def test_both_ends_find_each_other(peer_python: Path, peer: Callable[..., Any], tmp_path: Path) -> None:
    packages = next((peer_python.parents[1] / "lib").glob("python*/site-packages"))
    spaces = "separate" if os.geteuid() == 0 else "trusted"
    with EmbeddedHub(tmp_path, durable=False, spaces=spaces) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        api.create_repo("owner/line", repo_type="space", space_sdk="gradio", private=True)
        program = PROGRAM.format(packages=str(packages)).encode()
        api.upload_file(path_or_fileobj=program, path_in_repo="app.py", repo_id="owner/line", repo_type="space")
        headers = {"Authorization": f"Bearer {hub.token}"}
        deadline = time.monotonic() + 60
        while (page := httpx.get(f"{hub.endpoint}/spaces/owner/line/run/", headers=headers)).text != "ready":
            assert "starting" in page.text and time.monotonic() < deadline, page.text
            time.sleep(0.1)
        address = f"{hub.endpoint}/spaces/owner/line/run/line".replace("http:", "ws:")
        said = peer(CLIENT, address, hub.token)
    assert said == {
        "protocol": "echo",
        "compress": 15,
        "text": "GRÜSSE",
        "bytes": True,
        "many": True,
        "closed": True,
        "code": 1000,
        "side by side": True,
    }
