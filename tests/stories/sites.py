"""Sites to release: the documentation of Python as Debian ships it, with what agencies add."""

import os
import shutil
from pathlib import Path

DOCUMENTATION = Path("/usr/share/doc/python3.11/html")
ARABIC = "دليل-المواطن/طلب جواز السفر ٢٠٢٦.html"
ARABIC_PAGE = "<!doctype html><html lang=ar dir=rtl><title>طلب جواز السفر</title><p>أهلاً</p>\n"
NOT_FOUND_PAGE = "<!doctype html><html lang=ar dir=rtl><title>٤٠٤</title><p>لا توجد هذه الصفحة\n"


def documentation(folder: Path) -> Path:
    """Copy the documentation, links as what they lead to, with an Arabic page and a 404 page."""
    shutil.copytree(DOCUMENTATION, folder)
    page = folder / ARABIC
    page.parent.mkdir()
    page.write_text(ARABIC_PAGE)
    (folder / "404.html").write_text(NOT_FOUND_PAGE)
    return folder


def small_site(folder: Path, text: str, **files: str) -> Path:
    """Write a site of one page that shows a text, and of further files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(f"<!doctype html><title>{text}</title><h1>{text}</h1>\n")
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def random_file(path: Path, mib: int) -> Path:
    """Write what no compression makes smaller."""
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))
    return path


def files_of(folder: Path) -> dict[str, Path]:
    """Return a site's files by their path on the web."""
    return {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*")) if p.is_file()}
