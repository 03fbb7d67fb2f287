"""A rollout on a Ray cluster: actors own shards of the episodes, and what they know is in their memories' files.

The one place that imports ray, an extra. An actor whose node is lost begins again on another and goes on where its
memory stands; where that file is not to be seen, it plays its episodes anew, to the same end.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agentmem.errors import InvalidInputError, MissingExtraError
from agentmem.records import brief, check_whole
from agentmem.rollout.making import Make
from agentmem.rollout.policies import check_policy, error_of, name_of_policy
from agentmem.rollout.report import RolloutReport, summed

INSTALL = "rollouts on a cluster need Ray: pip install 'agentmem-crystal[ray]'"
POLL_S = 1.0
GONE_S = 120.0
"""Seconds in which an actor that was lost, or ended, lets go of its shard."""
IMPORTABLE = "the modules of the policy and of the environment must be found on every node, as by PYTHONPATH"
HOST_PORT = re.compile(r"([^\s:/\[\]]+):(\d+)")
LISTENS_S = 5.0
"""Seconds in which whoever listens at an address answers; Ray itself would try for minutes."""
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

    address: "auto", "host:port", or "local" for this machine; a process that has joined a cluster stays in it. folder:
    a path that every node sees; actor k keeps shard-k.mem in it. opening: keywords of Memory.open. progress: called
    every second with (episodes done, episodes). What one actor raises ends all; the same call goes on.
    A shard is played by one actor at a time, on one machine and on several whose file system passes locks on, as NFS
    does: who takes the place of a lost one waits for its end. Where it does not, one that was cut off and lives on logs
    its turns beside those of the other.
    Raises MissingExtraError without ray, InvalidInputError for an address where no cluster is, or not the one that this
    process has joined, SettingsError where another actor keeps a shard for two minutes, and what `rollout` raises.
    """
    if name_of_policy(check_policy(policy), settings.get("name")) is None:
        raise InvalidInputError(
            f"policy {brief(policy)} has no name, by which a lost actor goes on with it: give name=..."
        )
    check_whole("actors", actors, 1)
    check_whole("episodes", episodes, 1)
    place = Path(folder).resolve()
    dealt = [list(range(first, episodes, actors)) for first in range(min(actors, episodes))]
    asked = {"episodes": episodes, **settings}
    with _joined(address) as ray, _owners(ray, place, len(dealt), opening or {}) as (owners, board):
        playing = [
            owner.play.remote(env, policy, mine, asked, (number, board))
            for number, (owner, mine) in enumerate(zip(owners, dealt, strict=True))
        ]
        for parts in _parts(ray, playing, owners):
            if progress is not None:
                done = ray.get(board.seen.remote()) | {number: len(part.episodes) for number, part in parts.items()}
                progress(sum(done.values()), episodes)
    reports = sorted((each for part in parts.values() for each in part.episodes), key=lambda each: each.number)
    return summed(parts[0].model_dump(), reports, sum(part.bytes for part in parts.values()))


@contextmanager
def _owners(ray: Any, folder: Path, count: int, opening: dict[str, Any]) -> Iterator[tuple[list[Any], Any]]:
    """Actors, each with a shard, and the board where they write how far they are; ended at the end, however that is."""
    from ray.util.scheduling_strategies import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
        NodeAffinitySchedulingStrategy,
    )

    folder.mkdir(parents=True, exist_ok=True)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    again = {"max_restarts": -1, "max_task_retries": -1}
    made = [ray.remote(num_cpus=0, scheduling_strategy=here, **again)(_Board).remote()]
    try:
        shard = ray.remote(num_cpus=1, **again)(_Shard)
        made += [shard.remote(str(folder / f"shard-{n}.mem"), opening) for n in range(count)]
        yield made[1:], made[0]
    finally:
        for each in made:
            ray.kill(each)


def _parts(ray: Any, playing: Sequence[Any], owners: Sequence[Any]) -> Iterator[dict[int, RolloutReport]]:
    """By actor, the reports of those that are done: now, and every second until all are."""
    parts: dict[int, RolloutReport] = {}
    while len(parts) < len(playing):
        left = {each: number for number, each in enumerate(playing) if number not in parts}
        for each in ray.wait(list(left), timeout=POLL_S)[0]:
            parts[left[each]] = RolloutReport.model_validate_json(_got(ray, each))
            ray.kill(owners[left[each]])  # one that is done must not keep a lost one from its place
        yield parts


def _got(ray: Any, playing: Any) -> str:
    """What an actor says, or raises: the error itself, not Ray's, which holds a traceback in its message."""
    try:
        return str(ray.get(playing))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ray.exceptions.RaySystemError):
            why = str(error.cause).splitlines()[0]
            raise InvalidInputError(f"an actor cannot load what it is to play ({why}); {IMPORTABLE}") from None
        raise error.cause from None


class _Board:
    """How many episodes of each shard are played."""

    def __init__(self) -> None:
        self._done: dict[int, int] = {}

    def write(self, number: int, done: int) -> None:
        self._done[number] = done

    def seen(self) -> dict[int, int]:
        return self._done


class _Shard:
    """Plays some episodes; all that it knows is in the memory at a path."""

    def __init__(self, path: str, opening: dict[str, Any]) -> None:
        self.path, self.opening = path, {"durability": "process", **opening}

    def play(self, env: str | Make, policy: Any, numbers: list[int], settings: dict[str, Any], told: Any = None) -> str:
        """told: the number of the shard, and the board where it is written how many episodes are played."""
        from agentmem.memory import Memory
        from agentmem.rollout.notes import Claim
        from agentmem.rollout.run import rollout

        asked = {"numbers": numbers, "apart": False, "progress": told and _Writing(*told), **settings}
        with Memory.open(self.path, **self.opening) as memory, Claim(memory, "rolls out", GONE_S):
            try:
                return rollout(env, policy, memory, **asked).model_dump_json()
            except Exception as error:  # its traceback does not leave the actor, and says where a policy failed
                name = name_of_policy(policy, settings.get("name")) or brief(policy)
                failed = error_of(name, error, KEPT)
                if failed is None:
                    raise
                raise failed from error


class _Writing:
    """Progress that is written on a board as often as an episode is over."""

    def __init__(self, number: int, board: Any) -> None:
        self.number, self.board, self.done = number, board, 0

    def __call__(self, done: float, of: float) -> None:
        if int(done) > self.done:
            self.done = int(done)
            self.board.write.remote(self.number, self.done)


@contextmanager
def _joined(address: str) -> Iterator[Any]:
    """Ray, with this process in the cluster, which it leaves at the end if it was in none before."""
    try:
        import ray  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise MissingExtraError(INSTALL) from error
    if ray.is_initialized():
        _check_joined(ray, address)
        yield ray
        return
    _check_listens(address)
    shown = False if address == "local" else None  # a dashboard that is ended leaves a socket and its folder behind
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=shown)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _nowhere(address, error) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_listens(address: str) -> None:
    """InvalidInputError for host:port where nothing listens. What else an address may be is left to Ray."""
    if found := HOST_PORT.fullmatch(address):
        try:
            socket.create_connection((found[1], int(found[2])), LISTENS_S).close()
        except (OSError, OverflowError, ValueError) as error:  # the last two of a port or a host that cannot be
            raise _nowhere(address, error) from error


def _nowhere(address: str, error: Exception) -> InvalidInputError:
    return InvalidInputError(
        f"no Ray cluster is at {address!r} ({error}); start one: ray start --head, or give the address of one, or local"
    )


def _check_joined(ray: Any, address: str) -> None:
    """InvalidInputError where this process is in another cluster than that of an address."""
    here, joined = ray.util.get_node_ip_address(), ray.get_runtime_context().gcs_address
    host, _, port = joined.rpartition(":")
    given, _, asked = (here, "", port) if address == "local" else address.rpartition(":")
    if address != "auto" and (_ip(given, here), asked) != (_ip(host, here), port):
        raise InvalidInputError(
            f"this process has joined the Ray cluster at {joined}, which is not {address!r}: give that address or "
            "'auto' to play there, or leave it before by ray.shutdown()"
        )


def _ip(host: str, here: str) -> str:
    """Of a host by whichever of its names; what is no name is left to stand."""
    try:
        found = socket.gethostbyname(host)
    except OSError:
        return host
    return here if found.startswith("127.") else found
