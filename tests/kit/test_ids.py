"""Ids name their type, sort by birth and fit the column."""

import itertools

from control_plane.kit.ids import ID_MAX_LENGTH, ID_PATTERN, is_id, new_id


def test_ids_of_later_things_sort_behind() -> None:
    born = [new_id("hst") for _ in range(10_000)]
    assert all(a < b for a, b in itertools.pairwise(born))


def test_ids_are_unique_and_fit() -> None:
    born = {new_id("lif") for _ in range(10_000)}
    assert len(born) == 10_000
    assert all(len(i) <= ID_MAX_LENGTH and ID_PATTERN.fullmatch(i) for i in born)


def test_an_id_of_another_type_is_not_taken() -> None:
    assert is_id(new_id("hst"), "hst")
    assert not is_id(new_id("hst"), "ten")
    assert not is_id("hst_../../etc/passwd", "hst")
