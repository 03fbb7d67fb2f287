"""Two namespaces of one server cannot see each other: neither texts, nor whether an id of the other is there."""

from collections.abc import Iterator

import httpx
import pytest
from rest_server import FAST, Served, logged, problem, serving

NEVER = "s00000999999"
SECRET = "The vault opens with the code amber-4821, behind the green curtain."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("server") / "a.mem", *FAST) as server:
        yield server


@pytest.fixture(scope="module")
def theirs(server: Served) -> dict[str, str]:
    """What the other namespace holds: the ids of a step, an episode, a crystal, and the name of a blob."""
    other = server.client("acme/bob")
    (step,) = logged(other, "vault", SECRET, blobs={"plan": "aGk="}, subjects=["bob"], key="k1")
    logged(other, "vault", *(f"Corridor {number} leads to corridor {number + 1}." for number in range(20)))
    other.post("/v1/episodes/vault/end")
    hits = other.post("/v1/recall", json={"cue": "the vault", "layers": ["unit"]}).json()["hits"]
    return {"step": step, "episode": "vault", "crystal": hits[0]["id"], "blob": "plan"}


@pytest.fixture(params=["acme/ann", "acme", "", "acme/bob/x", "ACME/bob", "acme/bo%", r"acme\/bob"])
def client(server: Served, theirs: dict[str, str], request: pytest.FixtureRequest) -> httpx.Client:
    """Of a namespace that is near the other's."""
    return server.client(request.param)


def test_what_the_other_logged_is_not_there(client: httpx.Client, theirs: dict[str, str]) -> None:
    for path in (
        f"/v1/steps/{theirs['step']}",
        f"/v1/steps/{theirs['step']}/blobs/{theirs['blob']}",
        f"/v1/episodes/{theirs['episode']}",
        f"/v1/episodes/{theirs['episode']}/steps",
        f"/v1/crystals/{theirs['crystal']}/steps",
        f"/v1/crystals/{theirs['step']}/steps",
        f"/v1/episodes?after={theirs['episode']}",
    ):
        assert "amber" not in str(problem(client.get(path), 404)), path
    assert client.get("/v1/episodes").json()["episodes"] == []
    assert client.get("/v1/stats").json()["steps"] == 0


def test_what_the_other_logged_is_not_recalled(client: httpx.Client, theirs: dict[str, str]) -> None:
    found = client.post("/v1/recall", json={"cue": SECRET}).json()
    assert (found["text"], found["hits"]) == ("", [])
    for limit in ({"episode": theirs["episode"]}, {"as_of": theirs["step"]}):
        problem(client.post("/v1/recall", json={"cue": SECRET, **limit}), 409)


def test_a_step_of_the_others_is_refused_as_one_that_never_was(client: httpx.Client, theirs: dict[str, str]) -> None:
    answers = []
    for step in (theirs["step"], NEVER):
        bodies = {
            "/v1/recall": {"cue": "x", "as_of": step},
            "/v1/episodes/own/steps": {"steps": [{"text": "x", "reply_to": step}]},
            "/v1/forget": {"steps": [step]},
            "/v1/erase": {"steps": [step], "dry_run": False},
        }
        refused = [problem(client.post(path, json=body), 409) for path, body in bodies.items()]
        refused.append(problem(client.get(f"/v1/steps/{step}"), 404))
        answers.append(str(refused).replace(step, "ID"))
    assert answers[0] == answers[1]


def test_what_the_other_logged_is_neither_forgotten_nor_erased(
    server: Served, client: httpx.Client, theirs: dict[str, str]
) -> None:
    problem(client.post("/v1/forget", json={"derived_from": theirs["crystal"]}), 409)
    problem(client.post("/v1/erase", json={"episode": theirs["episode"], "dry_run": False}), 409)
    assert client.post("/v1/erase", json={"subject": "bob", "dry_run": False}).json()["steps"] == 0
    assert client.post("/v1/erase", json={"whole_namespace": True, "dry_run": False}).json()["steps"] == 0
    other = server.client("acme/bob")
    assert SECRET in other.post("/v1/recall", json={"cue": "which code has the vault?"}).json()["text"]


def test_names_and_keys_of_one_are_free_for_the_other(server: Served, theirs: dict[str, str]) -> None:
    client = server.client("acme/carl")
    (step,) = logged(client, theirs["episode"], "Another vault.", key="k1")
    assert client.get(f"/v1/steps/{step}").json()["namespace"] == ["acme", "carl"]
    other = server.client("acme/bob")
    assert other.get(f"/v1/episodes/{theirs['episode']}/steps").json()["steps"][0]["id"] == theirs["step"]


def test_an_erasure_does_not_tell_whether_the_other_logged_the_same(server: Served, theirs: dict[str, str]) -> None:
    client = server.client("acme/dora")
    logged(client, "guess", SECRET)
    report = client.post("/v1/erase", json={"episode": "guess", "dry_run": False}).json()
    assert (report["steps"], report["residue"], report["repeats"]) == (1, None, [])
    root = server.client("")
    logged(root, "guess", SECRET)
    assert root.post("/v1/erase", json={"episode": "guess", "dry_run": False}).json()["residue"] != []
