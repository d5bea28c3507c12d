"""An ASGI application without a framework; FastAPI, Starlette and Django are run alike."""

from pathlib import Path

GREETING = "hello from Python"
PAGE = Path(__file__).with_name("page.html")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    text = PAGE.read_text().replace("{greeting}", GREETING).encode()
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})
