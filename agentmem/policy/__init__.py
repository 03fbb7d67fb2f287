"""Trained policies, which act with a memory. Needs torch.

words choice choosing        texts as numbered words; the network that chooses among offered calls; the policy it makes
spaces policy_lm             any observation as numbers; the transformer with memory over the steps of an episode
demonstrations shown oracles what choices, and what steps, are learned from; who knows what is right
bc                           imitation
fits                         whether a policy can act in an environment, and one can be trained there
files                        checkpoints by name
"""

from importlib.util import find_spec

from agentmem.errors import MissingExtraError

if find_spec("torch") is None:
    raise MissingExtraError("a trained policy needs torch: pip install 'agentmem-crystal[policy]'")

from agentmem.policy.choosing import ChoicePolicy
from agentmem.policy.files import load_trained
from agentmem.policy.policy_lm import PolicyLM

__all__ = ["ChoicePolicy", "PolicyLM", "load_trained"]
