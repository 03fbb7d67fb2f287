"""A rollout on a Ray cluster: actors own shards of the episodes, and what they know is in their memories' files.

The one place that imports ray, an extra. An actor whose node is lost begins again on another and goes on where its
memory stands; where that file is not to be seen, it plays its episodes anew, to the same end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentmem.errors import InvalidInputError, MissingExtraError
from agentmem.records import brief, check_whole
from agentmem.rollout.making import Make
from agentmem.rollout.policies import check_policy, error_of, name_of_policy
from agentmem.rollout.report import RolloutReport, summed

INSTALL = "rollouts on a cluster need Ray: pip install 'agentmem-crystal[ray]'"
POLL_S = 1.0
IMPORTABLE = "the modules of the policy and of the environment must be found on every node, as by PYTHONPATH"
KEPT = "what was logged is kept: play it again to go on"


def rollout_on_ray(
    address: str,
    env: str | Make,
    policy: Any,
    folder: str | Path,
    *,
    actors: int = 2,
    episodes: int = 1,
    opening: dict[str, Any] | None = None,
    progress: Callable[[float, float], None] | None = None,
    **settings: Any,
) -> RolloutReport:
    """`rollout`, with its episodes dealt out to actors; the report is that of one machine, but for the bytes.

    address: "auto", "host:port", or "local" for this machine. folder: a path that every node sees; actor k keeps
    shard-k.mem in it. opening: keywords of Memory.open. Raises MissingExtraError without ray, InvalidInputError for an
    address where no cluster is, and what `rollout` raises.
    """
    if name_of_policy(check_policy(policy), settings.get("name")) is None:
        raise InvalidInputError(
            f"policy {brief(policy)} has no name, by which a lost actor goes on with it: give name=..."
        )
    check_whole("actors", actors, 1)
    check_whole("episodes", episodes, 1)
    ray = _joined(address)
    place = Path(folder).resolve()
    place.mkdir(parents=True, exist_ok=True)
    shard = ray.remote(max_restarts=-1, max_task_retries=-1, num_cpus=1)(_Shard)
    dealt = [list(range(first, episodes, actors)) for first in range(min(actors, episodes))]
    owners = [shard.remote(str(place / f"shard-{n}.mem"), opening or {}) for n in range(len(dealt))]
    asked = {"episodes": episodes, **settings}
    waiting = {owner.play.remote(env, policy, mine, asked): owner for owner, mine in zip(owners, dealt, strict=True)}
    parts: list[RolloutReport] = []
    while waiting:
        for each in ray.wait(list(waiting), timeout=POLL_S)[0]:
            parts.append(RolloutReport.model_validate_json(_got(ray, each)))
            ray.kill(waiting.pop(each))  # one that is done must not keep a lost one from its place
        if progress is not None:
            progress(sum(len(part.episodes) for part in parts), episodes)
    reports = sorted((each for part in parts for each in part.episodes), key=lambda each: each.number)
    return summed(parts[0].model_dump(), reports, sum(part.bytes for part in parts))


def _got(ray: Any, playing: Any) -> str:
    """What an actor says, or raises: the error itself, not Ray's, which holds a traceback in its message."""
    try:
        return str(ray.get(playing))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ray.exceptions.RaySystemError):
            why = str(error.cause).splitlines()[0]
            raise InvalidInputError(f"an actor cannot load what it is to play ({why}); {IMPORTABLE}") from None
        raise error.cause from None


class _Shard:
    """Plays some episodes; all that it knows is in the memory at a path."""

    def __init__(self, path: str, opening: dict[str, Any]) -> None:
        self.path, self.opening = path, {"durability": "process", **opening}

    def play(self, env: str | Make, policy: Any, numbers: list[int], settings: dict[str, Any]) -> str:
        from agentmem.memory import Memory
        from agentmem.rollout.run import rollout

        with Memory.open(self.path, **self.opening) as memory:
            try:
                return rollout(env, policy, memory, numbers=numbers, apart=False, **settings).model_dump_json()
            except Exception as error:  # its traceback does not leave the actor, and says where a policy failed
                told = error_of(settings.get("name") or brief(policy), error, KEPT)
                if told is None:
                    raise
                raise told from error


def _joined(address: str) -> Any:
    """Ray, with this process in the cluster."""
    try:
        import ray  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise MissingExtraError(INSTALL) from error
    if not ray.is_initialized():
        try:
            ray.init(address=None if address == "local" else address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InvalidInputError(
                f"no Ray cluster is at {address!r} ({error}); start one: ray start --head"
            ) from error
    return ray
