"""One working shift over one live database, as a Gymnasium environment. Knows no domain: see `shop` and `retail`."""

from inspect import cleandoc
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agentmem.errors import InvalidInputError
from agentmem_envs import settings
from agentmem_envs.calls import LIMIT, Call
from agentmem_envs.shift.board import board
from agentmem_envs.shift.candidates import choices
from agentmem_envs.shift.desk import Desk, Outcome, tools
from agentmem_envs.shift.domain import Domain
from agentmem_envs.shift.facts import Fact, Told
from agentmem_envs.shift.roster import Roster
from agentmem_envs.shift.schema import widened
from agentmem_envs.shift.tickets import Decision, Hidden, Ticket
from agentmem_envs.text import plain, text_space

OPEN = 3
"""Tickets open at a time."""
LONGEST, WEEK = 1_000_000, 10
"""Steps of a day and days of a shift, at most."""
DELAY = 100
OVER = "The shift is over."
Observation = dict[str, Any]
METADATA: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}


class Shift(gymnasium.Env[Observation, str]):
    """
    ## Description

    One episode is one shift at a help desk over one live database. Three tickets are open at a time; customers
    interleave, go away and return. What a customer said, an id that a look-up gave, or a rule that the supervisor
    announced is shown once and needed at least `delay` steps later, so it stands in no window of that length. 60 % of
    tickets turn on such a hidden fact. Who comes when never depends on what the agent does. Under drift a rule is
    superseded, stock runs out, a customer corrects himself and a tool takes a new argument: the newest valid value is
    right, and some facts must be joined (the first choice, and that it is sold out).

    The text names the ticket and the customer, says what came of the last call of that ticket, and asks for the next
    one. Each step is one call; it is graded, and the ticket moves on whether it was right or not.

    ## Action Space

    `Text(4096)`: a tool call, `{"tool": NAME, "args": {...}}`, of the tools in `env.unwrapped.schema`; under drift one
    of them takes a new argument from the step that announces it. Any other text is a graded failure.
    `wrapper.Candidates` makes it `Discrete(8)`.

    ## Observation Space

    `Dict`: `text`, printable ASCII, `Text(4096)`; `step`, int64 [1]; `accepted`, whether the last call was,
    `Discrete(2)`. `wrapper.Candidates` adds `candidates` (one call a line), `action_mask` [8] and `writes` (may one of
    the calls change something).

    ## Rewards

    1 when a ticket is closed with all its calls right, else 0. A call that changes something is right when the rows
    that it touches then equal those of a twin database on which only right calls run, and the ticket's own check holds;
    a look-up, when it answers the same.

    ## Info

    - `needs`: each hidden fact that the coming decision needs: `id`, `kind`, `value`, `shown`, the step of its last
      valid showing, and `stale`, the value that it superseded, or None. Kinds of every desk are `reference`, what a
      matter is to be filed under, `bulletin` and `policy`, two kinds of rules, and under drift `schema`, a new
      argument, and `stock`, that something is sold out.
    - `right`, `hidden`, `kind`, `stale` of the last decision: whether it was right, whether it had needs, of which
      kind, and whether a superseded value was chosen.
    - `results`: at the end one for each closed ticket, `id`, `kind`, `source` ("generated" or "tau2": word for word
      tau2's own), `hidden` and `solved`; until then `[]`. Where a wrapper ends the episode sooner,
      `env.unwrapped.results` has them.
    - with `privileged=True` also `gold`, the right call.

    ## Termination

    Never terminated; truncated after `steps` steps a day. Tickets still open then have no result.

    ## Arguments

    `split`: "train" (default) or "test", which have other customers: tau2's by its tasks, all others by a fixed hash.
    `steps`: of a day, 1 to 1,000,000 (default 1,000). `days`: on one database, 1 to 10 (default 1). `delay`: least
    steps from the last showing of a fact to a decision that needs it (default 100); one shift's own by
    `reset(options={"delay": n})`. `drift`: whether what was told changes (default False). `privileged`: see Info.
    `render_mode`: "ansi", what is read, or "rgb_array", a picture: the step, how many tickets are solved, what is read,
    and a square for each closed ticket: green solved, red not, dark those that turn on a hidden fact.
    InvalidInputError: any other value; a misspelt option of reset; a step outside of a shift. MissingExtraError: the
    desk's material is not installed.

    ## Registered Configurations

    Of each desk four, as of the shop:

    - `agentmem/ShiftShop-v0`
    - `agentmem/ShiftShop-Short-v0`: 300 steps
    - `agentmem/ShiftShop-Week-v0`: five days of 1,000 steps
    - `agentmem/ShiftShop-Drift-v0`: under drift

    """

    metadata = METADATA

    def __init_subclass__(cls, **arguments: Any) -> None:
        """What a desk says of itself stands before what holds for all."""
        super().__init_subclass__(**arguments)
        cls.__doc__ = "\n\n".join(cleandoc(doc) for doc in (cls.__doc__, Shift.__doc__) if doc)

    def __init__(
        self,
        domain: Domain,
        *,
        split: str = "train",
        steps: int = 1000,
        days: int = 1,
        delay: int = DELAY,
        drift: bool = False,
        privileged: bool = False,
        render_mode: str | None = None,
    ) -> None:
        settings.one_of("split", split, ("train", "test"))
        settings.render_mode(render_mode, self.metadata)
        settings.whole("steps", steps, LONGEST)
        settings.whole("days", days, WEEK)
        settings.switch("drift", drift)
        settings.switch("privileged", privileged)
        self.domain, self.split, self.steps, self.days = domain, split, steps * days, days
        self.delay, self.drift, self.privileged, self.render_mode = self._delay(delay), drift, privileged, render_mode
        self.observation_space = spaces.Dict(
            {
                "text": text_space(LIMIT),
                "step": spaces.Box(0, self.steps, (1,), np.int64),
                "accepted": spaces.Discrete(2),
            }
        )
        self.action_space = text_space(LIMIT)
        self.schema = tools(domain)
        """The tools of now and their arguments. Under drift an announcement adds one, from the step that shows it."""
        self._results: list[dict[str, Any]] = []
        self._begun, self._over = False, True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """A new shift. `options={"delay": n}` sets the delay of this shift alone."""
        delay = self._delay(settings.options(options, ("delay",)).get("delay", self.delay))
        super().reset(seed=seed)
        self._told = Told(delay)
        self._draw = np.random.default_rng(int(self.np_random.integers(2**62)))
        material = self.domain.open(self.split, self.np_random, self.drift)
        self._roster = Roster(material, self._told, self.np_random, self.steps, self.days, self.drift)
        self._desk, self.schema = Desk(self.domain, material), tools(self.domain)
        self._open: list[Ticket] = []
        self._results = []
        self._candidates: list[Call] | None = None
        self._at, self._begun, self._over = 0, True, False
        self._turn()
        return self._observation(True), self._info(None, None)

    def step(self, action: str) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        if self._over:
            raise InvalidInputError("the shift is over or has not begun: call reset()")
        ticket, needed = self._ticket, self._ticket.decision.hidden
        outcome = self._desk.play(action, ticket, self.schema)
        solved = self._advance(ticket, outcome)
        self._at += 1
        self._over = self._at >= self.steps
        if not self._over:
            self._turn()
        return self._observation(outcome.accepted), float(solved), False, self._over, self._info(outcome, needed)

    def candidates(self) -> list[str]:
        """The calls to choose from at this step, at most `candidates.CHOICES`, in random order; none when over."""
        return [call.text for call in self._offered()]

    def writes(self) -> bool:
        """Whether one of the candidates may change something."""
        return any(self._desk.writes(call) for call in self._offered())

    def _offered(self) -> list[Call]:
        if self._over:
            return []
        if self._candidates is None:
            self._candidates = choices(self._ticket.decision, self._told, self._at, self._draw)
        return self._candidates

    @property
    def results(self) -> list[dict[str, Any]]:
        """One for each ticket that is closed by now, as `info` tells at the end."""
        return list(self._results)

    def render(self) -> Any:
        if self.render_mode is None:
            return None
        settings.begun(self._begun, "shift")
        text = self._text()
        return text if self.render_mode == "ansi" else board(text, self._results, self._at, self.steps)

    def _turn(self) -> None:
        """Shows the next decision of one of the open tickets; what its text tells counts from now."""
        while len(self._open) < OPEN:
            busy = [topic for ticket in self._open for topic in ticket.topics]
            self._open.append(self._roster.arrive(self._at, busy))
        first = self.np_random.random() < 0.6
        self._ticket = self._open.pop(0 if first else int(self.np_random.integers(OPEN)))
        self._open.append(self._ticket)
        decision = self._ticket.decision
        self.schema = widened(self.schema, decision.adds)
        for form, value in decision.shows:
            self._told.tell(form, value, self._at)
        for follow in decision.then:
            follow(self._at)
        self._candidates = None

    def _advance(self, ticket: Ticket, outcome: Outcome) -> bool:
        """Moves a ticket on whatever the call was; True when that closes it with all its decisions right."""
        ticket.right &= outcome.right
        ticket.outcome = _reply(ticket.decision, outcome)
        ticket.at += 1
        if ticket.at < len(ticket.decisions):
            return False
        self._open.remove(ticket)
        result = {"id": ticket.id, "kind": ticket.kind, "source": ticket.source}
        self._results.append({**result, "hidden": ticket.hidden, "solved": ticket.right})
        return ticket.right

    def _text(self) -> str:
        return OVER if self._over else plain(self._ticket.text)[:LIMIT]

    def _observation(self, accepted: bool) -> Observation:
        return {"text": self._text(), "step": np.array([self._at], np.int64), "accepted": np.int64(accepted)}

    def _info(self, outcome: Outcome | None, needed: Hidden | None) -> dict[str, Any]:
        """What the coming decision needs, and how the last one went."""
        coming = None if self._over else self._ticket.decision
        hidden = coming.hidden if coming else None
        info: dict[str, Any] = {
            "needs": [self._need(fact) for fact in hidden.facts] if hidden else [],
            "right": outcome is not None and outcome.right,
            "hidden": needed is not None,
            "kind": needed.kind if needed else "",
            "stale": bool(outcome and needed and needed.stale and outcome.given == needed.make(needed.stale)),
            "results": self.results if self._over else [],
        }
        if self.privileged:
            info["gold"] = coming.call.text if coming else ""
        return info

    def _need(self, fact: Fact) -> dict[str, Any]:
        stale = fact.stale[-1] if fact.stale else None
        return {"id": fact.id, "kind": fact.kind, "value": fact.value, "shown": self._told.shown(fact), "stale": stale}

    def _delay(self, delay: Any) -> int:
        if self.steps < 2:
            raise InvalidInputError(f"steps={self.steps}: give 2 or more, as facts are shown before they are needed")
        if not isinstance(delay, int) or isinstance(delay, bool) or not 1 <= delay < self.steps:
            raise InvalidInputError(
                f"delay={delay!r}: give a whole number between 1 and {self.steps - 1}, one less than the steps, or "
                f"more steps than the delay, which is {DELAY} where none is given"
            )
        return delay


def _reply(decision: Decision, outcome: Outcome) -> str:
    """What the agent reads of its call. One that was not asked for may answer in a form that tells nothing here."""
    if not outcome.accepted:
        return outcome.reply
    try:
        return decision.reply(outcome.reply)
    except (ValueError, LookupError, TypeError):
        if outcome.given == decision.call:
            raise
        return "Done."
