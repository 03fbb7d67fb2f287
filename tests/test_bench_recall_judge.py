"""Our scores are the shared judge's: one file through both. Skipped where the judge is not beside this checkout."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest
from cl100k import folder

from agentmem.bench.recall import floors
from agentmem.bench.recall.counting import best
from agentmem.bench.recall.measure import measure
from agentmem.bench.recall.memories import Rows
from agentmem.bench.recall.reading import load
from agentmem.bench.recall.summary import summarize
from agentmem.types import Layer

SHARED = Path(os.environ.get("AGENTMEM_SHARED", Path(__file__).parents[2] / "shared"))
JUDGE = SHARED / "score" / "evidence_recall.py"
FILE = SHARED / "data" / "bfcl_memory_dev.jsonl.gz"
BUDGETS, QUESTIONS = [256, 1024], 12
COUNTER = "tiktoken cl100k_base"
OURS = {"newest": "recent"}
"""What we call otherwise."""

pytestmark = pytest.mark.skipif(not (JUDGE.is_file() and FILE.is_file()), reason="the judge or its data is not here")


@pytest.fixture(scope="module")
def judge() -> ModuleType:
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder())
    assert best().name == COUNTER
    spec = importlib.util.spec_from_file_location("judge", JUDGE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["agentmem", "agentmem unit", "newest", "bm25", "random10", "random2"])
@pytest.mark.slow
def test_scores_are_the_judges_own(judge: ModuleType, name: str) -> None:
    counter, histories = best(), 1 if name.startswith("agentmem") else 2
    build = Rows("keep", [Layer.UNIT]).build if name.startswith("agentmem") else floors.builder(name)
    measured = measure(load(FILE, most=histories), [build], BUDGETS, QUESTIONS, counter.count)
    (file,) = summarize({}, [measured], BUDGETS)["files"]
    system, _, layer = OURS.get(name, name).partition(" ")
    judge.AgentMem.layers = [layer] if layer else None
    told = judge.evaluate(FILE, system, BUDGETS, QUESTIONS, histories)
    for metric, means in ((m, file["systems"][name]["scores"][m]) for m in ("evidence", "all", "exact", "luck")):
        for budget, mean in means.items():
            assert mean["mean"] == pytest.approx(told[f"{metric}@{budget}"], abs=1e-4)
            assert mean["n"] == told[f"n_{metric}"]
    assert file["tokens"] == told["tokens"]
    assert file["systems"][name]["overruns"] == told["overruns"] == 0
