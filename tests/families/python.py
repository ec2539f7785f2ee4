"""Releases of Python applications that say who they are, and wheels that nobody published."""

import hashlib
import zipfile
from io import BytesIO

WSGI = """
import os, sqlite3, time
from urllib.parse import parse_qs

def application(environ, start_response):
    asked = parse_qs(environ["QUERY_STRING"])
    time.sleep(float(asked.get("sleep", ["0"])[0]))
    body = answer(environ["PATH_INFO"], asked)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]

def answer(path, asked):
    if path == "/environment":
        return os.environ.get(asked["name"][0], "-")
    if path == "/notes":
        with sqlite3.connect("data/notes.db") as notes:
            notes.execute("CREATE TABLE IF NOT EXISTS note (text TEXT)")
            for text in asked.get("add", []):
                notes.execute("INSERT INTO note VALUES (?)", (text,))
            return ",".join(row[0] for row in notes.execute("SELECT text FROM note"))
    return "release %s"
"""

ASGI = """
import asyncio, os

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": event + ".complete"})
            if event == "lifespan.shutdown":
                return
    await asyncio.sleep(0.03)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%s by asgi, " + scope["scheme"].encode()})
"""


def an_app(name: object = 1, **files: str) -> dict[str, bytes]:
    """Return a release that says its name; a file's `__` stands for the dot of its name."""
    contents = {"app.py": (WSGI % name).encode()}
    return contents | {path.replace("__", "."): text.encode() for path, text in files.items()}


def a_wheel(name: str, module: str = "") -> tuple[str, bytes]:
    """Return a wheel with one module, by its path in a release."""
    project, version, _, _, platform = name.removesuffix(".whl").split("-")
    about, archive = f"{project}-{version}.dist-info", BytesIO()
    pure, tag = str(platform == "any").lower(), name.removesuffix(".whl").split("-", 2)[2]
    kind = f"Wheel-Version: 1.0\nRoot-Is-Purelib: {pure}\nTag: {tag}\n"
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr(f"{project}.py", module)
        wheel.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
        )
        wheel.writestr(f"{about}/WHEEL", kind)
        wheel.writestr(f"{about}/RECORD", f"{project}.py,,\n")
    return f"wheels/{name}", archive.getvalue()


def carrying(*wheels: tuple[str, bytes]) -> dict[str, bytes]:
    """Return wheels with the list that pins them, as a release carries them."""
    lines = []
    for path, content in wheels:
        project, version, *_ = path.removeprefix("wheels/").split("-")
        lines.append(f"{project}=={version} --hash=sha256:{hashlib.sha256(content).hexdigest()}\n")
    return {**dict(wheels), "wheels/requirements.txt": "".join(lines).encode()}
