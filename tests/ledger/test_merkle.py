"""The tree against published vectors, and against a naive tree on random sizes."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.ledger import merkle
from control_plane.ledger.merkle import Frontier, Place, Span

# The eight leaves and the roots over their first 1..8 that certificate-transparency publishes in
# cpp/merkletree/merkle_tree_test.cc (kSHA256Roots); transparency-dev/merkle testonly has them too.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION_0_OF_8 = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]
INCLUSION_5_OF_8 = [
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
]
CONSISTENCY = {
    (1, 8): INCLUSION_0_OF_8,
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}

sizes = st.integers(min_value=1, max_value=70)


def leaf_hashes(count: int) -> list[bytes]:
    return [merkle.leaf_hash(index.to_bytes(2)) for index in range(count)]


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 2.1, word for word."""
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return merkle.node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def grow(leaves: Sequence[bytes]) -> tuple[Frontier, dict[Place, bytes]]:
    frontier, nodes = Frontier(), dict[Place, bytes]()
    for leaf in leaves:
        frontier, completed = frontier.append(leaf)
        nodes.update(completed)
    return frontier, nodes


def inclusion(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    return merkle.proof_from(merkle.inclusion_spans(index, len(leaves)), grow(leaves)[1])


def consistency(old: int, leaves: Sequence[bytes]) -> list[bytes]:
    return merkle.proof_from(merkle.consistency_spans(old, len(leaves)), grow(leaves)[1])


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots_come_out(size: int) -> None:
    leaves = [merkle.leaf_hash(leaf) for leaf in LEAVES[:size]]
    assert grow(leaves)[0].root().hex() == ROOTS[size]
    assert naive_root(leaves).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "proof"), [(0, INCLUSION_0_OF_8), (5, INCLUSION_5_OF_8)])
def test_the_published_inclusion_proofs_come_out(index: int, proof: list[str]) -> None:
    leaves = [merkle.leaf_hash(leaf) for leaf in LEAVES]
    assert [node.hex() for node in inclusion(index, leaves)] == proof


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_the_published_consistency_proofs_come_out(old: int, new: int) -> None:
    leaves = [merkle.leaf_hash(leaf) for leaf in LEAVES[:new]]
    assert [node.hex() for node in consistency(old, leaves)] == CONSISTENCY[old, new]


@given(sizes)
def test_a_grown_tree_has_the_root_of_the_definition(size: int) -> None:
    leaves = leaf_hashes(size)
    frontier, nodes = grow(leaves)
    assert frontier.root() == naive_root(leaves)
    assert frontier.peaks == tuple(nodes[place] for place in merkle.list_peaks(size))
    assert len(nodes) < 2 * size
    for place, node in nodes.items():
        first = place.position << place.level
        assert node == naive_root(leaves[first : place.last_leaf + 1])


@given(sizes, st.data())
def test_every_leaf_is_proved_in_its_place_and_in_no_other(size: int, data: st.DataObject) -> None:
    leaves = leaf_hashes(size)
    index = data.draw(st.integers(0, size - 1))
    claimed = data.draw(st.integers(-1, size))
    proof, root = inclusion(index, leaves), naive_root(leaves)
    assert len(proof) <= size.bit_length()
    assert merkle.is_included(claimed, size, leaves[index], proof, root) == (claimed == index)


@given(sizes, st.data())
def test_a_damaged_inclusion_proof_proves_nothing(size: int, data: st.DataObject) -> None:
    leaves = leaf_hashes(size)
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion(index, leaves), naive_root(leaves)
    damaged = data.draw(damage(proof))
    assert not merkle.is_included(index, size, leaves[index], damaged, root)
    assert not merkle.is_included(index, size, merkle.leaf_hash(b"another"), proof, root)


@given(sizes, st.data())
def test_an_older_tree_is_proved_to_be_the_beginning(size: int, data: st.DataObject) -> None:
    leaves = leaf_hashes(size)
    old = data.draw(st.integers(0, size))
    trees = (old, naive_root(leaves[:old])), (size, naive_root(leaves))
    proof = consistency(old, leaves)
    assert merkle.is_consistent(*trees, proof)
    assert not merkle.is_consistent(*trees, data.draw(damage(proof)))
    other = merkle.leaf_hash(b"another")
    assert not merkle.is_consistent((old, other), trees[1], proof)
    if old:
        assert not merkle.is_consistent(trees[0], (size, other), proof)
    assert not merkle.is_consistent(trees[1], trees[0], proof) or old == size


def test_a_rewritten_past_has_no_consistency_proof() -> None:
    leaves = leaf_hashes(13)
    rewritten = [*leaves[:4], merkle.leaf_hash(b"another"), *leaves[5:]]
    old, new = (7, naive_root(leaves[:7])), (13, naive_root(rewritten))
    assert not merkle.is_consistent(old, new, consistency(7, rewritten))
    assert not merkle.is_consistent(old, new, consistency(7, leaves))


@pytest.mark.parametrize("index", [-1, 4, 5])
def test_a_leaf_outside_the_tree_has_no_proof(index: int) -> None:
    with pytest.raises(ValueError, match="not in a tree of 4"):
        merkle.inclusion_spans(index, 4)


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3)])
def test_a_tree_never_begins_with_a_larger_one(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="cannot begin"):
        merkle.consistency_spans(old, new)


def test_a_frontier_with_a_peak_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="does not have 1 peaks"):
        Frontier(3, (merkle.EMPTY_ROOT,))


def test_a_span_is_cut_into_perfect_subtrees() -> None:
    assert list(merkle.span_places(Span(8, 13))) == [Place(2, 2), Place(0, 12)]
    assert Place(2, 2).last_leaf == 11


@st.composite
def damage(draw: st.DrawFn, proof: Sequence[bytes]) -> list[bytes]:
    """A proof with one hash flipped, missing or too many."""
    damaged = list(proof)
    how = draw(st.sampled_from(["flip", "drop", "add"] if proof else ["add"]))
    at = draw(st.integers(0, len(damaged) - 1)) if proof else 0
    if how == "add":
        damaged.insert(at, merkle.leaf_hash(b"too many"))
    elif how == "drop":
        del damaged[at]
    else:
        damaged[at] = bytes([damaged[at][0] ^ 1]) + damaged[at][1:]
    return damaged
