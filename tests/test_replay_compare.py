"""Two runs side by side, by what their steps say."""

from __future__ import annotations

import pytest
from strategies import opened

from agentmem.replay import compare, replay

WALK = ["go left", "a wall", "go right"] * 100


@pytest.mark.parametrize(
    ("left", "right", "differ"),
    [
        (["north", *WALK], ["south", *WALK], 1),
        (WALK, ["extra", *WALK], 1),
        (["north", *WALK, "east"], ["south", *WALK, "west"], 2),
        (["north", *WALK, "door", *WALK, "east"], ["south", *WALK, *WALK, "west"], 3),
        (WALK, WALK[:-2], 2),
        (WALK, [], 300),
        ([], [], 0),
    ],
    ids=range(7),
)
def test_long_runs_that_say_the_same_again_and_again_are_paired_by_it(
    left: list[str], right: list[str], differ: int
) -> None:
    with opened() as memory:
        for name, said in (("left", left), ("right", right)):
            memory.episode(id=name).log_many(said)
        both = compare(replay(memory, "left"), replay(memory, "right"))
        assert [pair.left for pair in both.pairs if pair.left is not None] == list(range(len(left)))
        assert [pair.right for pair in both.pairs if pair.right is not None] == list(range(len(right)))
        assert all(left[pair.left] == right[pair.right] for pair in both.pairs if pair.same)  # type: ignore[index]
        assert sum(not pair.same for pair in both.pairs) == differ
