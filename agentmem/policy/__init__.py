"""Trained policies, which act with a memory. Needs torch.

words choice choosing        texts as numbered words; the network that chooses among offered calls; the policy it makes
spaces policy_lm             any observation as numbers; the transformer with memory over the steps of an episode
demonstrations shown oracles what choices, and what steps, are learned from; who knows what is right
bc                           imitation
files                        checkpoints by name
"""

import agentmem.neural  # noqa: F401  (says what to install where torch is missing)
from agentmem.policy.choosing import ChoicePolicy
from agentmem.policy.files import load_trained
from agentmem.policy.policy_lm import PolicyLM

__all__ = ["ChoicePolicy", "PolicyLM", "load_trained"]
