"""How a release is served. gunicorn reads it when it starts, and again at SIGHUP."""

import json
import os
import sys
from pathlib import Path
from typing import Any

_deployment = os.environ["EDUBBA_DEPLOYMENT"]
_server = json.loads(Path("/etc/hosting/python.json").read_text())
_about = json.loads((Path("/srv/app/releases") / _deployment / "about.json").read_text())
_settings = Path("/etc/hosting/environment.json")
_is_live = (
    Path("/srv/site/live").is_symlink() and Path("/srv/site/live").readlink().name == _deployment
)

# Settings as they are now; those that are gone since the last time are not kept.
_first: dict[str, str] = vars(sys).setdefault("_edubba_environment", dict(os.environ))
os.environ.clear()
os.environ.update({**_first, **(json.loads(_settings.read_text()) if _settings.is_file() else {})})

wsgi_app = _about["application"]
chdir = str(Path("/srv/site/deployments") / _deployment / "tree" / _about["directory"])
bind = f"unix:/run/app/{_deployment}.sock"
worker_class = "uvicorn_worker.UvicornWorker" if _about["interface"] == "asgi" else "gthread"
workers = _server["workers"] if _is_live else 1
threads = _server["threads"]
timeout = 90
graceful_timeout = 30
keepalive = 5
backlog = 1024
worker_tmp_dir = "/run"  # a full disk must not look like a worker that hangs
control_socket_disable = True
forwarded_allow_ips = "*"  # nginx alone reaches the socket
accesslog = None  # the edge keeps it
errorlog = "-"
capture_output = False


def when_ready(_server: Any) -> None:
    """Remember that all workers are wanted already."""
    if _is_live:
        Path(f"/run/app/{_deployment}.grown").touch()


def post_worker_init(_worker: Any) -> None:
    """Say that the application was imported."""
    Path(f"/run/app/{_deployment}.ready").touch()
