"""Content that nobody here wrote: Debian's packages, unpacked, as an agency would release them."""

import subprocess
from pathlib import Path

from tests.images import CACHE, locked


def unpacked(package: str) -> Path:
    """Return a folder with a package's files; nothing of it is installed on this machine."""
    folder = CACHE / "test-packages" / package
    with locked(folder.with_name(f".{package}.lock")):
        if not folder.is_dir():
            _unpack(package, folder)
    return folder


def _unpack(package: str, folder: Path) -> None:
    argv = ["apt-get", "-q", "-y", "-o", "APT::Sandbox::User=root", "download", package]
    subprocess.run(argv, cwd=folder.parent, check=True, capture_output=True, timeout=120)
    archive = next(folder.parent.glob(f"{package}_*.deb"))
    new = folder.with_suffix(".new")
    subprocess.run(["dpkg-deb", "-x", str(archive), str(new)], check=True, timeout=120)
    archive.unlink()
    new.rename(folder)


def files_below(folder: Path, at: str = "") -> dict[str, bytes]:
    """Return a folder's regular files, by their paths in a release."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {at + str(path.relative_to(folder)): path.read_bytes() for path in found}


def dokuwiki() -> dict[str, bytes]:
    """Return DokuWiki as one release: its libraries are inside, its data beside its code."""
    wiki = unpacked("dokuwiki")
    release = files_below(wiki / "usr/share/dokuwiki")
    release.update(files_below(wiki / "etc/dokuwiki", "conf/"))
    for name in ("plugins", "tpl"):
        release.update(files_below(wiki / "var/lib/dokuwiki/lib" / name, f"lib/{name}/"))
    for folder in (wiki / "var/lib/dokuwiki/data").iterdir():
        release[f"data/{folder.name}/_dummy"] = b""  # a release has files, not empty folders
    for package in ("php-geshi", "libphp-simplepie", "php-phpseclib"):
        release.update(files_below(unpacked(package) / "usr/share", "vendor/debian/"))
    del release["inc/preload.php"]  # Debian's own places for configuration and data
    release["conf/local.php"] = (
        b"<?php $conf['title'] = 'Ministry of Health'; $conf['lang'] = 'ar';"
    )
    release["conf/dokuwiki.php"] = release["conf/dokuwiki.php"].replace(
        b"'/var/lib/dokuwiki/data'", b"'./data'"
    )
    return {path: _without_debian_paths(path, text) for path, text in release.items()}


def _without_debian_paths(path: str, text: bytes) -> bytes:
    if path.startswith("vendor/composer/"):
        return text.replace(b"'/usr/share/", b"__DIR__ . '/../debian/")
    if path.startswith("inc/"):
        return text.replace(b"'/usr/share/", b"DOKU_INC . 'vendor/debian/")
    return text
