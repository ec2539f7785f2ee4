"""An upload that breaks off is taken up again, and only the rest is sent."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stories.hosted import Site, digest_of
from tests.stories.installation import Installation
from tests.stories.sites import files_of, small_site
from tests.waiting import wait_until

pytestmark = pytest.mark.root
FILES, FILE_BYTES = 60, 512 << 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a site of 30 MiB that nothing makes smaller; no other test has sent any of it."""
    site = small_site(tmp_path / "site", f"an archive {os.urandom(8).hex()}")
    for number in range(FILES):
        (site / f"{number}.bin").write_bytes(os.urandom(FILE_BYTES))
    return site


def missing(site: Site, folder: Path) -> set[str]:
    digests = [digest_of(file) for file in files_of(folder).values()]
    path = f"/v1/agencies/{site.agency}/blobs/missing"
    return set(site.owner.post(path, {"digests": digests})["missing"])


@contextmanager
def deploying(site: Site, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `edubba deploy` beside the test, one file after the other."""
    cli = site.installation.cli(site.owner.account)
    arguments = ["deploy", str(folder), "--hosting", site.hosting_id, "--wait", "--json"]
    process = subprocess.Popen(
        cli.command(*arguments, "--threads", "1"),
        env=cli.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_an_upload_cut_half_way_goes_on_where_it_was(clinic: Site, folder: Path) -> None:
    whole = missing(clinic, folder)
    assert len(whole) == FILES + 1
    with deploying(clinic, folder) as process:
        wait_until(lambda: len(missing(clinic, folder)) < FILES - 10)
        process.kill()
        process.wait()
    left = missing(clinic, folder)
    assert 0 < len(left) < FILES - 10
    told = clinic.deploy_as_pipeline(folder)
    sizes = {digest_of(file): file.stat().st_size for file in files_of(folder).values()}
    assert told["uploaded"] == {"blobs": len(left), "bytes": sum(sizes[one] for one in left)}
    assert told["status"] == "live"
    visitor = clinic.visitor()
    for path, file in files_of(folder).items():
        assert visitor.get(f"/{path}").body == file.read_bytes(), path
    visitor.close()


def test_a_deployment_goes_on_when_the_web_process_dies_under_it(
    installation: Installation, clinic: Site, folder: Path
) -> None:
    with deploying(clinic, folder) as process:
        wait_until(lambda: len(missing(clinic, folder)) < FILES - 10)
        installation.crash("web")
        output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    assert '"status": "live"' in output
    assert missing(clinic, folder) == set()
