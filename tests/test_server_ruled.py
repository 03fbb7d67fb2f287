"""Rules and holds over HTTP, each of the token's namespace alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rest_server import FAST, Served, logged, problem, serving

from agentmem import Memory

RULES = [{"max_steps": 2}, {"subject": "ann", "kind": "message", "max_age": "P395DT12H0M1.5S"}]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("ruled") / "agent.mem", *FAST) as one:
        yield one


def test_rules_are_tried_set_told_and_taken_back(served: Served) -> None:
    client = served.client("acme/ann")
    logged(client, "run", *(f"The door number {n} is red." for n in range(5)))
    ask = {"cue": "which door is red?", "budget": 500}
    would = client.post("/v1/rules", json={"rules": RULES, "dry_run": True}).json()
    assert (would["dry_run"], would["would_expire"]["steps"]) == (True, 3)
    assert client.get("/v1/rules").json() == {"rules": []}
    done = client.post("/v1/rules", json={"rules": RULES}).json()
    assert (done["dry_run"], done["would_expire"]["steps"]) == (False, 3)
    told = client.get("/v1/rules").json()["rules"]
    assert [{name: value for name, value in rule.items() if value is not None} for rule in told] == RULES
    assert client.post("/v1/rules", json={"rules": told}).status_code == 200  # as they are told they can be set
    assert len(client.post("/v1/recall", json=ask).json()["hits"]) == 2
    client.post("/v1/rules", json={"rules": []})
    assert len(client.post("/v1/recall", json=ask).json()["hits"]) == 5


def test_what_has_expired_is_removed_only_when_that_is_said(served: Served) -> None:
    client = served.client("acme/bob")
    first, *_ = logged(client, "run", *(f"The gate number {n} is green." for n in range(4)))
    client.post("/v1/rules", json={"rules": [{"max_steps": 1}]})
    assert client.post("/v1/expire", json={}).json()["steps"] == 3
    assert client.get(f"/v1/steps/{first}").status_code == 200
    done = client.post("/v1/expire", json={"dry_run": False}).json()
    assert (done["dry_run"], done["steps"], done["residue"]) == (False, 3, None)
    problem(client.get(f"/v1/steps/{first}"), 404)
    assert client.post("/v1/expire", json={"dry_run": False}).json()["steps"] == 0


def test_what_is_held_is_not_erased_until_the_hold_is_lifted(served: Served) -> None:
    client = served.client("acme/carl")
    logged(client, "run", "Ann rents the boat house.", "It rains.", subjects=["ann"])
    made = client.post("/v1/holds", json={"name": "case 17/b", "subject": "ann", "reason": "the court asks"})
    assert (made.status_code, made.json()) == (201, {"steps": 2})
    (hold,) = client.get("/v1/holds").json()["holds"]
    assert (hold["name"], hold["subject"], hold["reason"]) == ("case 17/b", "ann", "the court asks")
    refused = problem(client.post("/v1/erase", json={"subject": "ann", "dry_run": False}), 409)
    assert (refused["error"], "POST /v1/holds/{name}/lift" in refused["detail"]) == ("HeldError", True)
    other = problem(client.post("/v1/holds", json={"name": "case 17/b", "subject": "bob"}), 409)
    assert (other["error"], "is on subject 'ann'" in other["detail"]) == ("HeldError", True)
    assert client.post("/v1/rules", json={"rules": [{"max_steps": 0}]}).json()["would_expire"]["steps"] == 0
    assert problem(client.post("/v1/holds/never/lift"), 404)["error"] == "NotFoundError"
    assert client.post("/v1/holds/case%2017%2Fb/lift").json() == {"steps": 2}
    assert client.get("/v1/holds").json() == {"holds": []}
    assert client.post("/v1/erase", json={"subject": "ann", "dry_run": False}).json()["steps"] == 2


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("rules", {"rules": [{}]}, 422),
        ("rules", {"rules": [{"max_age": None}]}, 422),
        ("rules", {"rules": [{"max_age": "P0D"}]}, 422),
        ("rules", {"rules": [{"max_age": 30}]}, 422),
        ("rules", {"rules": [{"max_steps": -1}]}, 422),
        ("rules", {"rules": [{"max_steps": 1}] * 101}, 422),
        ("rules", [], 422),
        ("expire", {"dry_run": "no"}, 422),
        ("holds", {"name": "x"}, 422),
        ("holds", {"name": "x", "subject": "ann", "episode": "run"}, 422),
        ("holds", {"name": "x", "episode": "never"}, 409),
        ("holds", {"name": "x", "steps": ["s00000099999"]}, 409),
    ],
)
def test_what_cannot_be_a_rule_or_a_hold_is_refused(served: Served, path: str, body: object, status: int) -> None:
    client = served.client("acme/dora")
    problem(client.post(f"/v1/{path}", json=body), status)
    assert client.get("/v1/rules").json() == {"rules": []}
    assert client.get("/v1/holds").json() == {"holds": []}


def test_they_are_of_the_tokens_namespace_alone(served: Served) -> None:
    mine, theirs = served.client("acme/eve"), served.client("acme/fay")
    (step,) = logged(theirs, "run", "Fay keeps the spare key.", subjects=["fay"])
    theirs.post("/v1/rules", json={"rules": [{"max_steps": 9}]})
    theirs.post("/v1/holds", json={"name": "theirs", "steps": [step]})
    assert mine.get("/v1/rules").json() == {"rules": []}
    assert mine.get("/v1/holds").json() == {"holds": []}
    never = problem(mine.post("/v1/holds/theirs/lift"), 404)
    assert str(never).replace("theirs", "never") == str(problem(mine.post("/v1/holds/never/lift"), 404))
    refused = [
        str(problem(mine.post("/v1/holds", json={"name": "x", "steps": [one]}), 409)).replace(one, "ID")
        for one in (step, "s00000099999")
    ]
    assert refused[0] == refused[1]
    mine.post("/v1/rules", json={"rules": [{"max_steps": 0}]})
    assert mine.post("/v1/expire", json={"dry_run": False}).json()["steps"] == 0
    assert theirs.get(f"/v1/steps/{step}").status_code == 200


def test_who_set_them_is_noted(served: Served) -> None:
    client = served.client("acme/gil")
    client.post("/v1/rules", json={"rules": [{"max_steps": 9}]})
    client.post("/v1/holds", json={"name": "h", "subject": "ann"})
    with Memory.open(served.path, namespace=("acme", "gil"), encoder=None, read_only=True) as memory:
        found = [(change.what, change.who) for change in memory.changes()]
    assert [what for what, _ in found] == ["rules", "hold"]
    assert all(who is not None and who.startswith("token ") for _, who in found)


def test_an_erasure_tells_which_steps_say_the_same_and_others_to_the_operator_alone(served: Served) -> None:
    said = "The spare key lies under the third stone."
    mine, theirs, root = served.client("acme/hal"), served.client("acme/ida"), served.client("")
    for client in (mine, theirs, root):
        logged(client, "one", said)
    (again,) = logged(mine, "two", f"I heard: {said}")
    told = mine.post("/v1/erase", json={"episode": "one"}).json()
    assert told["repeats"] == [{"step": again, "episode": "two", "namespace": ["acme", "hal"]}]
    assert mine.post("/v1/erase", json={"episode": "one", "dry_run": False}).json()["repeats"] == told["repeats"]
    every = root.post("/v1/erase", json={"episode": "one"}).json()["repeats"]
    assert {tuple(one["namespace"]) for one in every} == {("acme", "hal"), ("acme", "ida")}
