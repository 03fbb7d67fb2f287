"""Trained policies, which act with a memory. Needs torch.

words choice choosing        texts as numbered words; the network that chooses among offered calls; the policy it makes
spaces step_network policy_lm any observation as numbers; what decides at each step; that with the memory of crystals
demonstrations shown oracles choices, and steps, to learn from; who knows what is right, and which step showed it
bc ppo played                imitation; reinforcement; episodes side by side
reference fits               sizes of what is trained here; whether an environment can be trained in
files                        checkpoints by name
"""

from importlib.util import find_spec

from agentmem.errors import MissingExtraError

if missing := [name for name in ("torch", "safetensors", "tokenizers") if find_spec(name) is None]:
    raise MissingExtraError(f"a trained policy needs {', '.join(missing)}: pip install 'agentmem-crystal[policy]'")

from agentmem.policy.choosing import ChoicePolicy
from agentmem.policy.files import load_trained
from agentmem.policy.policy_lm import PolicyLM

__all__ = ["ChoicePolicy", "PolicyLM", "load_trained"]
