"""The summarizer of LangChain's SummarizationMiddleware without a model: spans of what was said, nothing rewritten.

Knows messages and `agentmem.condense`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from langchain_core.messages import BaseMessage

from agentmem.condense import condense
from agentmem.langchain.messages import words_of
from agentmem.tokens import check_budget, count


def summarizer(tokens: int = 1024) -> Callable[[Sequence[BaseMessage]], str]:
    """For SummarizationMiddleware(model, summarizer=summarizer(), trim_tokens_to_summarize=None).

    tokens: of the summary, at most. Raises InvalidInputError for a number that is none.
    """
    check_budget(tokens)

    def summarized(messages: Sequence[BaseMessage]) -> str:
        texts = [text for text in map(words_of, messages) if text.strip()]
        whole = sum(map(count, texts))
        return condense(texts, max(1.0, whole / max(1, tokens))) if texts else ""

    return summarized
