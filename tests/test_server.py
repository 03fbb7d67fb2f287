"""Every route of the server, asked over loopback of a process that serves a file."""

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from rest_server import FAST, Served, logged, problem, serving

from agentmem import Memory
from agentmem.index import step_position
from agentmem.server.openapi import document


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("server") / "a.mem", *FAST) as server:
        yield server


@pytest.fixture
def client(server: Served, request: pytest.FixtureRequest) -> httpx.Client:
    """A client with a namespace of its own."""
    return server.client(str(request.node.name))


def test_health_needs_no_token_and_tells_nothing(server: Served) -> None:
    answer = httpx.get(f"{server.url}/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "server" not in answer.headers


def test_a_step_that_was_logged_is_read_with_every_field(client: httpx.Client) -> None:
    (first,) = logged(client, "run-1", "The door is locked.", kind="observation")
    fields = {
        "kind": "message", "actor": "ann", "at": "2026-01-31T14:05:00", "data": {"n": [1, None, 2.5]}, "reward": 0.5,
        "terminated": True, "key": "k1", "reply_to": first, "subjects": ["ann"], "trust": "user",
    }  # fmt: skip
    (second,) = logged(client, "run-1", "I have the key.", **fields)
    step = client.get(f"/v1/steps/{second}").json()
    assert {name: step[name] for name in fields} == fields
    assert (step["text"], step["episode"], step["id"]) == ("I have the key.", "run-1", second)


def test_a_retry_with_the_same_keys_adds_nothing_and_other_content_is_refused(client: httpx.Client) -> None:
    steps = {"steps": [{"text": "one", "key": "a"}, {"text": "two", "key": "b"}]}
    first = client.post("/v1/episodes/run/steps", json=steps).json()
    assert client.post("/v1/episodes/run/steps", json=steps).json() == first
    assert len(client.get("/v1/episodes/run/steps").json()["steps"]) == 2
    said = problem(client.post("/v1/episodes/run/steps", json={"steps": [{"text": "three", "key": "a"}]}), 409)
    assert said["error"] == "KeyConflictError"
    assert "'a'" in said["detail"]


def test_many_steps_are_logged_all_or_none(client: httpx.Client) -> None:
    bad = {"steps": [{"text": "one"}, {"text": "two", "at": "yesterday"}]}
    said = problem(client.post("/v1/episodes/run/steps", json=bad), 422)
    assert "at 'yesterday' is no ISO time" in said["detail"]
    assert client.get("/v1/episodes/run/steps").json()["steps"] == []


def test_a_message_that_is_a_picture_alone_and_a_tool_that_printed_nothing_are_logged(client: httpx.Client) -> None:
    logged(client, "run", "", kind="message", actor="ann", blobs={"a.png": base64.b64encode(b"x").decode()})
    logged(client, "run", "", kind="observation", data={"printed": 0})
    steps = client.get("/v1/episodes/run/steps").json()["steps"]
    assert [(step["kind"], step["text"]) for step in steps] == [("message", ""), ("observation", "")]


def test_a_blob_comes_back_byte_for_byte(client: httpx.Client) -> None:
    content = bytes(range(256))
    (step,) = logged(client, "run", "A picture.", blobs={"a/b.png": base64.b64encode(content).decode()})
    answer = client.get(f"/v1/steps/{step}/blobs/{quote('a/b.png', safe='')}")
    assert (answer.content, answer.headers["content-type"]) == (content, "application/octet-stream")
    assert "it has 'a/b.png'" in problem(client.get(f"/v1/steps/{step}/blobs/other"), 404)["detail"]


def test_an_episode_begins_with_a_goal_ends_and_is_resumed(client: httpx.Client) -> None:
    begun = client.post("/v1/episodes", json={"goal": "open the door", "agent": "ada"})
    episode = begun.json()
    assert (begun.status_code, episode["agent"], episode["ended"]) == (201, "ada", None)
    where = f"/v1/episodes/{episode['id']}"
    logged(client, episode["id"], "The door is locked.", "The key hangs in the kitchen.")
    ended = client.post(f"{where}/end").json()
    assert ended["crystallized"]["layers"]["unit"]["crystals"] >= 1
    assert ended["episode"]["ended"] == client.get(where).json()["ended"] > 0
    assert client.post(f"{where}/end").json()["episode"] == ended["episode"]
    refused = problem(client.post(f"{where}/steps", json={"steps": [{"text": "more"}]}), 409)
    assert "POST /v1/episodes with its id resumes it" in refused["detail"]
    assert client.post("/v1/episodes", json={"id": episode["id"]}).json()["ended"] is None
    logged(client, episode["id"], "The door is open.")
    other = problem(client.post("/v1/episodes", json={"id": episode["id"], "goal": "sleep"}), 409)
    assert "has the goal 'open the door', not 'sleep'" in other["detail"]


@pytest.mark.parametrize("id", ["a/b", "grün ?#%2F&", "e" * 1000, "\n\t\x00"])
def test_an_episode_may_be_named_by_any_text(client: httpx.Client, id: str) -> None:
    where = f"/v1/episodes/{quote(id, safe='')}"
    assert client.post(f"{where}/steps", json={"steps": [{"text": "hello"}]}).status_code == 201
    assert client.get(where).json()["id"] == id
    assert [step["episode"] for step in client.get(f"{where}/steps").json()["steps"]] == [id]


def test_episodes_are_listed_in_pages(client: httpx.Client) -> None:
    for number in range(5):
        client.post("/v1/episodes", json={"id": f"e{number}"})
    found, after = list[str](), dict[str, str]()
    while True:
        page = client.get("/v1/episodes", params={"limit": 2, **after}).json()
        found += [episode["id"] for episode in page["episodes"]]
        if page["next"] is None:
            break
        assert len(page["episodes"]) == 2
        after = {"after": page["next"]}
    assert found == [f"e{number}" for number in range(5)]
    problem(client.get("/v1/episodes", params={"after": "e9"}), 404)


def test_steps_of_an_episode_are_read_in_pages(client: httpx.Client) -> None:
    ids = logged(client, "run", *(f"step {number}" for number in range(7)))
    logged(client, "other", "not of it")
    first = client.get("/v1/episodes/run/steps", params={"limit": 4}).json()
    rest = client.get("/v1/episodes/run/steps", params={"limit": 4, "after": first["next"]}).json()
    assert [step["id"] for step in first["steps"] + rest["steps"]] == ids
    assert (first["next"], rest["next"]) == (ids[3], None)
    whole = client.get("/v1/episodes/run/steps", params={"limit": 7}).json()
    assert whole["next"] is None


@pytest.mark.slow
def test_a_page_of_long_steps_ends_early(client: httpx.Client) -> None:
    for _ in range(3):
        logged(client, "run", "x " * 400_000)
    page = client.get("/v1/episodes/run/steps").json()
    assert len(page["steps"]) == 2
    assert page["next"] == page["steps"][1]["id"]


def test_a_page_of_steps_with_long_data_ends_early(client: httpx.Client) -> None:
    for number in range(4):
        logged(client, "long data", str(number), data="y" * 700_000)
    page = client.get("/v1/episodes/long data/steps").json()
    assert [step["text"] for step in page["steps"]] == ["0", "1"]
    page = client.get("/v1/episodes/long data/steps", params={"after": page["next"]}).json()
    assert [step["text"] for step in page["steps"]] == ["2", "3"]


def test_recall_is_what_the_library_recalls(server: Served, client: httpx.Client) -> None:
    steps = logged(client, "run-1", "The red door is locked.", "The brass key hangs in the kitchen.")
    logged(client, "run-2", "The blue door stands open.")
    namespace = client.get("/v1/episodes/run-1").json()["namespace"]
    asked = {"cue": "which door is locked?", "budget": 60, "marks": True, "episode": "run-1"}
    answer = client.post("/v1/recall", json=asked).json()
    with Memory.open(server.path, read_only=True, namespace=namespace) as memory:
        context = memory.recall(**asked)
    assert (answer["text"], answer["tokens"]) == (context.text, context.tokens)
    assert answer["tokens"] <= 60
    assert [hit["id"] for hit in answer["hits"]] == [hit.id for hit in context.hits]
    assert f"<{steps[0]}>" in answer["text"]
    past = client.post("/v1/recall", json={"cue": "door key", "as_of": steps[0]}).json()
    assert "kitchen" not in past["text"]
    assert client.post("/v1/recall", json={"cue": "zebra", "episode": "run-2", "layers": ["atom"]}).json()["text"] == ""
    refused = problem(client.post("/v1/recall", json={"cue": "x", "episode": "run_1"}), 409)
    assert "did you mean 'run-1'" in refused["detail"]


def test_what_an_episode_recalled_is_not_learned_again(client: httpx.Client) -> None:
    text = "The brass key hangs behind the third picture in the long hall upstairs."
    logged(client, "run-1", text)
    client.post("/v1/episodes", json={"id": "run-2", "goal": "find the key"})
    context = client.post("/v1/episodes/run-2/recall", json={"cue": "where is the brass key?"}).json()
    assert text in context["text"]
    assert context["sections"]["goal"] == ["find the key"]
    said = f"I remember: {text}"
    (step,) = logged(client, "run-2", said, kind="message", actor="assistant")
    ((start, end),) = client.get(f"/v1/steps/{step}").json()["recalled"]
    assert said[start:end] == text.rstrip(".")
    problem(client.post("/v1/episodes/run-3/recall", json={"cue": "key"}), 404)


def test_what_another_process_recalled_in_the_episode_is_not_learned_again(
    server: Served, client: httpx.Client
) -> None:
    text = "The brass key hangs behind the third picture in the long hall upstairs."
    logged(client, "run-1", text)
    logged(client, "run-2", "I am looking for it.")
    namespace = client.get("/v1/episodes/run-1").json()["namespace"]
    with Memory.open(server.path, namespace=namespace) as memory:
        assert text in memory.episode(id="run-2").recall("where is the brass key?").text
    (step,) = logged(client, "run-2", f"I remember: {text}", kind="message", actor="assistant")
    assert client.get(f"/v1/steps/{step}").json()["recalled"]


def test_the_steps_of_a_crystal_are_read_in_pages(client: httpx.Client) -> None:
    ids = logged(client, "run", *(f"Room {number} has a door to room {number + 1}." for number in range(30)))
    assert client.post("/v1/crystallize").json()["layers"]["unit"]["crystals"] == 0
    client.post("/v1/episodes/run/end")
    hits = client.post("/v1/recall", json={"cue": "door to room 7", "layers": ["unit"]}).json()["hits"]
    assert hits
    unit = hits[0]["id"]
    first = client.get(f"/v1/crystals/{unit}/steps", params={"limit": 1}).json()
    rest = client.get(f"/v1/crystals/{unit}/steps", params={"after": first["next"]}).json()
    found = [step["id"] for step in first["steps"] + rest["steps"]]
    assert found == hits[0]["sources"]
    assert set(found) <= set(ids)
    problem(client.get("/v1/crystals/u1/steps"), 404)


def test_forgetting_leaves_steps_out_of_recall_until_it_is_undone(client: httpx.Client) -> None:
    (step,) = logged(client, "run", "The red door is locked.")
    ask = {"cue": "red door"}
    assert client.post("/v1/forget", json={"steps": [step]}).json() == {"steps": 1}
    assert client.post("/v1/recall", json=ask).json()["text"] == ""
    assert client.get(f"/v1/steps/{step}").status_code == 200
    client.post("/v1/forget", json={"episode": "run", "undo": True})
    assert "red door" in client.post("/v1/recall", json=ask).json()["text"]
    problem(client.post("/v1/forget", json={"derived_from": "s00000099999"}), 409)


@pytest.mark.parametrize("body", [{}, {"subject": "ann", "episode": "run"}, {"subject": None}, {"steps": []}])
def test_what_to_erase_is_said_by_exactly_one_criterion(client: httpx.Client, body: dict[str, object]) -> None:
    problem(client.post("/v1/erase", json={**body, "dry_run": False}), 422)


def test_erasing_only_tells_what_would_go_until_it_is_told_to(client: httpx.Client) -> None:
    text = "Ann lives with Bob at 5 Mill Lane, in the old house."
    (step,) = logged(client, "run", text, subjects=["ann", "bob"], key="k")
    logged(client, "run", "It rains.")
    client.post("/v1/episodes/run/end")
    told = client.post("/v1/erase", json={"subject": "ann"}).json()
    assert (told["dry_run"], told["steps"], told["episodes"], told["others"]) == (True, 1, 1, ["bob"])
    assert client.get(f"/v1/steps/{step}").status_code == 200
    done = client.post("/v1/erase", json={"subject": "ann", "dry_run": False}).json()
    assert (done["dry_run"], done["steps"], done["crystals"]) == (False, told["steps"], told["crystals"])
    problem(client.get(f"/v1/steps/{step}"), 404)
    assert "Mill Lane" not in client.post("/v1/recall", json={"cue": "where does Ann live?"}).text
    client.post("/v1/episodes", json={"id": "run"})
    again = client.post("/v1/episodes/run/steps", json={"steps": [{"text": "Ann lives again.", "key": "k"}]})
    assert "was erased" in problem(again, 409)["detail"]


def test_a_whole_namespace_is_erased(client: httpx.Client) -> None:
    logged(client, "run", "one", "two")
    assert client.post("/v1/erase", json={"whole_namespace": True, "dry_run": False}).json()["steps"] == 2
    assert client.get("/v1/stats").json()["steps"] == 0
    problem(client.post("/v1/episodes", json={"id": "run"}), 409)


def test_stats_are_of_the_namespace(client: httpx.Client) -> None:
    logged(client, "run", "one two three", "four five")
    found = client.get("/v1/stats").json()
    assert (found["steps"], found["episodes"], found["retain"]) == (2, 1, "keep")
    assert found["tokens"] >= 5


def test_metrics_count_requests_by_route_for_the_root_namespace_alone(server: Served, client: httpx.Client) -> None:
    logged(client, "secret-episode", "one", "two")
    text = server.client("").get("/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    assert 'agentmem_requests_total{method="POST",route="/v1/episodes/{id}/steps",status="201"}' in text.text
    assert "agentmem_steps_logged_total" in text.text
    assert "agentmem_file_bytes" in text.text
    assert "secret-episode" not in text.text
    assert "root namespace" in problem(client.get("/metrics"), 403)["detail"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"cue": "x"', 400, "EOF"),
        (b'{"cue": "\xff"}', 400, "unicode"),
        (b'{"cue": "\\ud800"}', 400, "hex escape"),
        (b'{"cue": "x", "data": ' + b"[" * 300 + b"]" * 300 + b"}", 400, "recursion limit"),
        (b"[]", 422, "object"),
        (b"{}", 422, "cue: is missing; give it"),
        (b'{"cue": "x", "budget": "5"}', 422, "budget: give a valid integer, not '5'"),
        (b'{"cue": "x", "budget": 1.5}', 422, "budget: give a valid integer, not 1.5"),
        (b'{"cue": "x", "layers": []}', 422, "layers: a length of 0 is under 1; give at least 1"),
        (b'{"cue": {"a": 1}}', 422, "cue: give a valid string, not a dict"),
        (b'{"cue": "x", "budget": 1000001}', 422, "1000001 is over 1,000,000"),
        (b'{"cue": "x", "budgets": 5}', 422, "budgets: is not known here; leave it out"),
        (b'{"cue": "x", "layers": ["step"]}', 422, "'unit', 'cluster' or 'atom'"),
        (b'{"cue": "x", "as_of": "noon"}', 422, "as_of 'noon' is neither a step's id nor an ISO time"),
        (b'{"cue": "x", "as_of": "s00099999999"}', 409, "there is no step 's00099999999'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_body_is_said(client: httpx.Client, body: bytes, status: int, said: str) -> None:
    answer = client.post("/v1/recall", content=body, headers={"Content-Type": "application/json"})
    assert said in problem(answer, status)["detail"]


@pytest.mark.parametrize("data", [b"[" * 150 + b"]" * 150, b"1e999", b"NaN"])
def test_data_that_cannot_be_stored_is_refused(client: httpx.Client, data: bytes) -> None:
    body = b'{"steps": [{"text": "x", "data": ' + data + b"}]}"
    answer = client.post("/v1/episodes/run/steps", content=body, headers={"Content-Type": "application/json"})
    assert "data" in problem(answer, 422)["detail"]


def test_where_a_value_is_wrong_is_told(client: httpx.Client) -> None:
    steps = {"steps": [{"text": "x"}, {"text": "y", "kind": "thought"}]}
    said = problem(client.post("/v1/episodes/run/steps", json=steps), 422)
    assert said["wrong"][0]["at"] == "steps.1.kind"
    assert "'observation', 'action' or 'message'" in said["wrong"][0]["said"]


def test_routes_methods_queries_and_types_that_are_not_there_are_refused(client: httpx.Client) -> None:
    assert "openapi.json" in problem(client.get("/v1/nothing"), 404)["detail"]
    refused = client.put("/v1/episodes")
    problem(refused, 405)
    assert {"GET", "POST"} <= set(refused.headers["allow"].split(", "))
    problem(client.get("/v1/stats", params={"x": 1}), 422)
    problem(client.get("/v1/episodes", params={"limit": 0}), 422)
    problem(client.get("/v1/episodes", params={"limit": "many"}), 422)
    problem(client.get("/v1/episodes?limit=1&limit=2"), 422)
    problem(client.post("/v1/recall", content=b'{"cue": "x"}', headers={"Content-Type": "text/plain"}), 415)
    problem(client.get("/v1/episodes/%ff"), 400)
    problem(client.get("/v1/episodes/" + "e" * 1001), 422)


def test_ids_sort_in_log_order(client: httpx.Client) -> None:
    positions = [step_position(id) for id in logged(client, "run", "a", "b", "c")]
    assert positions == sorted(positions)


def test_answers_come_at_once(client: httpx.Client) -> None:
    """Not 40 ms late, for which the second half of an answer waits where a socket does not say it is TCP's."""
    logged(client, "run", "one")
    waits = sorted(client.get("/v1/episodes/run").elapsed.total_seconds() for _ in range(50))
    assert waits[0] < 0.035


def test_openapi_is_served_to_all_and_is_the_same_each_time(server: Served) -> None:
    served = httpx.get(f"{server.url}/openapi.json").json()
    assert served["openapi"].startswith("3.1")
    assert served == document(served["info"]["version"])
    assert Path(server.path).exists()
