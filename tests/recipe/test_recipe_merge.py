from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.recipe.merge import deep_merge, without_nulls

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.lists(st.none())
)
trees: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), leaves, max_size=4),
    lambda children: st.dictionaries(
        st.sampled_from("abcd"), st.one_of(leaves, children), max_size=4
    ),
    max_leaves=12,
)


def has_null(tree: object) -> bool:
    return tree is None or (isinstance(tree, dict) and any(map(has_null, tree.values())))


def test_maps_are_merged_and_lists_are_replaced() -> None:
    base = {"engine": {"args": {"a": 1, "b": 2}}, "names": [1, 2]}
    over = {"engine": {"args": {"b": 3, "c": 4}}, "names": [9]}
    assert deep_merge(base, over) == {
        "engine": {"args": {"a": 1, "b": 3, "c": 4}},
        "names": [9],
    }


def test_null_deletes_what_was_inherited_and_only_that() -> None:
    base = {"claude": {"profile": "lean"}, "engine": {"args": {"enforce-eager": True, "seed": 1}}}
    over = {"claude": None, "engine": {"args": {"enforce-eager": None}}}
    assert deep_merge(base, over) == {"engine": {"args": {"seed": 1}}}


def test_a_map_replaces_a_plain_value_and_the_other_way_round() -> None:
    assert deep_merge({"a": 1}, {"a": {"b": 2}}) == {"a": {"b": 2}}
    assert deep_merge({"a": {"b": 2}}, {"a": 1}) == {"a": 1}


def test_the_base_decides_the_order_of_keys() -> None:
    assert list(deep_merge({"a": 1, "b": 2}, {"c": 0, "a": 3})) == ["a", "b", "c"]


@given(trees, trees)
def test_merging_never_changes_its_inputs(base: dict[str, Any], over: dict[str, Any]) -> None:
    before = repr((base, over))
    deep_merge(base, over)
    assert repr((base, over)) == before


@given(trees, trees)
def test_the_last_one_wins_wherever_it_says_anything(
    base: dict[str, Any], over: dict[str, Any]
) -> None:
    merged = deep_merge(base, over)
    assert deep_merge(merged, over) == merged
    for key, value in over.items():
        assert (key in merged) == (value is not None)


@given(trees)
def test_no_null_is_left(tree: dict[str, Any]) -> None:
    assert not has_null(without_nulls(tree))
    assert without_nulls(without_nulls(tree)) == without_nulls(tree)


def test_a_source_of_another_kind_replaces_the_one_before() -> None:
    base = {
        "model": {"kind": "dense", "source": {"kind": "pypi_gguf", "package": "p", "file": "f"}}
    }
    over = {"model": {"kind": "moe", "source": {"kind": "local", "path": "/m"}}}
    merged = deep_merge(base, over)["model"]
    assert merged == {"kind": "moe", "source": {"kind": "local", "path": "/m"}}
    same = {"model": {"source": {"kind": "pypi_gguf", "file": "g"}}}
    assert deep_merge(base, same)["model"]["source"] == {
        "kind": "pypi_gguf",
        "package": "p",
        "file": "g",
    }
