"""Whether a policy can act in an environment, and whether one can be trained there: asked before anything is written.

Knows environments and trained policies; knows no training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentmem.errors import InvalidInputError
from agentmem.policy.bc import BATCH
from agentmem.policy.demonstrations import right_of
from agentmem.policy.oracles import oracle_of
from agentmem.policy.policy_lm import PolicyLM
from agentmem.policy.reference import actions_of, numbered_from_0
from agentmem.policy.spaces import Features
from agentmem.rollout.making import About, maker
from agentmem.rollout.raised import closing, playing


def check_acts(policy: Any, name: str, env: str, said: About) -> None:
    """Raises InvalidInputError for a trained policy that cannot act on what an environment says of itself."""
    if isinstance(policy, PolicyLM):
        _check_steps(policy, name, env, said)
    try:
        policy.act(said.first, None)
    except InvalidInputError as error:
        raise InvalidInputError(f"policy {name} cannot act in {env}: {error}") from error


def _check_steps(policy: PolicyLM, name: str, env: str, said: About) -> None:
    """That its numbers mean here what they meant where it was trained."""
    if policy.settings.actions != numbered_from_0(said.action_space):
        differs = f"it chooses one of {policy.settings.actions} actions, and there they are {said.action_space}"
    elif policy.features != Features.of(said.observation_space):
        differs = f"it was trained on other observations than {said.observation_space}"
    else:
        return
    raise InvalidInputError(
        f"policy {name} cannot act in {env}: {differs}; play the environment that it was trained in"
    )


def check_shifts(envs: Sequence[str], options: Mapping[str, Any], episodes: int) -> None:
    """Raises InvalidInputError for a shift that cannot be made, or that does not tell what is right, and for so few
    decisions in as many episodes of each that no batch can be made of them.
    """
    decisions = episodes * sum(_steps(env, options) for env in envs)
    if decisions < BATCH:
        raise InvalidInputError(
            f"{decisions} decisions would be shown, and a batch has {BATCH}: show longer shifts (--set steps=N) or "
            "more of them (--episodes N)"
        )


def _steps(env: str, options: Mapping[str, Any]) -> int:
    """Of a shift."""
    made = maker(env, {**options, "privileged": True})()
    try:
        right_of(made.reset(seed=0)[1], env)
        return int(made.get_wrapper_attr("steps"))
    finally:
        made.close()


def check_steps(env: str, options: Mapping[str, Any], oracle: bool) -> None:
    """Make an environment with each value of each option that is a list. oracle: whether one must be known.

    Raises InvalidInputError where it cannot be made, for actions that are not Discrete, where no oracle is known, and
    for values that change what is observed, or how many actions there are.
    """
    each = list(_each(options))
    forms = [_form(env, chosen, oracle) for chosen in each]
    for chosen, form in zip(each, forms, strict=True):
        if form != forms[0]:
            raise InvalidInputError(
                f"{env} has other observations or actions with {chosen} than with {each[0]}: a policy learns one form "
                "of them; give values that change neither"
            )


def _each(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each value of each list once, beside the first ones of the others."""
    lists = {name: values for name, values in options.items() if isinstance(values, list) and values}
    first = {**options, **{name: values[0] for name, values in lists.items()}}
    yield first
    for name, values in lists.items():
        yield from ({**first, name: value} for value in values[1:])


def _form(env: str, options: Mapping[str, Any], oracle: bool) -> tuple[Features, int]:
    """What a policy learns of an environment with these options: its observations as numbers, and how many actions."""
    with closing(maker(env, options)(), env) as made:
        actions = actions_of(made)
        with playing(env, "in reset"):
            made.reset(seed=0)
        if oracle:
            oracle_of(made)
        return Features.of(made.observation_space), actions
