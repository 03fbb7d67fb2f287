"""What recall reads of a namespace, kept in memory and extended as the log grows. Knows no store and no texts."""

from agentmem.index.coded import Dense
from agentmem.index.crystals import steps_beneath
from agentmem.index.growing import Index
from agentmem.index.ids import (
    STEP,
    begin_key,
    import_key,
    in_runs,
    runs_of,
    step_id,
    step_position,
    step_positions,
)
from agentmem.index.ruled import hold_of, rules_of
from agentmem.index.timeline import Stated
from agentmem.index.view import View, join, without_states

__all__ = [
    "STEP",
    "Dense",
    "Index",
    "Stated",
    "View",
    "begin_key",
    "hold_of",
    "import_key",
    "in_runs",
    "join",
    "rules_of",
    "runs_of",
    "step_id",
    "step_position",
    "step_positions",
    "steps_beneath",
    "without_states",
]
