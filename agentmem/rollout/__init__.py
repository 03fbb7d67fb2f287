"""Rollouts: a policy plays episodes of a Gymnasium environment, and a memory logs them and is recalled from.

reading           what of an observation is text, which episode it is of, what memory is asked
raised actions    what an environment or a policy raised, in one line; whether an action is one
making lanes      what makes an environment; copies of one stepped together
values            raw values as JSON and back
contexts trail    what a policy is shown; what of an episode is logged, and taken up after a crash
notes             who logged the episodes of an environment, and with what
policies report   policies without a model; what came of it
run again         the rollout; an episode of one, played again
"""

from agentmem.rollout.again import Again
from agentmem.rollout.minari import export_minari, import_minari
from agentmem.rollout.policies import RandomPolicy, ScriptedPolicy, load_policy
from agentmem.rollout.reading import Reading
from agentmem.rollout.report import EpisodeReport, RolloutReport
from agentmem.rollout.run import rollout
from agentmem.rollout.wrapper import PlanningContexts

__all__ = [
    "Again",
    "EpisodeReport",
    "PlanningContexts",
    "RandomPolicy",
    "Reading",
    "RolloutReport",
    "ScriptedPolicy",
    "export_minari",
    "import_minari",
    "load_policy",
    "rollout",
]
