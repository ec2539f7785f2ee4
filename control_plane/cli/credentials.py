"""The token that a person logged in with: one file a platform, readable by its owner alone."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, cast

DEFAULT_URL = "http://127.0.0.1:8600"


def config_dir() -> Path:
    """Return where tokens are kept."""
    return _xdg("XDG_CONFIG_HOME", ".config")


def state_dir() -> Path:
    """Return where checkpoints of the ledger are kept."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def slot_of(url: str) -> str:
    """Return a file name for a platform's address."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def keep_token(url: str, token: str, email: str, expires_at: str) -> None:
    """Keep the token of a session, in place of an earlier one."""
    folder = config_dir()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    document = {"url": url, "token": token, "email": email, "expires_at": expires_at}
    write_private(_path(url), json.dumps(document))
    write_private(folder / "current", url)


def find_token(url: str) -> str | None:
    """Return the token for a platform: a pipeline's own, else that of the last login."""
    if token := os.environ.get("EDUBBA_TOKEN"):
        return token
    try:
        kept = cast("dict[str, Any]", json.loads(_path(url).read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return str(kept.get("token") or "") or None


def forget_token(url: str) -> None:
    """Forget the token of a session."""
    _path(url).unlink(missing_ok=True)


def chosen_url(given: str | None) -> str:
    """Return the platform meant: as said, by EDUBBA_URL, of the last login, else this machine."""
    url = given or os.environ.get("EDUBBA_URL") or _last_url() or DEFAULT_URL
    return url.rstrip("/")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def _last_url() -> str | None:
    try:
        return (config_dir() / "current").read_text().strip() or None
    except FileNotFoundError:
        return None


def _path(url: str) -> Path:
    return config_dir() / f"token-{slot_of(url)}.json"


def _xdg(variable: str, default: str) -> Path:
    root = os.environ.get(variable)
    return (Path(root) if root else Path.home() / default) / "edubba"
