"""Rollouts on a Ray cluster: two nodes, one of which is killed on the way."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from rolls import SHOP, SHORT, memory_at, shop

from agentmem.errors import AgentMemError, InvalidInputError, MissingExtraError
from agentmem.rollout import RolloutReport, ScriptedPolicy, load_policy
from agentmem.rollout.ray import _Shard, rollout_on_ray
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
    told = rf"policy .*Broken.* raised KeyError at {__file__}:\d+: 'nobody'; mend it; what was logged is kept: play it"
    with pytest.raises(AgentMemError, match=told):
        shard.play(SHOP, Broken(), [0], settings)
    with pytest.raises(InvalidInputError, match="budget 200, not 0"):
        shard.play(SHOP, Broken(), [0], settings | {"budget": 0})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("found", "said"),
    [(True, "^policy .* raised KeyError at "), (False, "^an actor cannot load .* 'test_rollout_ray'")],
)
def test_what_an_actor_raises_is_told_without_ray_s_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: bool, said: str
) -> None:
    if found:
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    try:
        with pytest.raises(AgentMemError, match=said) as met:
            rollout_on_ray("local", SHOP, Broken(), tmp_path, options=SHORT, kind="none", opening={"encoder": None})
    finally:
        ray.shutdown()
    assert len(str(met.value).splitlines()) == 1


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
