"""What every store of blobs must do: the same suite for the one in memory and the one on disk."""

import hashlib
import io
import os
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard

from control_plane.kit import clock
from control_plane.kit.errors import Refused
from control_plane.ports.blobs.files import FileBlobs
from control_plane.ports.blobs.memory import MemoryBlobs
from control_plane.ports.blobs.port import Blobs
from control_plane.ports.blobs.stream import decompressed

Store = Callable[[int], Blobs]
PLENTY = 1 << 40


@pytest.fixture(params=["memory", "files"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Give a maker of stores that have about so many bytes of room."""

    def make(room_bytes: int = PLENTY) -> Blobs:
        if request.param == "memory":
            return MemoryBlobs(room_bytes)
        usage = os.statvfs(tmp_path)
        kept = 0 if room_bytes == PLENTY else usage.f_bavail * usage.f_frsize - room_bytes
        return FileBlobs(tmp_path / "blobs", kept)

    return make


def put(blobs: Blobs, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    assert blobs.put(digest, io.BytesIO(content), len(content)) == len(content)
    return digest


def test_what_was_put_can_be_read_and_is_no_longer_missing(store: Store) -> None:
    blobs, absent = store(PLENTY), "0" * 64
    digest = put(blobs, b"ministry of health")
    assert blobs.path(digest).read_bytes() == b"ministry of health"
    assert blobs.find_missing([digest, absent]) == {absent}
    assert list(blobs.list_digests()) == [digest]


def test_an_empty_file_is_a_blob(store: Store) -> None:
    blobs = store(PLENTY)
    assert blobs.path(put(blobs, b"")).read_bytes() == b""


def test_putting_twice_changes_nothing(store: Store) -> None:
    blobs = store(PLENTY)
    assert blobs.path(put(blobs, b"same")) == blobs.path(put(blobs, b"same"))
    assert len(list(blobs.list_digests())) == 1


def test_what_was_put_again_counts_as_new(store: Store) -> None:
    blobs = store(PLENTY)
    old, again = put(blobs, b"old"), put(blobs, b"again")
    time.sleep(0.02)  # noqa: TID251  # a file system's times are coarse
    moment = clock.now()
    time.sleep(0.02)  # noqa: TID251
    put(blobs, b"again")
    assert list(blobs.list_digests(moment)) == [old]
    assert set(blobs.list_digests()) == {old, again}


def test_a_spool_takes_bytes_and_gives_them_back(store: Store) -> None:
    with store(PLENTY).spool() as spool:
        spool.write(b"x" * (3 << 20))
        spool.seek(0)
        assert len(spool.read()) == 3 << 20


def test_other_bytes_than_the_digest_names_are_refused_and_not_stored(store: Store) -> None:
    blobs = store(PLENTY)
    digest = hashlib.sha256(b"promised").hexdigest()
    with pytest.raises(Refused, match="digest_mismatch") as refused:
        blobs.put(digest, io.BytesIO(b"sent"), 100)
    assert refused.value.facts["actual"] == hashlib.sha256(b"sent").hexdigest()
    assert blobs.find_missing([digest]) == {digest}
    assert list(blobs.list_digests()) == []


def test_knowing_the_digest_of_a_stored_blob_does_not_stand_for_its_bytes(store: Store) -> None:
    blobs = store(PLENTY)
    digest = put(blobs, b"another agency's secret")
    with pytest.raises(Refused, match="digest_mismatch"):
        blobs.put(digest, io.BytesIO(b""), 100)
    assert blobs.path(digest).read_bytes() == b"another agency's secret"


def test_a_byte_more_than_announced_is_refused(store: Store) -> None:
    blobs = store(PLENTY)
    digest = hashlib.sha256(b"12345").hexdigest()
    with pytest.raises(Refused, match="blob_too_large"):
        blobs.put(digest, io.BytesIO(b"12345"), 4)
    assert blobs.find_missing([digest]) == {digest}


def test_an_upload_cut_half_way_leaves_nothing_and_can_be_sent_again(store: Store) -> None:
    blobs, content = store(PLENTY), os.urandom(1 << 20)
    digest = hashlib.sha256(content).hexdigest()
    with pytest.raises(Refused, match="digest_mismatch"):
        blobs.put(digest, io.BytesIO(content[: 1 << 19]), len(content))
    put(blobs, content)
    assert blobs.path(digest).read_bytes() == content


def test_a_source_that_breaks_leaves_nothing(store: Store, tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:  # noqa: ARG002  # as given
            if self.tell() >= 4:
                raise ConnectionResetError
            return super().read(4)

    blobs, digest = store(PLENTY), hashlib.sha256(b"12345678").hexdigest()
    with pytest.raises(ConnectionResetError):
        blobs.put(digest, Broken(b"12345678"), 100)
    assert blobs.find_missing([digest]) == {digest}
    assert list(tmp_path.rglob("incoming/*")) == []


def test_a_compressed_blob_is_stored_as_it_is(store: Store) -> None:
    blobs, content = store(PLENTY), b"<p>text</p>" * 10_000
    digest = hashlib.sha256(content).hexdigest()
    frame = io.BytesIO(zstandard.compress(content))
    assert blobs.put(digest, decompressed(frame), len(content)) == len(content)
    assert blobs.path(digest).read_bytes() == content


def test_a_bomb_is_cut_at_the_announced_size(store: Store) -> None:
    blobs = store(PLENTY)
    bomb = io.BytesIO(zstandard.compress(bytes(512 << 20)))
    assert len(bomb.getvalue()) < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="blob_too_large"):
            blobs.put("0" * 64, decompressed(bomb), 1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_what_is_not_compressed_is_refused(store: Store) -> None:
    with pytest.raises(Refused, match="encoding_invalid"):
        store(PLENTY).put("0" * 64, decompressed(io.BytesIO(b"not a frame at all")), 1 << 20)


def test_a_frame_that_asks_for_much_memory_is_refused(store: Store) -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=27)
    frame = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    content = frame.compress(b"x" * 100) + frame.flush()
    with pytest.raises(Refused, match="encoding_invalid"):
        store(PLENTY).put("0" * 64, decompressed(io.BytesIO(content)), 1 << 20)


def test_a_store_without_room_says_so_and_keeps_what_it_has(store: Store) -> None:
    blobs = store(1 << 20)
    digest = put(blobs, b"small")
    with pytest.raises(Refused, match="disk_full"):
        blobs.put("0" * 64, io.BytesIO(b""), 2 << 30)
    assert blobs.path(digest).read_bytes() == b"small"


def test_many_who_put_the_same_blob_at_once_all_succeed(store: Store) -> None:
    blobs, content = store(PLENTY), os.urandom(300_000)
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: put(blobs, content), range(24)))
    assert list(blobs.list_digests()) == list(digests)
    assert blobs.path(digests.pop()).read_bytes() == content


def test_a_retired_blob_is_out_of_sight_until_restored(store: Store) -> None:
    blobs = store(PLENTY)
    digest = put(blobs, b"old")
    blobs.retire(digest)
    assert blobs.find_missing([digest]) == {digest}
    assert list(blobs.list_retired()) == [digest]
    with pytest.raises(Refused, match="blob_missing"):
        blobs.path(digest)
    blobs.restore(digest)
    assert blobs.path(digest).read_bytes() == b"old"
    assert list(blobs.list_retired()) == []


def test_a_blob_sent_again_while_retired_survives_the_deletion(store: Store) -> None:
    blobs = store(PLENTY)
    digest = put(blobs, b"old and new")
    blobs.retire(digest)
    put(blobs, b"old and new")
    blobs.delete(digest)
    assert blobs.path(digest).read_bytes() == b"old and new"
    assert list(blobs.list_retired()) == []


def test_taking_away_what_is_gone_does_nothing(store: Store) -> None:
    blobs, absent = store(PLENTY), "0" * 64
    blobs.retire(absent)
    blobs.restore(absent)
    blobs.delete(absent)
    assert list(blobs.list_digests()) == []


def test_files_are_readable_by_the_group_and_by_nobody_else(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "blobs", 0)
    path = blobs.path(put(blobs, b"content"))
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.parent.stat().st_mode & 0o7777 == 0o2770
    assert path.parent.name == path.name[:2]
