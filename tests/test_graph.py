"""A memory as a graph: what is in it as of when, what leads where, and which part of it is shown."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx
import pytest
from graphs import along, content, edges, of_kind, remembered
from hypothesis import assume, example, given
from hypothesis import strategies as st
from lawful import few
from strategies import all_crystals, logs, long_log, opened

from agentmem import InvalidInputError, Memory, NotFoundError
from agentmem.graph import communities, memory_graph, most_recalled, pagerank
from agentmem.graph.names import KINDS
from agentmem.index import step_id
from agentmem.ingest import ingest

CRYSTALS = ("unit", "cluster", "atom")
LONG = long_log()


@pytest.fixture(scope="module")
def long() -> Any:
    with remembered(LONG) as memory:
        yield memory


def _is_plain(graph: networkx.DiGraph) -> None:
    """Every edge has both ends, and every attribute is one that all formats hold."""
    assert all("kind" in node for node in graph.nodes.values())
    values = [value for node in graph.nodes.values() for value in node.values()]
    values += [value for *_, edge in graph.edges(data=True) for value in edge.values()]
    assert {type(value) for value in (*values, *graph.graph.values())} <= {str, int, float, bool}
    assert all(edge["born"] >= graph.nodes[u]["born"] for u, _, edge in graph.edges(data=True))


def _has_once(graph: networkx.DiGraph, memory: Memory) -> None:
    """What is in a memory, and nothing else."""
    steps = of_kind(graph, "step")
    assert set(steps) == {step.id for step in memory.steps()}
    assert set(of_kind(graph, *CRYSTALS)) == {crystal.id for crystal in memory.crystals()}
    assert {node["label"] for node in of_kind(graph, "episode").values()} == {e.id for e in memory.episodes()}
    said_of = [(step.episode, step.tokens, step.kind) for step in memory.steps()]
    assert [(node["episode"], node["tokens"], node["step_kind"]) for node in steps.values()] == said_of
    assert edges(graph, "next") == {
        (step_id(a.position), step_id(b.position))
        for episode in memory.episodes()
        if (mine := list(memory.steps(episode.id)))
        for a, b in pairwise(mine)
    }


def _is_of(memory: Memory) -> None:
    """The graph has what the memory has, once, and leads to where it came from and never back."""
    graph, whole = memory_graph(memory), memory_graph(memory, retired=True)
    for one in (graph, whole):
        _is_plain(one)
    _has_once(graph, memory)
    made = of_kind(whole, *CRYSTALS)
    assert set(made) == {crystal.id for crystal in all_crystals(memory)}
    down, steps = along(whole, "sources"), set(of_kind(whole, "step"))
    for name in made:
        assert networkx.descendants(down, name) & steps == {step.id for step in memory.expand(name)}
    for kinds in (("next", "recalled_by", "shown_to"), ("sources", "sealed_with", "supersedes"), ("about",)):
        assert networkx.is_directed_acyclic_graph(along(whole, *kinds))


def _was_so(full: Memory, said: Any) -> None:
    """As of the last step of a part of its log, a memory's graph is that of one in which that part was logged alone."""
    with remembered(said) as young:
        last = list(young.steps())[-1]
        for retired in (False, True):
            now = memory_graph(young, retired=retired)
            for as_of in (last.id, last.logged_at):
                then = memory_graph(full, as_of, retired=retired)
                assert content(then) == content(now)
                assert then.graph == now.graph


def _is_of_the_whole(memory: Memory, at: float) -> None:
    """As of then, a graph has what of the whole one was born and not retired by then, where it stands now."""
    as_of = max(1, int(at * memory.head().position))
    kinds = [kind for kind in KINDS if kind != "entity"]  # which go with the last atom that names them
    whole, then = (memory_graph(memory, when, retired=when is None, layers=kinds) for when in (None, step_id(as_of)))
    held = {name for name, node in whole.nodes.items() if node["born"] <= as_of < node.get("retired", as_of + 1)}
    assert set(then) == held
    assert set(then.edges) == set(whole.subgraph(held).edges)
    now = memory_graph(memory, retired=True).nodes
    for name, node in memory_graph(memory, step_id(as_of)).nodes.items():
        if name in now:
            assert (node["x"], node["y"]) == (now[name]["x"], now[name]["y"])


class TestLaws:
    @few(3)
    @given(logs(6))
    def test_what_there_is_in_the_memory_is_in_its_graph_once_and_leads_to_where_it_came_from(self, said: Any) -> None:
        with remembered(said) as memory:
            _is_of(memory)

    def test_so_it_does_in_a_long_log(self, long: Memory) -> None:
        _is_of(long)

    @few(3)
    @given(logs(5), st.integers(1, 150))
    def test_as_of_a_step_is_the_graph_of_a_memory_that_never_saw_the_later_ones(self, said: Any, cut: int) -> None:
        cut = min(cut, len(said) - 1)
        assume(said[cut - 1].text is not None)
        with remembered(said) as full:
            _was_so(full, said[:cut])

    @pytest.mark.parametrize("cut", [150, 240])
    def test_so_it_is_in_a_long_log(self, long: Memory, cut: int) -> None:
        _was_so(long, LONG[:cut])

    @few(3)
    @given(logs(5), st.floats(0, 1))
    def test_as_of_then_is_what_of_the_whole_graph_was_born_and_not_retired_by_then_where_it_is_now(
        self, said: Any, at: float
    ) -> None:
        with remembered(said) as memory:
            _is_of_the_whole(memory, at)

    def test_so_is_a_long_one(self, long: Memory) -> None:
        _is_of_the_whole(long, 0.6)

    @few(2)
    @example(LONG, 3, 5)
    @given(logs(3), st.integers(0, 30), st.integers(1, 20))
    def test_a_forgotten_step_is_not_in_it_nor_a_crystal_with_its_words(self, said: Any, first: int, n: int) -> None:
        with remembered(said) as memory:
            ids = [step.id for step in memory.steps()][first : first + n]
            assume(ids)
            before = memory_graph(memory)
            holding = {c.id for c in all_crystals(memory) if {step_id(span.position) for span in c.spans} & set(ids)}
            memory.forget(steps=ids)
            after = memory_graph(memory, retired=True)
            assert not set(after) & {*ids, *holding}
            down, steps = along(after, "sources"), set(of_kind(after, "step"))
            for name in of_kind(after, *CRYSTALS):
                left = {step.id for step in memory.expand(name)} - set(ids)
                assert networkx.descendants(down, name) & steps == left
            memory.forget(steps=ids, undo=True)
            again = memory_graph(memory)
            assert content(again) == content(before)


class TestErased:
    def test_what_is_erased_is_not_in_it(self) -> None:
        with remembered(LONG[:60]) as memory:
            episode = memory.episode(id="secret", goal="guard the vault")
            step = episode.log("The vault opens with 7419, said Ann.", subjects=["Ann"])
            episode.recall("vault")
            memory.crystallize()
            assert {step.id, "episode:secret", "entity:ann"} <= set(memory_graph(memory))
            memory.erase(episode="secret")
            graph = memory_graph(memory, retired=True)
            assert not {step.id, "episode:secret", "entity:ann"} & set(graph)
            assert "vault" not in str(content(graph))


class TestWhatIsInIt:
    def test_recalls_stand_between_what_they_showed_and_the_step_that_came_after(self) -> None:
        with opened() as memory:
            episode = memory.episode(id="door", goal="open the red door", agent="ada")
            seen = episode.log("The red door is locked.")
            episode.recall("red door", budget=50)
            done = episode.act("unlock the red door")
            graph = memory_graph(memory)
            (recall,) = of_kind(graph, "recall")
            assert edges(graph, "recalled_by") == {(seen.id, recall)}
            assert edges(graph, "shown_to") == {(recall, done.id)}
            assert graph.nodes[recall]["text"] == "red door"
            assert (graph.nodes[seen.id]["recalled"], graph.nodes[done.id]["recalled"]) == (1, 0)
            assert (
                graph.nodes["episode:door"] | {"text": "open the red door", "agent": "ada", "steps": 2}
                == (graph.nodes["episode:door"])
            )

    def test_an_imported_recall_that_says_little_is_in_it_all_the_same(self, tmp_path: Path) -> None:
        lines = [
            {"id": "1", "episode": "e", "text": "The red door is locked."},
            {"type": "recall", "episode": "e", "text": "door", "steps": ["1"]},
            {"type": "recall", "episode": "e", "text": "door?", "steps": ["1"], "hits": ["1"], "budget": "many"},
        ]
        (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
        with opened() as memory:
            ingest(memory, tmp_path / "log.jsonl")
            graph = memory_graph(memory)
            told = [(node["hits"], "tokens" in node, "budget" in node) for node in of_kind(graph, "recall").values()]
            assert told == [(0, False, False), (1, False, False)]
            memory.erase(steps=[step.id for step in memory.steps()])
            assert not of_kind(memory_graph(memory), "recall")

    def test_a_newer_atom_supersedes_the_one_that_it_retired(self, long: Memory) -> None:
        graph = memory_graph(long, retired=True)
        found = edges(graph, "supersedes")
        assert found
        for newer, older in found:
            assert graph.nodes[newer]["about"] == graph.nodes[older]["about"]
            assert graph.nodes[older]["retired"] == graph.nodes[newer]["born"]
        assert not any("retired" in node for node in memory_graph(long).nodes.values())

    def test_subjects_and_keys_are_entities_whatever_their_case(self, long: Memory) -> None:
        with opened() as memory:
            memory.episode(id="chat").log("I moved.", subjects=["Ann Lee", "ann  lee"])
            graph = memory_graph(memory)
            assert of_kind(graph, "entity")["entity:ann lee"]["text"] == "Ann Lee"
            assert len(of_kind(graph, "entity")) == 1
        graph = memory_graph(long)
        for name, node in of_kind(graph, "atom").items():
            about = {graph.nodes[to]["text"] for _, to, kind in graph.out_edges(name, data="kind") if kind == "about"}
            assert node.get("about") in about or "about" not in node
        assert ("entity:user: temperature", "entity:user") in edges(graph, "about")

    def test_an_episode_that_goes_on_after_its_end_had_ended_as_of_then(self) -> None:
        with opened() as memory:
            with memory.episode(id="door") as episode:
                step = episode.log("The red door is locked.")
            end = memory.head().position
            memory.episode(id="door").log("It is open.")
            assert memory_graph(memory, step_id(end)).nodes["episode:door"]["ended"] == end
            for as_of in (None, step.id):
                assert "ended" not in memory_graph(memory, as_of).nodes["episode:door"]

    def test_a_namespace_has_a_graph_of_its_own(self) -> None:
        with opened() as memory:
            memory.episode(id="a").log("Of nobody.")
            alice = memory.scoped("acme", "alice")
            alice.episode(id="b").log("Of Alice.")
            assert set(of_kind(memory_graph(alice), "episode")) == {"episode:b"}
            assert memory_graph(alice).graph["namespace"] == "acme/alice"

    def test_an_empty_memory_has_an_empty_graph(self) -> None:
        with opened() as memory:
            graph = memory_graph(memory)
            assert (len(graph), graph.graph) == (0, {"as_of": 0, "left_out": 0})
            assert (most_recalled(graph), pagerank(graph), communities(graph)) == ([], {}, [])


class TestWhichPart:
    def test_layers_choose_kinds_and_sources_lead_past_those_that_are_not_shown(self, long: Memory) -> None:
        graph = memory_graph(long, layers=["step", "cluster"])
        assert {node["kind"] for node in graph.nodes.values()} == {"step", "cluster"}
        for name in of_kind(graph, "cluster"):
            assert set(graph.successors(name)) == {step.id for step in long.expand(name)}
        assert {node["kind"] for node in memory_graph(long, layers="atom").nodes.values()} == {"atom"}

    def test_an_episode_has_its_steps_and_what_was_made_of_them(self, long: Memory) -> None:
        graph = memory_graph(long, episode="alpha")
        assert set(of_kind(graph, "step")) == {step.id for step in long.steps("alpha")}
        assert set(of_kind(graph, "episode")) == {"episode:alpha"}
        for name in of_kind(graph, *CRYSTALS):
            assert "alpha" in {step.episode for step in long.expand(name)}
        assert content(memory_graph(long, agent="agent a")) == content(graph)

    def test_the_newest_steps_come_with_what_was_made_of_them(self, long: Memory) -> None:
        graph = memory_graph(long, newest=20)
        assert list(of_kind(graph, "step")) == [step.id for step in long.steps()][-20:]
        assert of_kind(graph, "unit")
        assert all(set(of_kind(graph, "step")) & {s.id for s in long.expand(name)} for name in of_kind(graph, "unit"))
        assert len(memory_graph(long, newest=0)) == 0

    @few(8)
    @given(st.data())
    def test_around_a_node_is_what_is_that_many_edges_away(self, long: Memory, data: st.DataObject) -> None:
        whole = memory_graph(long)
        middle = data.draw(st.sampled_from(list(whole)))
        hops = data.draw(st.integers(1, 3))
        graph = memory_graph(long, around=middle, hops=hops)
        assert set(graph) == reached(whole, middle, hops)
        assert set(graph.edges) == set(whole.subgraph(graph).edges)
        assert all(graph.nodes[name] == whole.nodes[name] for name in graph if graph.nodes[name]["kind"] != "entity")

    def test_around_takes_the_name_of_an_episode_or_an_entity(self, long: Memory) -> None:
        assert content(memory_graph(long, around="the red door")) == content(
            memory_graph(long, around="episode:the red door")
        )
        assert "entity:user" in memory_graph(long, around="User", hops=1)
        with opened() as memory:
            memory.episode(id="chat").log("I moved.", subjects=["a\\b", "entity:q", "q\x00", "Ann"])
            whole = memory_graph(memory)
            for name in whole:
                assert name in memory_graph(memory, around=name)
            for name, id in (("a\\b", "entity:a\\\\b"), ("entity:q", "entity:entity:q"), ("entity:Ann", "entity:ann")):
                assert id in memory_graph(memory, around=name)

    @few(5)
    @example(2, "entity:user")
    @example(30, "episode:alpha")
    @given(st.integers(1, 400), st.sampled_from([None, "episode:alpha", "entity:user"]))
    def test_a_limit_is_kept_and_what_is_left_out_is_told(self, long: Memory, limit: int, around: str | None) -> None:
        whole = memory_graph(long, around=around, hops=3)
        graph = memory_graph(long, around=around, hops=3, limit=limit)
        assert len(graph) == min(limit, len(whole))
        assert set(graph) <= set(whole)
        assert (graph.graph["left_out"] > 0) == (len(whole) > limit)
        if around is not None:
            assert around in graph

    def test_a_neighbourhood_reads_no_other_steps(self, long: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
        middle = [step.id for step in long.steps()][120]
        memory_graph(long)
        recalls = {node["position"] for node in of_kind(memory_graph(long), "recall").values()}
        read, store = set[int](), long._core.store
        reading = store.read
        monkeypatch.setattr(store, "read", lambda positions: read.update(positions) or reading(positions))
        monkeypatch.setattr(store, "scan", None)
        graph = memory_graph(long, around=middle, hops=2)
        assert read - recalls == {node["position"] for node in of_kind(graph, "step").values()}


def reached(graph: networkx.DiGraph, middle: str, hops: int) -> set[str]:
    """By the book: what is at most so many edges away, where no path goes through an episode or an entity."""
    both = graph.to_undirected()
    both.remove_nodes_from([name for name in of_kind(graph, "episode", "entity") if name != middle])
    inner = networkx.single_source_shortest_path_length(both, middle, hops)
    edge = {name for name, far in inner.items() if far < hops}
    return set(inner) | {to for name in edge for to in networkx.all_neighbors(graph, name)}


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"layers": ["steps"]}, "layers has 'steps'; use some of step, unit"),
            ({"layers": 7}, "layers 7"),
            ({"newest": -1}, "newest -1 must be a whole number, 0 or more"),
            ({"newest": True}, "newest True"),
            ({"hops": 0}, "hops 0 must be a whole number, 1 or more"),
            ({"hops": None}, "hops None"),
            ({"limit": 0}, "limit 0"),
            ({"limit": 2.5}, "limit 2.5"),
            ({"around": 12}, "around 12 is no id"),
            ({"retired": "yes"}, "retired 'yes' must be True or False"),
            ({"as_of": "yesterday"}, "as_of 'yesterday'"),
        ],
    )
    def test_what_is_wrong_is_named_with_what_to_give(self, long: Memory, options: Any, says: str) -> None:
        with pytest.raises(InvalidInputError, match=says):
            memory_graph(long, **options)

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"around": "nobody"}, "around 'nobody' is nothing in this graph; give the id of"),
            ({"around": "s99999999999"}, "nothing in this graph"),
            ({"around": "user", "layers": ["step"]}, "nothing in this graph"),
            ({"episode": "alpa"}, "did you mean 'alpha'"),
            ({"agent": "eve"}, "no agent 'eve'"),
            ({"as_of": "s99999999999"}, "is no step of this memory"),
        ],
    )
    def test_what_is_not_there_is_said_to_be_missing(self, long: Memory, options: Any, says: str) -> None:
        with pytest.raises(NotFoundError, match=says):
            memory_graph(long, **options)


class TestWhatStandsOut:
    def test_most_recalled_counts_the_recalls_that_showed_it(self, long: Memory) -> None:
        graph = memory_graph(long, retired=True)
        shown = {name: len([1 for *_, k in graph.out_edges(name, data="kind") if k == "recalled_by"]) for name in graph}
        found = most_recalled(graph, 5)
        assert [count for _, count in found] == sorted(filter(None, shown.values()), reverse=True)[:5]
        assert all(shown[name] == count for name, count in found)

    def test_pagerank_adds_up_and_what_more_leans_on_ranks_higher(self, long: Memory) -> None:
        ranks = pagerank(memory_graph(long))
        assert sum(ranks.values()) == pytest.approx(1)
        graph = networkx.DiGraph()
        graph.add_edges_from([("a", "c"), ("b", "c"), ("c", "d")], kind="sources")
        graph.add_edge("d", "e", kind="next")
        found = pagerank(graph)
        assert found["d"] > found["c"] > found["a"] == pytest.approx(found["b"]) == pytest.approx(found["e"])
        one = 1 / (
            1 + 1 + 1 + (1 + 2 * 0.85) + (1 + 0.85 * (1 + 2 * 0.85))
        )  # each gets the same from what leans on none
        assert found["a"] == pytest.approx(one)
        assert found["d"] == pytest.approx(one * (1 + 0.85 * (1 + 2 * 0.85)))

    def test_communities_are_a_partition_that_the_seed_decides(self, long: Memory) -> None:
        graph = memory_graph(long)
        found = communities(graph, seed=3)
        assert sorted(name for group in found for name in group) == sorted(graph)
        assert [len(group) for group in found] == sorted(map(len, found), reverse=True)
        assert communities(graph, seed=3) == found
