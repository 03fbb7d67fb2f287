"""The index of a namespace, in parts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agentmem import Memory
from agentmem.errors import NotFoundError
from agentmem.index import step_id, step_position, step_positions
from agentmem.index.coded import Coded
from agentmem.index.crystals import Chained, Loaded
from agentmem.memory.tail import Tail
from agentmem.testing.records import crystal
from agentmem.types import Codes, Crystal, Namespace, Outlines, Span


def loaded(store: list[Crystal], known: int) -> Loaded:
    ids = {one.id: number for number, one in enumerate(store[:known])}
    crystals = Loaded(lambda after: [(n, one) for n, one in enumerate(store, 1) if n > after], ids)
    crystals.grow(known)
    return crystals


def made(n: int) -> list[Crystal]:
    return [crystal(f"u{number}", [Span(number + 1, 0, 1)], "a") for number in range(n)]


def test_crystals_are_loaded_when_one_is_asked_for_and_go_on_from_there() -> None:
    store = made(6)
    crystals = loaded(store, 4)
    assert len(crystals) == 4
    assert crystals[2] is store[2]
    assert list(crystals) == store[:4]
    store += made(8)[6:]
    crystals._ids.update({one.id: number for number, one in enumerate(store)})
    crystals.grow(8)
    assert list(crystals) == store
    assert crystals[-1] is store[7]


def test_crystals_that_were_made_again_meanwhile_are_not_taken_for_the_old_ones() -> None:
    store = made(4)
    crystals = loaded(store, 4)
    store[:] = [one.model_copy(update={"id": f"v{one.id}"}) for one in store]
    with pytest.raises(NotFoundError, match="ask again"):
        crystals[0]
    store.clear()
    with pytest.raises(NotFoundError, match="ask again"):
        crystals[0]


def test_several_namespaces_crystals_are_one_sequence() -> None:
    parts = [made(3), [], made(2)]
    chained = Chained(parts)
    assert len(chained) == 5
    assert [chained[n] for n in range(5)] == [*parts[0], *parts[2]] == list(chained)
    assert chained[1:4] == [*parts[0][1:], parts[2][0]]


def test_many_ids_are_read_as_one_by_one() -> None:
    good = [step_id(n) for n in (0, 7, 123_456, 99_999_999_999)]
    assert step_positions(good).tolist() == [0, 7, 123_456, 99_999_999_999]
    for other in ("s1", "u00000000001", "s0000000000x", "s0000000000１", ""):
        ids = [*good, other]
        assert step_positions(ids).tolist() == [step_position(one) for one in ids]
    assert step_positions([]).tolist() == []


def codes(unit: str, spans: Sequence[tuple[int, int]], mark: int) -> Codes:
    first, last = np.array(spans, np.int64).reshape(-1, 2).T
    return Codes(unit, first, last, np.full((len(spans), 96), mark, np.uint8))


UNITS = {"u0": 0, "u1": 1, "u2": 2}
BORN = np.array([5, 6, 9])
STEPS = np.array([[0, 0, 1, 2, 2, 2], [1, 3, 2, 4, 6, 8]])


def pairs(coded: Coded) -> list[tuple[int, int]]:
    dense = coded.dense(BORN, STEPS)
    return [(int(dense.rows[k, 0]), p) for k, p in zip(dense.owner.tolist(), dense.position.tolist(), strict=True)]


def test_a_code_stands_for_the_steps_of_its_unit_that_it_spans() -> None:
    coded = Coded()
    coded.add([codes("u0", [(1, 1), (3, 3)], 1), codes("u1", [(2, 2)], 2), codes("u2", [(4, 6), (8, 8)], 3)], UNITS)
    assert pairs(coded) == [(1, 1), (1, 3), (2, 2), (3, 4), (3, 6), (3, 8)]
    assert coded.dense(BORN, STEPS).born.tolist() == [5, 5, 6, 9, 9]


def test_a_code_also_stands_for_units_without_one_that_were_sealed_before() -> None:
    coded = Coded()
    coded.add([codes("u1", [(1, 3)], 2)], UNITS)
    assert pairs(coded) == [(2, 1), (2, 2), (2, 3)]


def test_codes_may_come_late_early_or_again() -> None:
    coded = Coded()
    coded.add([codes("u2", [(4, 8)], 3)], {"u0": 0})
    assert pairs(coded) == []
    coded.add([codes("u1", [(2, 2)], 2)], UNITS)
    assert pairs(coded) == [(2, 2), (3, 4), (3, 6), (3, 8)]
    coded.add([codes("u0", [(1, 3)], 1)], UNITS)
    coded.add([codes("u1", [(2, 2)], 7)], UNITS)
    assert pairs(coded) == [(1, 1), (1, 3), (7, 2), (3, 4), (3, 6), (3, 8)]
    assert coded.units == {0, 1, 2}


def test_the_tail_encodes_each_step_once_and_keeps_the_newest() -> None:
    asked: list[int] = []

    def encode(positions: Sequence[int]) -> np.ndarray:
        asked.extend(positions)
        return np.array([[position] * 96 for position in positions], np.uint8)

    tail = Tail(3)
    assert tail.codes(np.array([2, 5]), encode)[:, 0].tolist() == [2, 5]
    assert tail.codes(np.array([2, 4, 5, 7]), encode)[:, 0].tolist() == [2, 4, 5, 7]
    assert asked == [2, 5, 4, 7]
    assert tail.codes(np.array([2, 4]), encode)[:, 0].tolist() == [2, 4]
    assert asked == [2, 5, 4, 7, 2]


def test_what_another_process_publishes_while_an_index_is_read_is_known(tmp_path: Path) -> None:
    file = tmp_path / "agent.mem"
    with Memory.open(file, encoder=None) as one, Memory.open(file, encoder=None) as other:
        one.episode().log_many([f"The lamp number {n} is on." for n in range(30)])
        one.recall("lamp")
        read = one._core.store.outlines
        published: list[int] = []

        def reading(namespace: Namespace, after: int = 0) -> Outlines:
            found = read(namespace, after)
            if not published:
                published.append(1)
                with other.episode() as episode:
                    for n in range(400):
                        color, city = ("red", "blue", "green")[n // 3 % 3], ("Paris", "Rome", "Oslo")[n // 7 % 3]
                        said = f"My favourite color is {color}. I live in {city}. "
                        episode.say("Mary", said + "filler words about the weather " * 6)
                assert other._core.store.retirements(())
            return found

        one._core.store.outlines = reading  # type: ignore[method-assign]
        assert "lamp" in one.recall("lamp").text
        assert one.recall("favourite color", layers=["atom"]).hits
