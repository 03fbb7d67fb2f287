"""Rollouts on a Ray cluster: two nodes, one of which is killed on the way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from rolls import SHOP, memory_at, shop

from agentmem.errors import InvalidInputError, MissingExtraError
from agentmem.rollout import load_policy
from agentmem.rollout.ray import rollout_on_ray

OPTIONS = {"split": "test", "steps": 150, "delay": 30, "privileged": True}


def test_without_ray_the_line_that_installs_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'agentmem-crystal\[ray\]'"):
        rollout_on_ray("local", SHOP, load_policy("oracle", None), tmp_path)
    with pytest.raises(InvalidInputError, match="actors 0 and episodes 1 must be"):
        rollout_on_ray("local", SHOP, load_policy("oracle", None), tmp_path, actors=0)


@pytest.mark.slow
def test_a_cluster_that_loses_a_node_comes_to_what_one_machine_does(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    import ray
    from ray.cluster_utils import Cluster

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
