"""tau2's material: read in place, without the packages it imports, and with the line that installs it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from shifts import NEEDS_TAU2, VERSION

from agentmem.errors import MissingExtraError
from agentmem_envs.shift import airline_data, retail_data, tau2
from agentmem_envs.shift.shop import ShiftShop
from agentmem_envs.shift.table import Table
from agentmem_envs.shift.tau2_tickets import calls, owner

FOREIGN = ("inspect_ai", "inspect_evals", "toml", "yaml")
LOADS = """
import json, sys
from agentmem_envs.shift.tau2 import module, root
def compiled(): return {str(file): file.stat().st_mtime_ns for file in root().rglob("*.pyc")}
before = compiled()
names = "retail.Retail airline.Airline telecom.Telecom banking.Banking".split()
loaded = [module(f"{name}AgentTools").__name__ for name in names] + [module("telecom.TelecomUserTools").__name__]
print(json.dumps([loaded, sorted({name.split(".")[0] for name in sys.modules}), before == compiled()]))
"""


@pytest.fixture
def looked_up_again() -> Iterator[None]:
    tau2.root.cache_clear()
    yield
    tau2.root.cache_clear()


@NEEDS_TAU2
def test_the_tools_are_imported_in_place_and_nothing_else_is() -> None:
    done = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True, check=True)
    loaded, tops, untouched = json.loads(done.stdout)
    assert [name.split(".")[0] for name in loaded] == [tau2.NAME] * 5
    assert set(tops) & set(FOREIGN) == set()
    assert untouched


@pytest.mark.usefixtures("looked_up_again")
@pytest.mark.parametrize(("name", "value"), [("VERSION", "0.25.0"), ("PACKAGE", "no-such-package-of-ours")])
def test_material_that_is_missing_or_of_another_version_is_told_with_the_line_that_installs_it(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tau2, name, value)
    with pytest.raises(MissingExtraError, match=f"pip install --no-deps inspect-evals=={VERSION}"):
        tau2.root()


def test_the_shop_needs_none_of_it() -> None:
    code = "import sys; from agentmem_envs.shift.shop import ShiftShop; ShiftShop().reset(seed=0); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert tau2.OUTSIDE not in done.stdout.split()
    assert ShiftShop().split == "train"


@NEEDS_TAU2
@pytest.mark.parametrize(
    ("domain", "made"),
    [(retail_data, retail_data.RetailSide), (airline_data, airline_data.AirlineSide)],
    ids=["retail", "airline"],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_right_call_of_a_frozen_ticket_succeeds_and_changes_something(
    domain: ModuleType, made: Any, split: str
) -> None:
    assert [task["id"] for task in domain.tickets(split)] == list(domain.FROZEN[split])
    for task in domain.tickets(split):
        side = made()
        for call in calls(task):
            side.do(call)
        assert any(dict(table) != dict(getattr(domain.base(), name)) for name, table in side.tables.items())


@NEEDS_TAU2
@pytest.mark.parametrize("domain", [retail_data, airline_data], ids=["retail", "airline"])
def test_frozen_tickets_keep_tau2s_split_and_no_customer_is_in_both(domain: ModuleType) -> None:
    split = tau2.data(domain.DOMAIN, "split_tasks.json")
    owners = {name: {owner(task, domain.named) for task in domain.tickets(name)} for name in domain.FROZEN}
    assert all(set(domain.FROZEN[name]) <= set(split[name]) for name in domain.FROZEN)
    assert owners["train"] & owners["test"] == set()


def test_a_row_is_copied_when_it_is_asked_for_and_the_base_stays_as_it_was() -> None:
    kept = {"a": [1], "b": [2]}
    rows = Table(kept)
    rows["a"].append(7)
    assert rows["a"] is rows["a"]
    assert (rows.peek("a"), rows.peek("b"), rows.peek("c")) == ([1, 7], [2], None)
    assert kept == {"a": [1], "b": [2]}
