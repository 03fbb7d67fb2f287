"""What the commands that play an environment have in common: its keywords, and the policy of a name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from agentmem.errors import InvalidInputError, PlayError

CHAT = "chat:"
POLICY = "shift"
"""Of shifts, by default."""
PolicyOption = typer.Option(
    metavar="NAME",
    help="shift, reader, rule (shifts); oracle (shifts and workflows); tmaze; random; FILE.safetensors; chat:MODEL; "
    "your.module:name. "
    f"{POLICY} in shifts, and needed elsewhere.",
    show_default=False,
)


def policy_for(env: str, options: dict[str, Any]) -> str:
    """The name of the policy of an environment that none was given for. Raises InvalidInputError where there is none,
    and as `maker`.
    """
    from agentmem.rollout.making import maker
    from agentmem.rollout.reading import is_shift

    if is_shift(env):
        return POLICY
    look_here(env)
    maker(env, options)  # what is no environment needs no policy
    raise InvalidInputError(
        f"{env} is no shift, which the policy {POLICY} plays by default: give --policy random, tmaze "
        "(the T-maze), chat:MODEL, your.module:name or FILE.safetensors"
    )


def options_of(env: str, policy: str, split: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """Keywords of the environment: those given, and what it needs for the policy."""
    from agentmem.rollout.reading import is_shift, may_tell

    if split and "split" in given:
        raise InvalidInputError(f"--split {split} and --set split={given['split']}: give one of them")
    options: dict[str, Any] = {"split": split or "test"} if is_shift(env) or split else {}
    if policy == "oracle" and may_tell(env):
        options["privileged"] = True
    return options | given


@contextmanager
def failures(policy: str, then: str = "") -> Iterator[None]:
    """An error of a policy's or an environment's code as one of ours; others are as they were. then: what is kept."""
    from agentmem.rollout.policies import error_of

    try:
        yield
    except Exception as error:
        told = error_of(policy, error, then)
        if told is None:
            raise
        raise told from (error.__cause__ if isinstance(error, PlayError) else error)


def look_here(*names: str) -> None:
    """Find modules of the current folder, as python -m does, where a name has one."""
    if any(":" in each for each in names) and "" not in sys.path:
        sys.path.insert(0, "")


def policy_of(name: str, env: str, options: dict[str, Any]) -> Any:
    """The policy of a name for an environment. Raises InvalidInputError for one that is not for it, and as
    `load_policy`.
    """
    from agentmem.rollout import load_policy
    from agentmem.rollout.making import about, maker
    from agentmem.rollout.policies import SHIFTS, is_trained
    from agentmem.rollout.reading import is_shift, may_tell

    look_here(name, env)
    make = maker(env, options)
    if name in SHIFTS and not (may_tell(env) if name == "oracle" else is_shift(env)):
        told = "is told the right call of a shift or a workflow"
        knows = told if name == "oracle" else "chooses among the candidates of a shift"
        raise InvalidInputError(
            f"policy {name} {knows}, and {env} is none: play one, such as agentmem/ShiftShop-Short-v0, or give random, "
            "chat:MODEL, your.module:name, or in a workflow oracle"
        )
    said = about(make)
    if name.startswith(CHAT):
        if name == CHAT:
            raise InvalidInputError(f"policy {name!r} names no model; give chat:MODEL, such as chat:openai:gpt-5")
        from agentmem.langchain import ChatModelPolicy, chat_model

        return ChatModelPolicy(chat_model(name.removeprefix(CHAT)), said.goal, said.tools)
    acting = load_policy(name, said.action_space)
    if is_trained(name):
        from agentmem.policy.fits import check_acts

        check_acts(acting, name, env, said)
    return acting
