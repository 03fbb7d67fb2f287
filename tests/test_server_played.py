"""A memory's graph, an episode's frames, and other recalls at a step, over HTTP: bounded, and of one namespace."""

from collections.abc import Iterator
from typing import Any

import httpx
import networkx
import pytest
from rest_server import FAST, Served, logged, problem, serving
from seen import harbour

from agentmem import Memory
from agentmem.graph import memory_graph
from agentmem.replay import replay


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("server") / "a.mem"
    harbour(path, ("acme", "ann")).close()
    with serving(path, *FAST) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Served) -> httpx.Client:
    return server.client("acme/ann")


@pytest.fixture(scope="module")
def memory(server: Served) -> Iterator[Memory]:
    """The same, opened beside the server."""
    with Memory.open(server.path, read_only=True, encoder=None, namespace=("acme", "ann")) as memory:
        yield memory


def graph(client: httpx.Client, **asked: Any) -> dict[str, Any]:
    answer = client.post("/v1/graph", json=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_graph_is_that_of_the_memory_as_of_a_step(client: httpx.Client, memory: Memory) -> None:
    step = list(memory.steps("day 2"))[4].id
    for asked in ({}, {"as_of": step}, {"layers": ["step", "atom"], "retired": True}, {"around": "Ann", "hops": 1}):
        found = graph(client, **asked)
        made, whole = networkx.node_link_graph(found, edges="edges"), memory_graph(memory, **asked)
        assert dict(made.nodes.items()) == dict(whole.nodes.items())
        assert {(*edge,): made.edges[edge] for edge in made.edges} == {
            (*edge,): whole.edges[edge] for edge in whole.edges
        }
        assert found["graph"]["as_of"] == whole.graph["as_of"]


def test_a_graph_is_bounded_and_tells_what_it_leaves_out(client: httpx.Client) -> None:
    whole, few = graph(client), graph(client, limit=10)
    assert len(few["nodes"]) == 10
    assert few["graph"]["left_out"] == len(whole["nodes"]) - 10
    assert few["graph"]["edges_left_out"] == 0
    assert "limit: 5001 is over 5,000" in problem(client.post("/v1/graph", json={"limit": 5001}), 422)["detail"]


def test_edges_beyond_the_limit_are_left_out_the_oldest_first(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    from agentmem.server import played
    from agentmem.server.models import Drawn
    from agentmem.server.place import Place
    from agentmem.server.writers import Writers

    whole = played.graph(Place(memory, Writers()), Drawn())
    monkeypatch.setattr(played, "MOST_EDGES", 20)
    few = played.graph(Place(memory, Writers()), Drawn())
    assert few.edges == whole.edges[-20:]
    assert few.graph.edges_left_out == len(whole.edges) - 20


def pages(client: httpx.Client, limit: int) -> Iterator[dict[str, Any]]:
    after: dict[str, str] = {}
    while True:
        answer = client.get("/v1/episodes/day%202/frames", params={"limit": limit, **after})
        assert answer.status_code == 200, answer.text
        yield (page := answer.json())
        if page["next"] is None:
            return
        after = {"after": page["next"]}


def test_frames_come_in_pages_and_are_those_of_replay(client: httpx.Client, memory: Memory) -> None:
    played, found = replay(memory, "day 2"), list(pages(client, 5))
    frames = [frame for page in found for frame in page["frames"]]
    assert [len(page["frames"]) for page in found] == [5, 5, 3]
    assert frames == [frame.data() | {"erased": None} for frame in played]
    assert [page["tail"] for page in found] == [None, None, played.tail.data()]
    assert frames[-1]["recalls"]["first"][0]["same"] is True


def test_a_step_is_asked_for_another_cue_or_budget_and_nothing_is_written(client: httpx.Client, memory: Memory) -> None:
    before, played = memory.head(), replay(memory, "day 2")
    last, first = played.step(12).id, played.step(0).id
    made = client.post(f"/v1/steps/{last}/recall", json={"budget": 60}).json()
    assert made["context"]["text"] == played.recall(12, budget=60).context.text
    assert (made["same"], made["position"], made["budget"]) == (None, None, 60)
    other = client.post(f"/v1/steps/{first}/recall", json={"cue": "Where does Ann live?"}).json()
    assert "Oslo" in other["context"]["text"]
    assert "Lima" not in other["context"]["text"]
    assert "give a cue" in problem(client.post(f"/v1/steps/{first}/recall", json={}), 409)["detail"]
    assert memory.head() == before


def test_what_another_namespace_holds_is_not_there(server: Served, memory: Memory) -> None:
    step = next(iter(memory.steps("day 1"))).id
    for near in ("acme", "acme/bob", ""):
        other = server.client(near)
        assert graph(other)["nodes"] == []
        problem(other.post("/v1/graph", json={"as_of": step}), 409)
        problem(other.post("/v1/graph", json={"around": step}), 409)
        problem(other.get("/v1/episodes/day%201/frames"), 404)
        problem(other.post(f"/v1/steps/{step}/recall", json={"cue": "Ann"}), 404)


def test_only_the_root_namespace_is_told_of_erased_records_which_may_be_others(server: Served) -> None:
    root, carl = server.client(""), server.client("acme/carl")
    for client in (root, carl):
        logged(client, "e", "one")
    logged(root, "gone", "two")
    for client in (root, carl):
        logged(client, "e", "three")
    assert root.post("/v1/erase", json={"episode": "gone", "dry_run": False}).json()["steps"] == 1
    told = {
        name: [one["erased"] for one in client.get("/v1/episodes/e/frames").json()["frames"]]
        for name, client in (("root", root), ("carl", carl))
    }
    assert told["carl"] == [None, None]
    assert sum(told["root"]) > 0
