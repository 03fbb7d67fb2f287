"""Train the small reference model on key-value recall, then ask it after 1K, 100K and 1M tokens.

python scripts/train_recall.py OUT SECONDS SEED    SECONDS of processor time; OUT is resumed if it is there
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from agentmem.neural.measure import recalled
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.task_training import TaskTraining
from agentmem.neural.tasks.key_value import RecallTask
from agentmem.neural.tokens import TokenModel, settings_of
from agentmem.neural.train import Trainer, TrainSettings, to_jsonl

EVERY = 100  # steps between saves


def main(out: Path, seconds: float, seed: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    crystal = CrystalSettings(dimension=96)
    model = TokenModel(settings_of(66, crystal, d_model=96, n_heads=4, lower=1, upper=1, window=50))
    trainer = Trainer(
        model, TaskTraining(), TrainSettings(seed=seed, seconds=seconds), report=to_jsonl(out / "metrics.jsonl")
    )
    if (out / "training.safetensors").exists():
        trainer.load(out / "training.safetensors")
    while trainer.progress.seconds < seconds:
        print(trainer.train(EVERY), flush=True)
        trainer.save(out / "training.safetensors")
        model.save(out / "model.safetensors", command=" ".join(["python", *sys.argv]))
    for tokens, facts in ((1_000, 10), (100_000, 1_000), (1_000_000, 100), (1_000_000, 10_000)):
        print(json.dumps(asdict(recalled(model, RecallTask(tokens, facts), seed=11))), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
