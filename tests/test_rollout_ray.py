"""Rollouts on a Ray cluster: two nodes, one of which is killed on the way."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from rolls import SHOP, SHORT, Counting, logged, memory_at, shop

from agentmem.errors import AgentMemError, InvalidInputError, MissingExtraError, PlayError
from agentmem.rollout import RolloutReport, ScriptedPolicy, load_policy
from agentmem.rollout.ray import _check_listens, _Shard, rollout_on_ray
from agentmem.rollout.report import summed

OPTIONS = {"split": "test", "steps": 150, "delay": 30, "privileged": True}


def test_without_ray_the_line_that_installs_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[ray\]'"):
        rollout_on_ray("local", SHOP, load_policy("oracle", None), tmp_path)
    with pytest.raises(InvalidInputError, match="actors 0 must be a whole number, 1 or more"):
        rollout_on_ray("local", SHOP, load_policy("oracle", None), tmp_path, actors=0)
    with pytest.raises(InvalidInputError, match="has no name, by which a lost actor goes on with it: give name"):
        rollout_on_ray("local", SHOP, ScriptedPolicy(lambda seen, context: 0), tmp_path)


class Broken:
    name = "broken"

    def act(self, seen: Any, context: Any) -> Any:
        raise KeyError("nobody")


def test_an_actor_says_where_a_policy_broke_and_that_the_log_is_kept(tmp_path: Path) -> None:
    shard = _Shard(str(tmp_path / "shard-0.mem"), {"encoder": None})
    settings = {"kind": "none", "budget": 200, "episodes": 1, "options": SHORT}
    told = rf"^policy broken raised KeyError at {__file__}:\d+: 'nobody'; mend it; what was logged is kept: play it"
    with pytest.raises(AgentMemError, match=told):
        shard.play(SHOP, Broken(), [0], settings)
    with pytest.raises(InvalidInputError, match="budget 200, not 0"):
        shard.play(SHOP, Broken(), [0], settings | {"budget": 0})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("found", "said"),
    [(True, "^policy broken raised KeyError at "), (False, "^an actor cannot load .* 'test_rollout_ray'")],
)
def test_what_an_actor_raises_is_told_without_ray_s_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: bool, said: str
) -> None:
    if found:
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    with pytest.raises(AgentMemError, match=said) as met:
        rollout_on_ray("local", SHOP, Broken(), tmp_path, options=SHORT, kind="none", opening={"encoder": None})
    assert len(str(met.value).splitlines()) == 1
    assert not ray.is_initialized()


@pytest.mark.parametrize("host", ["nowhere.invalid", "127.0.0.1"])
def test_an_address_where_nothing_listens_is_refused_at_once_with_the_remedy(tmp_path: Path, host: str) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        address = f"{host}:{held.getsockname()[1]}"
        told = rf"^no Ray cluster is at '{address}' \(.*\w.*\); start one: ray start --head"
        with pytest.raises(InvalidInputError, match=told):
            rollout_on_ray(address, SHOP, load_policy("oracle", None), tmp_path / "never", options=SHORT)
    assert not (tmp_path / "never").exists()
    assert not ray.is_initialized()


@pytest.mark.parametrize("address", ["auto", "local", "ray://nowhere.invalid:1", "[::1]:1", "::1:1", "nowhere.invalid"])
def test_only_what_is_surely_a_host_and_a_port_is_tried(address: str) -> None:
    _check_listens(address)


def test_an_address_where_something_listens_is_left_to_ray() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        _check_listens(f"localhost:{server.getsockname()[1]}")


@pytest.mark.slow
def test_a_cluster_of_this_machine_alone_leaves_no_socket_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as scratch:  # a socket's path is short
        monkeypatch.setenv("TMPDIR", scratch)
        rollout_on_ray("local", SHOP, load_policy("oracle", None), tmp_path, options=SHORT, kind="none")
        assert list(Path(scratch).glob("pymp-*")) == []


class Slow(Counting):
    """Ten steps of some length."""

    def step(self, action: Any) -> Any:
        time.sleep(0.1)
        seen, reward, _, cut, info = super().step(action)
        return seen, reward, self._at == 10, cut, info


class Mended:
    """Raises in the second step of an episode with an odd seed, until a file is there."""

    name = "mended"

    def __init__(self, file: Path) -> None:
        self.file = file

    def act(self, seen: Any, context: Any) -> int:
        if seen.tolist()[0] % 2 and seen.tolist()[1] == 1 and not self.file.exists():
            raise KeyError("a gear")
        return 3


@pytest.mark.slow
def test_what_one_actor_raises_ends_all_and_the_same_call_at_once_logs_no_turn_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    policy, done = Mended(tmp_path / "mended"), list[float]()
    settings: dict[str, Any] = {"kind": "none", "episodes": 6, "opening": {"encoder": None}}
    ray.init(address="local", num_cpus=2, log_to_driver=False)
    try:
        with pytest.raises(PlayError, match="^policy mended raised KeyError at .*: 'a gear'; mend it; what was logged"):
            rollout_on_ray("auto", Slow, policy, tmp_path, **settings)
        policy.file.touch()
        report = rollout_on_ray("local", Slow, policy, tmp_path, progress=lambda now, of: done.append(now), **settings)
        assert ray.is_initialized()
        with pytest.raises(
            InvalidInputError, match=r"joined the Ray cluster at .*, which is not '10.255.0.1:6379': give"
        ):
            rollout_on_ray("10.255.0.1:6379", Slow, policy, tmp_path / "never", **settings)
    finally:
        ray.shutdown()
    assert not (tmp_path / "never").exists()
    assert report.steps == 60
    for number in range(6):
        with memory_at(tmp_path / f"shard-{number % 2}.mem") as memory:
            kinds = [kind for _, kind, *_ in logged(memory, "Slow", str(number))]
            assert kinds == ["observation", "action"] * 10 + ["observation"]
    assert done == sorted(done)
    assert done[-1] == 6
    assert len(set(done)) > 3  # more often than an actor is done


def test_who_takes_the_place_of_an_actor_waits_for_its_end(tmp_path: Path) -> None:
    settings = {"kind": "none", "episodes": 1}
    shards = [_Shard(str(tmp_path / "shard-0.mem"), {"encoder": None}) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        said = [pool.submit(shard.play, Slow, ScriptedPolicy(three), [0], settings) for shard in shards]
        assert said[0].result() == said[1].result()
    with memory_at(tmp_path / "shard-0.mem") as memory:
        assert len(logged(memory, "Slow", "0")) == 21


def three(seen: Any, context: Any) -> int:
    return 3


def test_the_shards_of_actors_come_to_what_one_run_does(tmp_path: Path) -> None:
    with memory_at() as memory:
        local = shop(memory, kind="none", episodes=3)
    settings = {"kind": "none", "budget": 200, "episodes": 3, "options": SHORT}
    parts = []
    for number, mine in enumerate(([0, 2], [1])):
        shard = _Shard(str(tmp_path / f"shard-{number}.mem"), {"encoder": None})
        said = shard.play(SHOP, load_policy("oracle", None), mine, settings)
        again = shard.play(SHOP, load_policy("oracle", None), mine, settings)
        parts.append(RolloutReport.model_validate_json(said))
        assert RolloutReport.model_validate_json(again).episodes == parts[-1].episodes
    reports = sorted((each for part in parts for each in part.episodes), key=lambda each: each.number)
    assert summed(parts[0].model_dump(), reports, 0).digest == local.digest


@pytest.mark.slow
def test_a_cluster_that_loses_a_node_comes_to_what_one_machine_does(tmp_path: Path) -> None:
    with memory_at() as memory:
        local = shop(memory, kind="window", episodes=6, options=OPTIONS)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    lost = cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    killed: list[int] = []

    def watch(done: float, of: float) -> None:
        begun = [file for file in tmp_path.glob("shard-*.mem*") if file.stat().st_size > 200_000]
        if not killed and begun:
            cluster.remove_node(lost, allow_graceful=False)
            killed.append(len(begun))

    settings: dict[str, Any] = {"kind": "window", "budget": 200, "episodes": 6, "options": OPTIONS}
    try:
        report = rollout_on_ray(
            cluster.address, SHOP, load_policy("oracle", None), tmp_path, actors=3, opening={"encoder": None},
            progress=watch, **settings,
        )  # fmt: skip
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert killed
    assert report.digest == local.digest
    assert report.model_dump(exclude={"bytes"}) == local.model_dump(exclude={"bytes"})
