"""Gymnasium environments in which memory is what makes an agent succeed, with ids `agentmem/Name-v0`.

Importing this module registers them all and loads none of their classes. Gymnasium has loaded no plugins since 1.0, so
import it, or let the id name it: `gymnasium.make("agentmem_envs:agentmem/TMaze-v0")`.
"""

from typing import Any

from gymnasium.envs.registration import register, registry

ENVIRONMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "agentmem/TMaze-v0": ("agentmem_envs.tmaze:TMaze", {}),
    "agentmem/Workflow-v0": ("agentmem_envs.workflow.env:WorkflowEnv", {}),
}
"""id: (module and class, keyword arguments); strings and JSON alone, so that a spec survives `to_json`."""

for _domain in ("Shop", "Retail", "Airline", "Telecom", "Banking"):
    _class = f"agentmem_envs.shift.{_domain.lower()}:Shift{_domain}"
    ENVIRONMENTS[f"agentmem/Shift{_domain}-v0"] = (_class, {})
    ENVIRONMENTS[f"agentmem/Shift{_domain}-Short-v0"] = (_class, {"steps": 300})
    ENVIRONMENTS[f"agentmem/Shift{_domain}-Week-v0"] = (_class, {"days": 5})
    ENVIRONMENTS[f"agentmem/Shift{_domain}-Drift-v0"] = (_class, {"drift": True})

for _id, (_entry_point, _arguments) in ENVIRONMENTS.items():
    if _id not in registry:
        register(_id, entry_point=_entry_point, kwargs=_arguments)
