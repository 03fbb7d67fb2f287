"""The rollout itself: lanes of an environment, a policy, and a memory that logs every step and is recalled from.

Everything is a function of the seed: episode n has the seed `seed` + n, whichever lane plays it, and a run that was
killed goes on behind the last turn that it logged.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, get_args

from agentmem.errors import InvalidInputError, PlayError, SettingsError
from agentmem.memory import Memory, check_memory
from agentmem.memory.retention import closed
from agentmem.records import brief, check_whole, digest
from agentmem.rollout.actions import accepts, needed
from agentmem.rollout.contexts import KINDS, Kind
from agentmem.rollout.lanes import Lanes, Took
from agentmem.rollout.making import Make, given_to, maker, name_of
from agentmem.rollout.notes import FILES, NOTE, Claim, claimed, files_of, take
from agentmem.rollout.policies import acts, begun, check_policy, name_of_policy
from agentmem.rollout.raised import at_step, of_others
from agentmem.rollout.reading import Reading, reading_of
from agentmem.rollout.report import EpisodeReport, RolloutReport, episode_report, summed
from agentmem.rollout.trail import Trail, flush
from agentmem.rollout.values import pack, unpack
from agentmem.tokens import check_budget
from agentmem.types import PlanningContext

When = Literal["every", "write"]
Trigger = Callable[[Any, Mapping[str, Any]], bool]
Progress = Callable[[float, float], None]


@dataclass
class _Seat:
    """A lane with the episode that it plays."""

    trail: Trail
    policy: Any
    took: Took
    shown: PlanningContext | None = None


def rollout(
    env: str | Make,
    policy: Any,
    memory: Memory,
    *,
    kind: Kind = "crystals",
    budget: int = 1024,
    episodes: int = 1,
    workers: int = 1,
    seed: int = 0,
    recall: When | Trigger = "every",
    options: Mapping[str, Any] | None = None,
    reading: Reading | None = None,
    apart: bool | None = None,
    name: str | None = None,
    progress: Progress | None = None,
    numbers: Sequence[int] | None = None,
) -> RolloutReport:
    """Play episodes of an environment with a policy and a memory, and say what came of them.

    env: an id, made with `options`, or a function that makes one. kind: what the policy is shown: "crystals" (recall),
    "window" (the newest steps), both within `budget` tokens, "none", or "full". recall: at "every" step, before a step
    that may "write", or where a function of observation and info says. workers: lanes stepped together, each in a
    process of its own where a step takes over 1 ms, or as `apart` says. reading: what of an observation is logged and
    asked. name: of the policy, in place of its own `name`. progress: called with (episodes done, episodes). numbers:
    play these episodes alone, in place of 0 to `episodes`; other threads and processes may play others in the same
    memory meanwhile, and are refused those that are being played.
    Every step is logged, of each episode in a namespace of its own below the memory's; called again with the same
    arguments, it goes on where it was, if the policy has a name. Raises InvalidInputError for arguments that are out of
    bounds and for an environment or a policy that shows or does something else than before an interruption,
    SettingsError where the memory holds another rollout, or episodes that the wrapper or an import logged, and while
    another process or thread plays one of these, or all, PlayError for what the environment raises, and for a reward
    that is no finite number; what a policy raises as it is.
    """
    check_policy(policy)
    check_memory(memory)
    _check(kind, budget, episodes, workers, seed, recall)
    _check_numbers(numbers)
    make = maker(env, options)
    called = name_of(env)
    place = memory.scoped(*memory.namespace, called)
    known = name_of_policy(policy, name)
    given = given_to(env, options)
    note = {
        "environment": called, "options": pack(given)[0], "policy": known or type(policy).__name__, "memory": kind,
        "budget": budget, "seed": seed, "recall": recall if isinstance(recall, str) else "trigger",
        FILES: files_of(given),
    }  # fmt: skip
    if not take(place, note) and known is None:
        raise SettingsError(
            f"this memory holds a rollout with policy {note['policy']!r}; this one has no name that tells whether it "
            f"is the same: give name={note['policy']!r} if it is, or another memory"
        )
    reads, tell = reading or reading_of(called), progress or (lambda *_: None)
    run = _Run(policy, note["policy"], place, kind, budget, recall, reads, seed, tell)
    with claimed(place) if numbers is None else nullcontext():
        reports = run.play(make, range(episodes) if numbers is None else numbers, workers, apart)
    place.crystallize()  # nothing of its own, but it packs what was written, so that bytes say what is kept
    return summed(note, reports, closed(memory.stats().bytes))


def _check(kind: Any, budget: Any, episodes: Any, workers: Any, seed: Any, recall: Any) -> None:
    if kind not in KINDS:
        raise InvalidInputError(f"memory kind {brief(kind)} is unknown; give one of {', '.join(KINDS)}")
    if callable(recall):
        _check_trigger(recall)
    elif recall not in get_args(When):
        raise InvalidInputError(f"recall {brief(recall)} is unknown; give 'every', 'write' or a function")
    check_budget(budget)
    whole = (("episodes", episodes, 1), ("workers", workers, 1), ("seed", seed, 0))
    for what, value, least in whole:
        check_whole(what, value, least)


def _check_trigger(recall: Callable[..., Any]) -> None:
    try:
        taken = inspect.signature(recall)
    except ValueError:  # written in C, without one
        return
    try:
        taken.bind("observation", {})
    except TypeError as error:
        raise InvalidInputError(
            f"recall {brief(recall)} does not take an observation and info ({error}); give a function that takes both"
        ) from None


def _check_numbers(numbers: Any) -> None:
    """Of episodes, each once: two lanes would log the same one."""
    known: set[int] = set()
    for number in numbers or ():
        if isinstance(number, bool) or not isinstance(number, int) or number < 0 or number in known:
            raise InvalidInputError(f"numbers has {brief(number)}: give whole numbers, 0 or more, each once")
        known.add(number)


class _Run:
    """One rollout under way."""

    def __init__(
        self,
        policy: Any,
        name: str,
        place: Memory,
        kind: Kind,
        budget: int,
        recall: When | Trigger,
        reading: Reading,
        seed: int,
        progress: Progress,
    ) -> None:
        self.policy, self.name, self.place, self.kind, self.budget = policy, name, place, kind, budget
        self.recall, self.reading, self.seed, self.progress = recall, reading, seed, progress
        self.informed, self.stateful = getattr(policy, "informed", False), hasattr(policy, "begin")
        self.reports: dict[int, EpisodeReport] = {}
        self.claims: dict[int, Claim] = {}
        self.total = 0

    def play(self, make: Make, numbers: Sequence[int], workers: int, apart: bool | None) -> list[EpisodeReport]:
        left = []
        for number in numbers:
            space = self._space(number)
            if NOTE in space.attachments():
                self.reports[number] = EpisodeReport.model_validate_json(space.attachment(NOTE))
            else:
                left.append(number)
        self.total = len(numbers)
        if left:
            try:
                with Lanes(make, min(workers, len(left)), apart, self.seed) as lanes:
                    self._play(lanes, iter(left))
            finally:
                self._release(list(self.claims))
        return [self.reports[number] for number in numbers]

    def _release(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.claims.pop(number).close()

    def _space(self, number: int) -> Memory:
        return self.place.scoped(*self.place.namespace, str(number))

    def _play(self, lanes: Lanes, left: Iterator[int]) -> None:
        seats = self._seated(lanes, {lane: next(left) for lane in range(lanes.count)})
        try:
            while seats:
                actions = self._actions(seats, lanes)
                for lane, took in self._stepped(actions, seats, lanes).items():
                    seats[lane].took = took
                    seats[lane].trail.turn += 1
                over = [lane for lane, seat in seats.items() if seat.took.terminated or seat.took.truncated]
                if over:
                    self._finish([seats.pop(lane) for lane in over])
                    new = dict(zip(over, left, strict=False))
                    seats |= self._seated(lanes, new)
                    if idle := [lane for lane in over if lane not in new]:
                        lanes.stand(idle)
                self._tell(seats, lanes)
        finally:
            flush([seat.trail for seat in seats.values()])

    def _stepped(self, actions: Mapping[int, Any], seats: Mapping[int, _Seat], lanes: Lanes) -> dict[int, Took]:
        """What the steps give. Of those that an environment refuses nothing is logged: they were not made."""
        try:
            return lanes.step(actions)
        except Exception:
            for seat in seats.values():
                seat.trail.take_back()
            raise

    def _seated(self, lanes: Lanes, numbers: Mapping[int, int]) -> dict[int, _Seat]:
        if not numbers:
            return {}
        for number in numbers.values():  # before anything of them is read
            self.claims[number] = claimed(self._space(number))
        seeds = [self.seed + numbers[lane] if lane in numbers else None for lane in range(lanes.count)]
        seats = {}
        for lane, took in lanes.begin(seeds).items():
            seed = self.seed + numbers[lane]
            trail = Trail(self._space(numbers[lane]), numbers[lane], seed, self.reading)
            seats[lane] = _Seat(trail, begun(self.policy, seed, self.name), took)
        return seats

    def _tell(self, seats: Mapping[int, _Seat], lanes: Lanes) -> None:
        under_way = sum(seat.trail.turn for seat in seats.values()) / lanes.steps if lanes.steps else 0.0
        self.progress(len(self.reports) + under_way, self.total)

    # ---- deciding ------------------------------------------------------------------------------------------------

    def _actions(self, seats: Mapping[int, _Seat], lanes: Lanes) -> dict[int, Any]:
        """An action for each lane: as it was logged, or as the policy decides now, which is then logged."""
        for seat in seats.values():
            seat.trail.check(seat.took)
        new = {lane: seat for lane, seat in seats.items() if seat.trail.turn >= len(seat.trail.logged)}
        again = {lane: seat for lane, seat in seats.items() if lane not in new}
        deciding = {**new, **(again if self.stateful else {})}
        self._show(deciding, new)
        told = [seat.took.info if self.informed else seat.shown for seat in deciding.values()]
        policies = [seat.policy for seat in deciding.values()]
        observations = [seat.took.observation for seat in deciding.values()]
        decided = acts(self.policy, policies, observations, told, self.name) if deciding else []
        actions = dict(zip(deciding, decided, strict=True))
        for lane, seat in new.items():
            self._check(actions[lane], seat.trail, lanes)
        for lane, seat in new.items():
            seat.trail.act(seat.took, actions[lane], seat.shown, self.kind)
        for lane, seat in again.items():
            actions[lane] = self._as_logged(seat, lanes, actions.get(lane))
        return actions

    def _check(self, action: Any, trail: Trail, lanes: Lanes) -> None:
        """PlayError for an action that is none of the environment's."""
        space = lanes.action_space
        if not (lanes.any_action or accepts(space, action)):
            gave = f"gave {brief(action)} {_place(trail)}"
            raise PlayError(f"policy {self.name} {gave}, and {needed(space)} is needed; mend it")

    def _show(self, deciding: Mapping[int, _Seat], new: Mapping[int, _Seat]) -> None:
        """Recalls what each is shown, from a log that has all that came before."""
        asking = [seat for seat in deciding.values() if self._asks(seat.trail, seat.took)]
        stops = [seat for seat in new.values() if seat.trail.stops]
        if asking or stops or any(seat.trail.long for seat in new.values()):
            flush([seat.trail for seat in new.values()])
        for seat in stops if self.kind == "crystals" else ():
            seat.trail.memory.crystallize()
        for seat in deciding.values():
            seat.shown = None
        for seat in asking:
            seat.shown = seat.trail.context(self.kind, seat.took.observation, self.budget)

    def _asks(self, trail: Trail, took: Took) -> bool:
        if self.kind == "none":
            return False
        if callable(self.recall):
            try:
                return bool(self.recall(took.observation, took.info))
            except Exception as error:
                raise of_others(error).told(f"recall {brief(self.recall)}, {_place(trail)},") from error
        return self.recall == "every" or self.reading.writes(took.observation)

    def _as_logged(self, seat: _Seat, lanes: Lanes, decided: Any) -> Any:
        """The action of a turn that was logged before; a policy with a state must have come to the same."""
        before = seat.trail.logged[seat.trail.turn]
        if self.stateful and before.masked:
            return decided
        if self.stateful and not _same(pack(decided, "action"), before.action, before.blobs):
            raise InvalidInputError(
                f"at turn {seat.trail.turn} of episode {seat.trail.number} the policy chose {brief(decided)}, before "
                f"the run was interrupted {brief(before.action)}: use the policy that began, or another memory"
            )
        blobs = {name: seat.trail.memory.blob(digest) for name, digest in before.blobs.items()}
        return unpack(lanes.action_space, before.action, blobs)

    # ---- ending --------------------------------------------------------------------------------------------------

    def _finish(self, seats: Sequence[_Seat]) -> None:
        """Log the last observation of each, which nothing answers, and note what came of the episode."""
        for seat in seats:
            seat.trail.check(seat.took)
            if not seat.trail.over:
                seat.trail.waiting.append(seat.trail.observe(seat.took))
        flush([seat.trail for seat in seats])
        for seat in seats:
            trail = seat.trail
            trail.end()
            if self.kind == "crystals":
                trail.memory.crystallize()
            self.reports[trail.number] = report = episode_report(trail)
            trail.memory.attach(NOTE, report.model_dump_json().encode())
        self._release([seat.trail.number for seat in seats])


def _place(trail: Trail) -> str:
    return at_step(trail.turn + 1, f"episode {trail.number}")


def _same(packed: tuple[Any, Mapping[str, bytes]], value: Any, blobs: Mapping[str, str]) -> bool:
    return packed[0] == value and {name: digest(content) for name, content in packed[1].items()} == dict(blobs)
