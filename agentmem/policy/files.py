"""Trained policies by name or file: those that come with the package, and your own."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.neural.files import kind_of, load, without_digest
from agentmem.policy import choosing, policy_lm
from agentmem.policy.choice import ChoiceNetwork
from agentmem.policy.choosing import ChoicePolicy
from agentmem.policy.policy_lm import PolicyLM
from agentmem.records import check_path

HERE = Path(__file__).parent / "checkpoints"
SUFFIX = ".safetensors"
DIGITS = 12
"""Of the digest of a file's content, in the name of its policy."""
KINDS: dict[str, type[ChoicePolicy] | type[PolicyLM]] = {choosing.KIND: ChoicePolicy, policy_lm.KIND: PolicyLM}


def load_trained(name: str | Path) -> ChoicePolicy | PolicyLM:
    """The policy of a checkpoint that comes with the package, or of a file. Its name tells what the file holds, too:
    one that was trained further is another policy. Raises NotFoundError where there is none, InvalidInputError for a
    file of something else.
    """
    check_path("the policy", name)
    name = str(name)
    file = Path(name) if name.endswith(SUFFIX) else HERE / f"{name}{SUFFIX}"
    if not file.is_file():
        there = ", ".join(sorted(each.stem for each in HERE.glob(f"*{SUFFIX}"))) or "none"
        raise NotFoundError(f"no policy {name!r} at {file}; there come with the package: {there}")
    if (kind := kind_of(file)) not in KINDS:
        raise InvalidInputError(f"{file} holds {kind or 'something else'}, not a policy; name another")
    policy = KINDS[kind].of(load(file, kind))
    policy.name = f"{name} {sha256(without_digest(file)).hexdigest()[:DIGITS]}"
    return policy


def begin_with(network: ChoiceNetwork | PolicyLM, trained: ChoicePolicy | PolicyLM) -> None:
    """Give a network what a trained policy knows; of one of other observations or actions, how it remembers.

    Raises InvalidInputError for a policy of another kind, or one that remembers by other sizes.
    """
    if isinstance(network, ChoiceNetwork) and isinstance(trained, ChoicePolicy):
        network.load_state_dict(trained.network.state_dict())
    elif not isinstance(network, PolicyLM) or not isinstance(trained, PolicyLM):
        acts = "chooses calls" if isinstance(trained, ChoicePolicy) else "acts step by step"
        raise InvalidInputError(f"policy {trained.name} {acts}: begin with one of the kind that is trained here")
    elif trained.settings == network.settings:
        network.load_state_dict(trained.state_dict())
    elif trained.settings.transformer == network.settings.transformer:
        network.transformer.load_state_dict(trained.transformer.state_dict())
    else:
        raise InvalidInputError(
            f"policy {trained.name} remembers by other sizes: begin with one that was trained by this version"
        )
