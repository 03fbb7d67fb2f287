"""The process of the server: killed, stopped, beside another one, and what it writes to its log."""

import os
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from rest_server import FAST, Served, logged, problem, serving

from agentmem import Memory


def steps_of(path: Path) -> list[str]:
    with Memory.open(path, encoder=None, read_only=True) as memory:
        assert memory.verify().ok
        return [step.text for step in memory.steps()]


def log_until_gone(server: Served, writer: int, acknowledged: list[str]) -> None:
    """Log one step after another until nobody answers; what was acknowledged is appended."""
    client = server.client()
    for number in range(100_000):
        text = f"{writer}/{number}"
        try:
            answer = client.post(f"/v1/episodes/w{writer}/steps", json={"steps": [{"text": text, "key": text}]})
        except httpx.TransportError:
            return
        if answer.status_code == 201:
            acknowledged.append(text)


@pytest.mark.parametrize("number", [pytest.param(signal.SIGKILL, marks=pytest.mark.slow), signal.SIGTERM])
def test_what_was_acknowledged_is_there_after_a_kill_and_after_a_stop(tmp_path: Path, number: int) -> None:
    path, acknowledged = tmp_path / "a.mem", list[str]()
    with serving(path, *FAST) as server, ThreadPoolExecutor(4) as pool:
        for writer in range(4):
            pool.submit(log_until_gone, server, writer, acknowledged)
        ended = time.monotonic() + 60
        while len(acknowledged) < 40 and time.monotonic() < ended:
            time.sleep(0.01)
        code = server.stop(number)
    assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    closed = not path.with_name("a.mem-wal").exists()
    assert closed == (number == signal.SIGTERM)
    there = steps_of(path)
    assert len(acknowledged) >= 40
    assert set(acknowledged) <= set(there)
    assert len(there) == len(set(there))
    assert len(there) <= len(acknowledged) + 4


@pytest.mark.slow
def test_a_request_that_is_open_when_the_stop_comes_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "a.mem"
    with serving(path, *FAST) as server:
        answers, half_sent = [], threading.Event()

        def body() -> object:
            yield b'{"steps": [{"text": '
            half_sent.set()
            time.sleep(1)
            yield b'"late"}]}'

        def ask() -> None:
            headers = {"Content-Type": "application/json"}
            answers.append(client.post("/v1/episodes/run/steps", content=body(), headers=headers))

        client = server.client()
        asking = threading.Thread(target=ask)
        asking.start()
        half_sent.wait(20)
        time.sleep(0.2)
        assert server.stop() == 0
        asking.join()
        assert answers[0].status_code == 201
    assert steps_of(path) == ["late"]


def test_ctrl_c_ends_it_with_a_line_and_no_traceback(tmp_path: Path) -> None:
    with serving(tmp_path / "a.mem") as server:
        assert server.stop(signal.SIGINT) == 130
        said = server.log.read_text()
    assert "stopped by Ctrl-C; what was acknowledged is kept" in " ".join(said.split())
    assert "Traceback" not in said


@pytest.mark.slow
def test_two_servers_on_one_file_see_what_the_other_logs(tmp_path: Path) -> None:
    path = tmp_path / "a.mem"
    with serving(path, *FAST) as one, serving(path, *FAST) as two:
        first, second = one.client(), two.client()
        (a,) = logged(first, "run", "The red door is locked.", key="a")
        assert logged(second, "run", "The red door is locked.", key="a") == [a]
        (b,) = logged(second, "run", "The brass key hangs in the kitchen.")
        assert [step["id"] for step in first.get("/v1/episodes/run/steps").json()["steps"]] == [a, b]
        assert "kitchen" in first.post("/v1/recall", json={"cue": "where is the brass key?"}).json()["text"]
        second.post("/v1/episodes/run/end")
        problem(first.post("/v1/episodes/run/steps", json={"steps": [{"text": "more"}]}), 409)
        second.post("/v1/erase", json={"episode": "run", "dry_run": False})
        assert first.post("/v1/recall", json={"cue": "where is the brass key?"}).json()["text"] == ""
        problem(first.get(f"/v1/steps/{a}"), 404)


@pytest.mark.slow
def test_two_servers_that_log_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.mem"
    with serving(path, *FAST) as one, serving(path, *FAST) as two, ThreadPoolExecutor(4) as pool:
        clients = [server.client() for server in (one, two, one, two)]

        def work(number: int) -> None:
            for step in range(20):
                logged(clients[number], f"run{number % 2}", f"{number}/{step}", key=f"{number}/{step}")

        list(pool.map(work, range(4)))
    there = steps_of(path)
    assert sorted(there) == sorted(f"{number}/{step}" for number in range(4) for step in range(20))
    for number in range(4):
        mine = [text for text in there if text.startswith(f"{number}/")]
        assert mine == [f"{number}/{step}" for step in range(20)]


@pytest.mark.slow
def test_the_log_tells_routes_and_nothing_that_was_sent(tmp_path: Path) -> None:
    with serving(tmp_path / "a.mem", *FAST) as server:
        client = server.client("acme/ann")
        token = client.headers["Authorization"].split()[1]
        logged(client, "canary-episode", "canary-text", key="canary-key", subjects=["canary-subject"])
        client.post("/v1/recall", json={"cue": "canary-cue"})
        client.get("/v1/stats", params={"access_token": token})
        client.get("/canary-path")
        client.post("/v1/recall", content=b'{"canary', headers={"Content-Type": "application/json"})
        client.request("CANARY", "/v1/stats")
        httpx.get(f"{server.url}/v1/stats", headers={"Authorization": f"Bearer {token}x", "Host": "localhost"})
        server.stop()
        said = server.log.read_text()
    assert "POST /v1/episodes/{id}/steps 201 " in said
    assert f"token {token.split('_')[1]}" in said
    assert token not in said
    assert token.split("_", 2)[2] not in said
    assert "canary" not in said.lower()


def test_a_server_whose_file_is_damaged_says_so_in_its_log_and_not_to_the_caller(tmp_path: Path) -> None:
    path = tmp_path / "a.mem"
    with Memory.open(path, encoder=None) as memory:
        memory.episode(id="run").observe("The red door is locked, said the canary.")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE log SET text = replace(text, 'red', 'tan') WHERE text LIKE '%canary%'")
    connection.close()
    with serving(path, *FAST) as server:
        said = problem(server.client().get("/v1/episodes/run/steps"), 500)
        assert said["error"] == "DamagedError"
        assert os.fspath(path) not in str(said)
        assert "the server could not do it" in said["detail"]
        log = server.log.read_text()
    assert "/v1/episodes/{id}/steps failed: DamagedError" in log
    assert "canary" not in log
