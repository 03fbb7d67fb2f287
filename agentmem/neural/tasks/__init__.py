"""Generated, seeded tasks for the neural memory and its peers. A table of contents; knows nothing of models."""

from agentmem.neural.tasks.chains import Chains as Chains
from agentmem.neural.tasks.copying import Copying as Copying
from agentmem.neural.tasks.counting import Counting as Counting
from agentmem.neural.tasks.key_value import RecallTask as RecallTask
from agentmem.neural.tasks.stories import Stories as Stories
from agentmem.neural.tasks.task import Questions as Questions
from agentmem.neural.tasks.task import Task as Task
from agentmem.neural.tasks.task import exact as exact
