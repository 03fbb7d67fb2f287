"""A chat model as a policy: it reads goal, planning context and observation, and writes a call or chooses one.

Knows messages; grades nothing. What the model writes is passed on as it is, and the environment judges it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from agentmem.errors import InvalidInputError, MissingExtraError
from agentmem.ingest.values import candidates_of, text_of
from agentmem.records import brief
from agentmem.types import PlanningContext

CHOOSE = "Answer with the number of one of the candidates and nothing else."
WRITE = 'Answer with one call as JSON, {"tool": NAME, "args": {...}}, and nothing else.'
ACT = "Answer with the action and nothing else."
AT_ONCE = 8
"""Questions to the model under way at a time."""


class ChatModelPolicy:
    """Asks a chat model for each action. It keeps no history: what the model is to know is in the planning context.

    model: any LangChain chat model. goal: what the agent is for. tools: their schema, as text. An answer that is no
    number of a candidate, or no call, is the action as it stands.
    """

    def __init__(self, model: BaseChatModel, goal: str = "", tools: str = "") -> None:
        if not isinstance(model, BaseChatModel):
            raise InvalidInputError(
                f"model {brief(model)} is no chat model of LangChain; give one, as of init_chat_model"
            )
        self.model, self.goal, self.tools = model, goal, tools

    def act(self, observation: Any, context: PlanningContext | None) -> Any:
        return _answered(self.model.invoke(self.messages(observation, context)), observation)

    def act_many(self, policies: Sequence[Any], observations: Sequence[Any], contexts: Sequence[Any]) -> list[Any]:
        """One action each, asked for at once."""
        asked: list[Any] = [self.messages(*each) for each in zip(observations, contexts, strict=True)]
        answers = self.model.batch(asked, {"max_concurrency": AT_ONCE})
        return [_answered(answer, seen) for answer, seen in zip(answers, observations, strict=True)]

    def messages(self, observation: Any, context: PlanningContext | None) -> list[BaseMessage]:
        """What the model is asked."""
        lines = candidates_of(observation)
        how = CHOOSE if lines else WRITE if self.tools else ACT
        tools = self.tools if not lines else ""
        remembered = context.text if context is not None else ""
        numbered = "\n".join(f"{number}: {line}" for number, line in enumerate(lines))
        system = _joined({"Goal: ": self.goal, "Tools: ": tools, "": how})
        human = _joined({"Memory:\n": remembered, "Observation:\n": text_of(observation), "Candidates:\n": numbered})
        return [SystemMessage(system), HumanMessage(human)]


def _joined(parts: Mapping[str, str]) -> str:
    """Each part under its heading; those that say nothing left out."""
    return "\n\n".join(heading + text for heading, text in parts.items() if text)


def _answered(answer: BaseMessage, observation: Any) -> Any:
    """The number of a candidate, a tool call in JSON, or the text as it is."""
    if isinstance(answer, AIMessage) and answer.tool_calls:
        call = answer.tool_calls[0]
        return json.dumps({"tool": call["name"], "args": call["args"]})
    text = str(answer.text).strip()
    number = int(text) if re.fullmatch(r"\d{1,4}", text) else -1
    return number if 0 <= number < len(candidates_of(observation)) else text


def chat_model(name: str) -> BaseChatModel:
    """A model by its name, such as openai:gpt-4o. MissingExtraError without LangChain or the provider's package."""
    try:
        from langchain.chat_models import init_chat_model  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise MissingExtraError("models by name need LangChain: pip install 'agentmem-crystal[langchain]'") from error
    try:
        model = init_chat_model(name)
    except ImportError as error:
        raise MissingExtraError(f"model {name!r} needs its provider's package: {error}") from error
    except ValueError as error:
        said = str(error).partition("\n\n")[0]  # a list of all providers follows
        raise InvalidInputError(f"model {name!r} cannot be had ({said}); name it as provider:model") from error
    return model  # type: ignore[no-any-return, unused-ignore]
