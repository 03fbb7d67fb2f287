"""What an agent may send to a shift, what comes back, and what a shift refuses to be."""

import json
from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from shifts import DOMAINS, NEEDS_TAU2, SHIFTS, by_oracle, offered, played

from agentmem.errors import InvalidInputError
from agentmem.rollout.making import about
from agentmem.rollout.reading import may_write
from agentmem_envs.calls import Call, call
from agentmem_envs.picture import page
from agentmem_envs.shift import schema
from agentmem_envs.shift.board import COLOURS, PAPER
from agentmem_envs.shift.desk import TOOLS
from agentmem_envs.shift.env import Shift
from agentmem_envs.shift.policies import Oracle
from agentmem_envs.shift.telecom_callers import callers
from agentmem_envs.shift.wrapper import Candidates

ALL = pytest.mark.parametrize("domain", DOMAINS)
CANCELS = {"shop": "cancel_order", "retail": "cancel_pending_order", "airline": "cancel_reservation"}
LOOKS = {"open_document", "check_status_bar", "run_speed_test", "can_send_mms", "transfer_to_human_agents"}
"""Tools that change nothing, whatever they are called."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


def begun(domain: str, **options: Any) -> tuple[Shift, str]:
    """A shift that has just begun, and its right call."""
    shift = SHIFTS[domain](privileged=True, **options)
    _, info = shift.reset(seed=3)
    return shift, info["gold"]


def named(shift: Shift) -> st.SearchStrategy[str]:
    """Calls of the shift's own tools, with arguments of any form."""
    arguments = sorted({name for forms in shift.schema.values() for name in forms})
    args = st.dictionaries(st.sampled_from(arguments), JSON, max_size=7)
    return st.builds(
        lambda tool, args: json.dumps({"tool": tool, "args": args}), st.sampled_from(sorted(shift.schema)), args
    )


@ALL
def test_any_text_is_a_graded_failure_and_never_a_crash(domain: str) -> None:
    shift, _ = begun(domain, steps=5000)
    space = shift.observation_space

    @settings(max_examples=80)
    @given(st.text() | JSON.map(json.dumps) | named(shift))
    def law(text: str) -> None:
        observation, reward, _, _, info = shift.step(text)
        assert observation in space
        assert (reward, info["right"]) == (0.0, False)

    law()


@ALL
def test_any_call_that_the_desk_allows_is_answered_whatever_was_asked(domain: str) -> None:
    """The answer of one look-up has another form than that of the next."""
    shift, _ = begun(domain)
    right = []
    for _ in range(150):
        right.append(shift.candidates()[0])
        right.append(shift._ticket.decision.call.text)
        shift.step(right[-1])
    looks = {json.loads(text)["tool"]: text for text in right if json.loads(text)["tool"] not in shift.domain.writes}
    if "list_all_product_types" in shift.domain.schema:
        looks["list"] = json.dumps({"tool": "list_all_product_types", "args": {}})
    answers = set()
    for look in looks.values():
        shift, _ = begun(domain)
        for _ in range(150):
            observation, *_ = shift.step(look)
            assert observation in shift.observation_space
            answers.add(shift._ticket.outcome)
    assert len(answers) > 2


def test_an_answer_that_cannot_be_read_is_an_error_of_the_right_call_and_no_matter_of_another() -> None:
    for other in ("", '{"tool": "close_ticket", "args": {"code": "AB-1"}}'):
        shift, gold = begun("shop")
        ticket = shift._ticket
        ticket.decision.reply = lambda result: str(json.loads("no JSON"))
        if other:
            shift.step(other)
            assert ticket.outcome == "Done."
        else:
            with pytest.raises(json.JSONDecodeError):
                shift.step(gold)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[" * 100_000,
        "[" * 4_000,
        "1" * 5_000,
        "1" * 4_096,
        "[]",
        '{"tool": "close_ticket"}',
        '{"tool": 3, "args": {}}',
        '{"tool": "close_ticket", "args": []}',
        '{"tool": "close_ticket", "args": {}}',
        '{"tool": "close_ticket", "args": {"code": 7}}',
        '{"tool": "close_ticket", "args": {"code": "A", "more": "B"}}',
        '{"tool": "close_ticket", "args": {"code": "\\ud800"}}',
        '{"tool": "drop_tables", "args": {}}',
        None,
        7,
    ],
)
def test_malformed_calls_are_graded_failures(text: Any) -> None:
    shift, _ = begun("shop")
    observation, reward, _, _, info = shift.step(text)
    assert observation in shift.observation_space
    assert (reward, info["right"]) == (0.0, False)


@ALL
def test_a_right_call_is_right_however_it_is_written(domain: str) -> None:
    shift, right = begun(domain)
    call = json.loads(right)
    _, _, _, _, info = shift.step(json.dumps(dict(reversed(call.items())), indent=3))
    assert info["right"]


@NEEDS_TAU2
def test_a_look_up_that_answers_the_same_is_right() -> None:
    shift, right = begun("retail")
    assert json.loads(right)["tool"] == "find_user_id_by_name_zip"
    user = shift._desk.live.row(("users", shift._ticket.owner or ""))
    _, _, _, _, info = shift.step(json.dumps({"tool": "find_user_id_by_email", "args": {"email": user.email}}))
    assert info["right"]


@ALL
def test_a_ticket_changes_its_own_customers_rows_and_nobody_elses(domain: str) -> None:
    shift, _ = begun(domain)
    call, place = foreign(domain, shift)
    before = deepcopy(shift._desk.live.row(place))
    observation, _, _, _, info = shift.step(json.dumps(call))
    assert not info["right"]
    assert not observation["accepted"]
    assert shift._desk.live.row(place) == before
    assert not any(value in shift._text() for value in call["args"].values())


def foreign(domain: str, shift: Shift) -> tuple[dict[str, Any], tuple[str, str]]:
    """A call that would change a row of a customer who comes last, and the row."""
    side: Any = shift._desk.live.side
    last = shift._roster.material.customers[-1]
    if domain == "banking":
        args = {"user_id": last, "new_email": "somebody@example.org"}
        return {"tool": "change_user_email", "args": args}, ("users", last)
    if domain == "telecom":
        phone = callers()[last].phone
        return {"tool": "toggle_airplane_mode", "args": {"phone_number": phone}}, ("handsets", phone)
    table, argument = ("reservations", "reservation_id") if domain == "airline" else ("orders", "order_id")
    key = next(id for id, row in getattr(side, table).items() if row.status in ("pending", None))
    more = {"reason": "no longer needed"} if domain == "retail" else {}
    return {"tool": CANCELS[domain], "args": {argument: key, **more}}, (table, key)


@pytest.mark.slow
@ALL
def test_a_wrong_call_anywhere_costs_its_own_ticket_and_no_other(domain: str) -> None:
    for wrong in by_oracle(domain, 2)[1].hidden:
        seen = played(offered(domain, steps=300), 1, OnceWrong(wrong))
        assert sum(not result["solved"] for result in seen.results) <= 1


@ALL
def test_a_wrong_call_costs_its_own_ticket_and_no_other(domain: str) -> None:
    for wrong in by_oracle(domain, 1)[0].hidden[:40:20]:
        seen = played(offered(domain, steps=300), 0, OnceWrong(wrong))
        assert not seen.taken[wrong]
        assert sum(not result["solved"] for result in seen.results) == 1


class OnceWrong(Oracle):
    """The oracle, which errs at one step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def act(self, observation: Any, info: Any) -> int:
        right = super().act(observation, info)
        return (right + 1) % 8 if observation["step"] == self.step else right


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "dev"}, "'train', 'test'"),
        ({"render_mode": "human"}, "'ansi', 'rgb_array'"),
        ({"delay": 0}, "between 1 and 999"),
        ({"delay": 1000}, "between 1 and 999"),
        ({"delay": "100"}, "between 1 and 999"),
        *(({"steps": steps}, "from 1 to 1,000,000") for steps in (0, 10**7, 40.5, float("inf"), "40", "", True, None)),
        ({"steps": 1, "delay": 1}, "steps=1: give 2 or more"),
        ({"steps": 100}, "delay=100: .*, or more steps than the delay, which is 100 where none is given"),
        *(({"days": days}, "days=.*from 1 to 10") for days in (0, 11, 1.5, "2", True)),
        *(({switch: 3}, f"{switch}=3: give True or False") for switch in ("drift", "privileged")),
        ({"render_mode": 3}, "render_mode=3: give one of None, 'ansi'"),
    ],
)
def test_settings_that_make_no_shift_are_refused_with_the_limit(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        SHIFTS["shop"](**options)


def test_a_step_outside_of_a_shift_is_refused() -> None:
    shift = SHIFTS["shop"](steps=2, delay=1)
    with pytest.raises(InvalidInputError, match="call reset"):
        shift.step("")
    shift.reset(seed=0)
    shift.step("")
    observation, _, terminated, truncated, _ = shift.step("")
    assert (observation["text"], terminated, truncated) == ("The shift is over.", False, True)
    with pytest.raises(InvalidInputError, match="call reset"):
        shift.step("")


def test_the_delay_of_one_shift_can_be_set_on_reset() -> None:
    env = offered("shop", steps=300)
    with pytest.raises(InvalidInputError, match="between 1 and 299"):
        env.reset(options={"delay": 300})
    _, info = env.reset(seed=0, options={"delay": 30})
    found = []
    for _ in range(200):
        observation, _, _, _, info = env.step(info["gold_index"])
        found += [int(observation["step"][0]) - need["shown"] for need in info["needs"]]
    assert 30 <= min(found) < 100


@ALL
def test_a_shift_says_which_tools_it_has(domain: str) -> None:
    shift, gold = begun(domain)
    right = json.loads(gold)
    assert shift.schema.keys() >= {right["tool"], "close_ticket"}
    assert shift.schema[right["tool"]].keys() >= right["args"].keys()
    assert right["tool"] in about(lambda: shift).tools  # what a chat model is told


@ALL
def test_under_drift_a_tool_takes_its_new_argument_from_the_step_that_announces_it_and_no_candidate_tells(
    domain: str,
) -> None:
    env, told, used = offered(domain, steps=600, drift=True), False, 0
    observation, info = env.reset(seed=0)
    for _ in range(599):
        told |= "close_ticket takes one more argument, desk" in observation["text"]
        assert env.shift.schema["close_ticket"] == {"code": "string"} | ({"desk": "string?"} if told else {})
        calls = [Call(**json.loads(line)) for line in observation["candidates"].split("\n")]
        for each in calls:
            schema.check(each, env.shift.schema)
        forms = {tuple(each.args) for each in calls if each.tool == "close_ticket"}
        assert len(forms) <= 1
        used += ("code", "desk") in forms
        observation, _, _, _, info = env.step(info["gold_index"])
    assert told
    assert used > 5
    env.reset(seed=0)
    assert "desk" not in env.shift.schema["close_ticket"]


def test_an_argument_that_is_not_announced_yet_is_refused_and_then_it_is_taken() -> None:
    shift, _ = begun("shop", drift=True)
    known, accepted = '{"tool": "close_ticket", "args": {"code": "AB-1", "desk": "D417-QA"}}', []
    while "desk" not in shift.schema["close_ticket"]:
        accepted.append(shift.step(known)[0]["accepted"])
    assert 0 < len(accepted) < 100
    assert not any(accepted)
    assert shift.step(known)[0]["accepted"]


@ALL
def test_without_drift_no_tool_takes_another_argument(domain: str) -> None:
    shift, _ = begun(domain, steps=300)
    before = shift.schema
    for _ in range(300):
        shift.step("")
    assert shift.schema == before
    assert before["close_ticket"] == {"code": "string"}


@ALL
def test_an_observation_tells_of_every_tool_of_the_desk_whether_it_may_change_something(domain: str) -> None:
    env = offered(domain)
    observation, _ = env.reset(seed=3)
    shift = env.shift
    for tool in shift.schema:
        shift._candidates = [call(tool)]
        seen = env._offer(observation)
        assert seen in env.observation_space
        assert may_write(seen) == (tool in {*TOOLS, *shift.domain.writes})
    assert not {*shift.schema} & LOOKS & shift.domain.writes


@ALL
def test_recall_before_a_write_is_asked_at_the_steps_whose_right_call_writes(domain: str) -> None:
    env = offered(domain, steps=150)
    observation, info = env.reset(seed=3)
    asked = set()
    for _ in range(149):
        tool = json.loads(info["gold"])["tool"]
        asked.add(may_write(observation))
        assert may_write(observation) >= (tool in {*TOOLS, *env.shift.domain.writes})
        assert may_write(observation) or not info["needs"]
        observation, _, _, _, info = env.step(info["gold_index"])
    assert asked == {True, False}


@ALL
def test_the_right_call_is_told_to_privileged_shifts_alone(domain: str) -> None:
    plain = Candidates(SHIFTS[domain]())
    assert {"gold", "gold_index"} & plain.reset(seed=0)[1].keys() == set()
    info = offered(domain).reset(seed=0)[1]
    assert json.loads(info["gold"]).keys() == {"tool", "args"}
    assert info["gold_index"] in range(8)


def test_candidates_are_of_shifts_only_and_a_choice_beyond_them_is_a_failure() -> None:
    with pytest.raises(InvalidInputError, match="no Shift"):
        Candidates(gymnasium.make("CartPole-v1"))
    env = offered("shop", steps=300)
    _, info = env.reset(seed=0)
    choices: list[Any] = [np.int64(99), -1, 8, None, 1.0, float("nan"), b"1", [1], np.array([1]), {"tool": "x"}]
    for choice in choices:
        observation, reward, _, _, info = env.step(choice)
        assert (info["right"], reward, int(observation["accepted"])) == (False, 0.0, 0)
    assert env.step(np.array(info["gold_index"]))[4]["right"] is True


@ALL
def test_environments_keep_gymnasiums_rules(domain: str, recwarn: pytest.WarningsRecorder) -> None:
    env = gymnasium.make(f"agentmem_envs:agentmem/Shift{domain.capitalize()}-Short-v0", render_mode="ansi")
    check_env(env.unwrapped)
    assert [str(each.message) for each in recwarn if "gym" in each.filename] == []
    check_env(Candidates(env.unwrapped), skip_render_check=True)


def test_a_shift_is_drawn_as_text_and_as_a_picture_of_it_and_of_its_tickets() -> None:
    shift, _ = begun("shop", render_mode="ansi")
    assert shift.render() == shift._text()
    picture = SHIFTS["shop"](render_mode="rgb_array", privileged=True)
    _, info = picture.reset(seed=3)
    blank = picture.render()
    for _ in range(30):
        _, _, _, _, info = picture.step(info["gold"])
    drawn, colours = picture.render(), []
    assert blank.shape == drawn.shape == (288, 576, 3)
    told = f"step 30 of 1,000; tickets solved: {len(picture.results)} of {len(picture.results)}"
    assert (drawn[:9] == page(f"{told}, of those with a hidden fact 0 of 0")[:9]).all()
    for place in range(len(picture.results) + 1):
        colours.append(tuple(int(each) for each in drawn[218, 8 * place + 2]))
    assert colours == [COLOURS[False, True]] * len(picture.results) + [PAPER]


@pytest.mark.parametrize(
    "name",
    [
        "ShiftShop",
        *(
            pytest.param(each, marks=NEEDS_TAU2)
            for each in ("ShiftRetail", "ShiftAirline", "ShiftTelecom", "ShiftBanking")
        ),
    ],
)
def test_ids_are_registered_and_survive_as_json(name: str) -> None:
    import agentmem_envs  # noqa: F401

    expected = {"": (1000, 1, False), "-Short": (300, 1, False), "-Week": (5000, 5, False), "-Drift": (1000, 1, True)}
    for variant, (steps, days, drift) in expected.items():
        env = gymnasium.make(f"agentmem/{name}{variant}-v0", split="test")
        shift = env.unwrapped
        assert isinstance(shift, Shift)
        assert (shift.steps, shift.days, shift.drift, shift.split) == (steps, days, drift, "test")
        assert env.spec is not None
        assert gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()) == env.spec
