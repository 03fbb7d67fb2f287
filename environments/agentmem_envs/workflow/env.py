"""A workflow as a Gymnasium environment: many cases at once, one event of one case a step, one call in answer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict

from agentmem.errors import InvalidInputError
from agentmem_envs import settings
from agentmem_envs.calls import LIMIT, Call, Refused, parse
from agentmem_envs.picture import page
from agentmem_envs.text import plain, text_space
from agentmem_envs.workflow.cases import Case, Caseload, answer, choose, wrong
from agentmem_envs.workflow.checks import ROOM
from agentmem_envs.workflow.definition import Definition, load, names
from agentmem_envs.workflow.tools import check, do

Observation = dict[str, Any]


class WorkflowEnv(gymnasium.Env[Observation, str]):
    """
    ## Description

    Cases of one process are handled side by side: at each step one event of one case is read, and one tool call is the
    answer to it. What a customer says is said once; a state that needs it comes at least `delay` steps after it was
    last shown. Which case is next, and where it goes, depends on the seed alone: what the agent does shows in the
    cases' records, which the grader reads.

    The process is a definition: see `agentmem_envs.workflow.definition`, and examples/loan_application.yaml.

    ## Action Space

    `Text`: a tool call as JSON, `{"tool": NAME, "args": {...}}`. Any text may be given: what is no call, or is refused
    by the tool, changes no record, and the case in hand counts as not solved.

    ## Observation Space

    `Dict`: `text`, what the last call was answered and then `[case state]` and the event, in printable ASCII and
    the other characters of the definition; `step`, how many calls were made, int64 [1].

    ## Rewards

    1 at the step at which a case ends as the grader says, with no call refused on its way; else 0.

    ## Info

    As in the Shift family.

    - `needs`: the facts that the next call turns on and the text does not show: for each `id`, `kind` (its name in the
      definition), `value` as text, `shown`, the step whose observation last showed it, and `stale`, None: no value is
      superseded here.
    - `right`, `hidden`, `kind`, `stale` of the last call: whether it is the one that the definition wants (even if
      refused for an earlier mistake), whether it had needs, their kinds joined by `+`, and False.
    - `results`: at the end the cases that have ended: for each `id`, `kind` (its last state), `hidden` (whether a
      decision of it had needs), `solved`, and `failed`, the fields that the grader found to differ, as they stand;
      until then `[]`. Where a wrapper ends the episode sooner, `env.unwrapped.results` has them.
    - at reset `goal` and `tools`, for a chat model; with `privileged=True` always `gold`, the call that is wanted.

    ## Termination

    Never terminated; truncated after the definition's `steps`. Cases still open then have no result.

    ## Arguments

    `definition`: a path to a YAML file, a dict, or a Definition. `privileged`: see Info. `render_mode`: "ansi" or
    "rgb_array".
    InvalidInputError: a definition that cannot be played, with every place in it; any other value; a step after the
    end.

    ## Registered Configurations

    - `agentmem/Workflow-v0`

    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 1}

    def __init__(
        self,
        definition: Definition | Mapping[str, Any] | str | Path,
        privileged: bool = False,
        render_mode: str | None = None,
    ) -> None:
        settings.render_mode(render_mode, self.metadata)
        settings.switch("privileged", privileged)
        self.definition, self.privileged, self.render_mode = load(definition), privileged, render_mode
        self._charset = self.definition.charset()
        self.action_space = text_space(LIMIT, self._charset)
        step = Box(0, self.definition.steps, (1,), np.int64)
        self.observation_space = Dict({"text": text_space(LIMIT, self._charset), "step": step})
        self._results: list[dict[str, Any]] = []
        self._at, self._begun = self.definition.steps, False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        settings.options(options)
        super().reset(seed=seed)
        self._at, self._begun = 0, True
        self._caseload = Caseload(self.definition, self.np_random)
        self._records: dict[str, dict[str, Any]] = {}
        self._results = []
        self._take("")
        told = {"goal": self.definition.goal, "tools": self.definition.schemas()}
        return self._observation(), self._info(False, []) | told

    def step(self, action: str) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        settings.begun(self._begun, "episode")
        if self._at >= self.definition.steps:
            raise InvalidInputError(f"the episode ended after {self.definition.steps:,} steps; call reset")
        case, needed = self._case, self._needs
        right, said = self._do(action, self._wanted)
        self._at += 1
        solved = self._move(case)
        self._take(said + "\n")
        over = self._at >= self.definition.steps
        return self._observation(), float(solved), False, over, self._info(right, needed)

    def right_call(self) -> str:
        """The call that the definition wants now: the oracle, which knows every fact."""
        settings.begun(self._begun, "episode")
        return self._wanted.text

    @property
    def results(self) -> list[dict[str, Any]]:
        """One for each case that has ended by now, as `info` tells at the end."""
        return [result | {"failed": dict(result["failed"])} for result in self._results]

    def _do(self, action: str, wanted: Call) -> tuple[bool, str]:
        """Whether it is the wanted call, and what the agent reads of it."""
        right = False
        try:
            call = parse(action)
            check(self.definition.tools, call)
            right = call == wanted
            do(self.definition.tools, call, self._records)
        except Refused as refusal:
            self._case.clean = False
            return right, plain(f"Refused: {refusal}", self._charset)[: ROOM // 2]
        return right, "Done."

    def _take(self, said: str) -> None:
        """The next case in hand, what is read of it and what is right."""
        self._case, text = self._caseload.next(self._at)
        self._records.setdefault(self._case.id, {})
        self._text = said + text
        state = self.definition.states[self._case.state]
        self._wanted, turned_on = answer(self.definition, self._case.state, self._case.values, self._at)
        self._needs = [name for name in turned_on if name not in names(state.text)]
        self._case.hidden |= bool(self._needs)

    def _move(self, case: Case) -> bool:
        """The case after its call was made: in its next state, or graded; True if that finds it solved."""
        case.state = choose(self.definition.states[case.state], case.values, self._at - 1)[0].next
        if case.state in self.definition.states:
            self._caseload.back(case, self._at)
            return False
        failed = wrong(self.definition, case, self._records.pop(case.id))
        solved = case.clean and not failed
        result = {"id": case.id, "kind": case.state, "hidden": case.hidden, "solved": solved, "failed": failed}
        self._results.append(result)
        return solved

    def _observation(self) -> Observation:
        return {"text": self._text, "step": np.array([self._at], np.int64)}

    def _info(self, right: bool, needed: list[str]) -> dict[str, Any]:
        """What the coming call needs, and how the last one went."""
        info: dict[str, Any] = {
            "needs": [self._need(name) for name in self._needs],
            "right": right,
            "hidden": bool(needed),
            "kind": "+".join(needed),
            "stale": False,
            "results": self.results if self._at >= self.definition.steps else [],
        }
        return info | ({"gold": self.right_call()} if self.privileged else {})

    def _need(self, name: str) -> dict[str, Any]:
        value, shown = str(self._case.values[name]), self._case.shown[name]
        return {"id": f"{self._case.id}.{name}", "kind": name, "value": value, "shown": shown, "stale": None}

    def render(self) -> Any:
        """What is read, under the step and how many cases are open: as text, as a page (see `picture`), or None."""
        if self.render_mode is None:
            return None
        settings.begun(self._begun, "episode")
        text = f"step {self._at:,} of {self.definition.steps:,}, {len(self._records)} open cases\n{self._text}"
        return text if self.render_mode == "ansi" else page(text)
