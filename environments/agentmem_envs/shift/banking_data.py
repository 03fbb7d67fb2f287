"""tau2's banking: who calls, its documents, and its tools over a small database for every caller.

tau2's bank has few customers and its tasks bring some more, so a caller is a copy of one of them, under a name from
retail and with ids of his own. The names of tau2's discoverable tools end in digits that only its documents tell; these
are drawn anew for every shift, lest they be learnt by heart. Knows no promises.
"""

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from hashlib import shake_256
from typing import Any

from numpy.random import Generator

from agentmem_envs.calls import Call, Refused
from agentmem_envs.shift import retail_data, tau2
from agentmem_envs.shift.accounts import Accounts
from agentmem_envs.shift.domain import some
from agentmem_envs.shift.tickets import Place

TOOLS = tuple(
    "get_current_time get_user_information_by_id get_user_information_by_name get_user_information_by_email "
    "get_referrals_by_user get_credit_card_transactions_by_user get_credit_card_accounts_by_user change_user_email "
    "log_verification transfer_to_human_agents".split()
)
UNLOCK, USE, OPEN = "unlock_discoverable_agent_tool", "call_discoverable_agent_tool", "open_document"
LOOKUPS = ("get", "open", "transfer")
DOMAIN = "banking_knowledge"
LEFT_OUT = ("task_051", "task_077", "task_083")
"""Tasks whose own right calls fail."""
CHECKING, STATEMENT = "apply_checking_account_credit_5829", "apply_statement_credit_8472"
FREEZE, REWARDS = "freeze_debit_card_3892", "update_transaction_rewards_3847"
COMMON = (CHECKING, STATEMENT, FREEZE, REWARDS)
"""Discoverable tools that every account has from the start, and that the text names."""
ROWS = {
    "account_id": "accounts",
    "credit_card_account_id": "credit_card_accounts",
    "card_id": "debit_cards",
    "transaction_id": "credit_card_transaction_history",
}
HISTORIES = ("credit_card_transaction_history", "bank_account_transaction_history")
SHOWN, GLANCED = 2600, 300
"""Most characters that are shown of a document that names a tool, and of another."""
_TOOL = re.compile(r"\b[a-z][a-z_]+_\d{4}\b")
_FAILURES = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, tau2.ToolError)
_REFUSALS = ("Error", "Failed")
Tables = dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Customer:
    """A caller: his user row, his rows by table and id, and the split he is in."""

    split: str
    user: Mapping[str, str]
    tables: Tables

    @property
    def id(self) -> str:
        return self.user["user_id"]

    @property
    def name(self) -> str:
        return self.user["name"]

    def rows(self, table: str, **values: str) -> list[str]:
        """The ids of his rows that have these values."""
        found = self.tables.get(table, {})
        return [id for id, row in found.items() if all(row.get(key) == value for key, value in values.items())]


@dataclass(frozen=True)
class Document:
    id: str
    title: str
    content: str

    @property
    def tools(self) -> list[str]:
        """tau2's names of the tools that the part that is shown names."""
        return [each for each in dict.fromkeys(_TOOL.findall(self.content[:SHOWN])) if each in discoverable()]


@cache
def discoverable() -> frozenset[str]:
    return frozenset(tau2.module("banking.BankingAgentTools").AGENT_DISCOVERABLE_TOOLS)


@cache
def documents() -> dict[str, Document]:
    return {each["id"]: Document(**each) for each in tau2.data(DOMAIN, "documents.json")}


@cache
def manuals() -> tuple[list[Document], list[Document]]:
    """Those that name tools, no tool in two of them; and those that name none at all."""
    named: dict[str, None] = {}
    chosen = []
    for each in documents().values():
        secret = [tool for tool in each.tools if tool not in COMMON]
        if secret and not any(tool in named for tool in secret):
            named |= dict.fromkeys(secret)
            chosen.append(each)
    return chosen, [each for each in documents().values() if not _TOOL.search(each.content)]


@cache
def customers() -> dict[str, Customer]:
    """All callers by their user ids."""
    known = _models()
    made = []
    for name, split in retail_data.names():
        model = known[int.from_bytes(shake_256(f"like {name}".encode()).digest(4), "big") % len(known)]
        made.append(_copy(model, name, split))
    return {customer.id: customer for customer in made}


@cache
def owners() -> dict[str, str]:
    """user id of every id, name and e-mail address."""
    known: dict[str, str] = {}
    for id, customer in customers().items():
        rows = [key for table in customer.tables.values() for key in table]
        known |= dict.fromkeys([*rows, customer.name, customer.user["email"], id], id)
    return known


class Account:
    """One caller's rows as they stand, under tau2's tools."""

    def __init__(self, customer: Customer) -> None:
        self.tools = _tools()
        self.tools.db = type(self.tools.db).model_validate_json(_json(customer.id))
        self.tools.agent_unlocked_tools = {tool: {} for tool in COMMON}

    def table(self, name: str) -> dict[str, Any]:
        rows: dict[str, Any] = getattr(self.tools.db, name).data
        return rows


class BankingSide(Accounts[Account]):
    """tau2's tools, each over the account of whom its call names. names: alias by tool."""

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__(owners(), lambda id: Account(customers()[id]))
        self.names = names
        self.tool = {alias: tool for tool, alias in names.items()}

    def do(self, given: Call) -> str:
        args = dict(given.args)
        if given.tool == OPEN:
            return self._document(args["document_id"])
        account = self.account(next(_named(args), ""))
        if account is None and given.tool in (UNLOCK, USE):
            raise Refused("no such user")
        tools = account.tools if account else _tools()  # without a customer only some tools look nothing up
        try:
            if given.tool in (UNLOCK, USE):
                args = self._discover(args)
            answer = str(getattr(tools, given.tool)(**args)).strip()
        except _FAILURES as refusal:
            raise Refused(f"{given.tool}: {refusal}") from None
        if answer.startswith(_REFUSALS):
            raise Refused(answer)
        return self.said(answer) if account else answer

    def said(self, text: str) -> str:
        """A text of tau2's with the names of this shift."""
        return _TOOL.sub(lambda found: self.names.get(found[0], found[0]), text)

    def row(self, place: Place) -> Any:
        """A row of a table; all that was added to a customer's histories; is a tool unlocked for him; or who he is."""
        table, key = place
        account = self.account(key)
        if account is None or table == "callers":
            return owners().get(key)
        if table == "added":
            kept = customers()[owners()[key]].tables
            return [
                row for each in HISTORIES for id, row in account.table(each).items() if id not in kept.get(each, {})
            ]
        if table.startswith(UNLOCK):
            return self.tool.get(table.partition(" ")[2]) in account.tools.agent_unlocked_tools
        rows = account.table(table)
        return list(rows.values()) if table == "verification_history" else rows.get(key)

    def _document(self, id: str) -> str:
        if id not in documents():
            raise Refused(f"no document {id}")
        return self.said(documents()[id].content)

    def _discover(self, args: dict[str, Any]) -> dict[str, Any]:
        """As tau2 takes it, with its own name of the tool."""
        tool = self.tool.get(args["agent_tool_name"])
        if tool is None:
            raise Refused("no such tool; the documents tell the names of tools")
        more = {"arguments": json.dumps(args["arguments"])} if "arguments" in args else {}
        return {"agent_tool_name": tool, **more}


def aliases(rng: Generator) -> dict[str, str]:
    """The names of the discoverable tools in one shift: tau2's with other digits, no two with the same."""
    known = sorted(discoverable())
    digits = some(rng, range(1000, 10_000), len(known))
    return {tool: f"{stem(tool)}_{number}" for tool, number in zip(known, digits, strict=True)}


def stem(tool: str) -> str:
    return tool.rpartition("_")[0]


def people(split: str) -> list[str]:
    return [id for id, customer in customers().items() if customer.split == split]


@cache
def _models() -> list[Tables]:
    """The rows of each customer of tau2's who has an account, as the task that says most about him has them."""
    base = {name: table["data"] for name, table in tau2.data(DOMAIN, "db.json").items()}
    best = {id: _rows(base, id) for id in base["users"]}
    for task in tau2.data(DOMAIN, "tasks.json"):
        state, touched = _merged(base, task)
        for id in touched if task["id"] not in LEFT_OUT else ():
            best[id] = max(best.get(id, {}), _rows(state, id), key=lambda rows: sum(map(len, rows.values())))
    return [best[id] for id in sorted(best) if best[id].keys() & {"accounts", "credit_card_accounts"}]


def _merged(base: Tables, task: Mapping[str, Any]) -> tuple[Tables, list[str]]:
    """The tables at the start of a task, and whose rows it changes. tau2 keeps what it merges, so these are copies."""
    given = ((task["initial_state"] or {}).get("initialization_data") or {}).get("agent_data") or {}
    state: Tables = {name: dict(table) for name, table in base.items()}
    touched: dict[str, None] = {}
    for name, update in given.items():
        rows = deepcopy(update.get("data", update))
        table = state.setdefault(name, {})
        table |= {key: deepcopy(table[key]) for key in rows if key in table}
        tau2.module("banking.environment")._deep_merge(table, rows)
        touched |= {table[key]["user_id"]: None for key in rows if "user_id" in table[key]}
    return state, [id for id in touched if id in state["users"]]


def _rows(state: Tables, id: str) -> Tables:
    """All rows of a customer and of his accounts."""
    accounts = {key for key, row in state["accounts"].items() if row.get("user_id") == id}
    found = {
        name: {key: row for key, row in table.items() if row.get("user_id") == id or row.get("account_id") in accounts}
        for name, table in state.items()
    }
    return {name: rows for name, rows in found.items() if rows}


def _copy(model: Tables, name: str, split: str) -> Customer:
    """A customer's rows under another name, each id new by a fixed hash, so that none tells another."""
    (old,) = model["users"].values()
    new = {old["name"]: name, old["user_id"]: _fresh(name, old["user_id"], "")}
    for table, begins in (("accounts", "acc_"), ("credit_card_accounts", "cc_"), ("debit_cards", "dbc_")):
        new |= {id: _fresh(name, id, begins) for id in model.get(table, {})}
    new |= {id: _fresh(name, id, f"{id.partition('_')[0]}_") for each in HISTORIES for id in model.get(each, {})}
    number = int(_fresh(name, "phone", ""), 16)
    new |= {
        old["email"]: f"{name.lower().replace(' ', '.')}@example.com",
        old["phone_number"]: f"{200 + number % 800}-555-{number // 800 % 10_000:04}",
        old["date_of_birth"]: f"{1 + number % 12:02}/{1 + number // 12 % 28:02}/{1950 + number // 336 % 50}",
    }
    tables = {table: {new.get(id, id): _renamed(row, new) for id, row in rows.items()} for table, rows in model.items()}
    return Customer(split, tables["users"][new[old["user_id"]]], tables)


def _fresh(name: str, old: str, begins: str) -> str:
    return begins + shake_256(f"{name} {old}".encode()).hexdigest(5)


def _renamed(value: Any, new: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(each, new) for key, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, new) for each in value]
    return new.get(value, value) if isinstance(value, str) else value


@cache
def _json(id: str) -> str:
    return json.dumps({name: {"data": rows} for name, rows in customers()[id].tables.items()})


def _named(args: Mapping[str, Any]) -> Iterator[str]:
    """The values of a call that say whose it is."""
    return (args[name] for name in ("user_id", "customer_name", "email") if name in args)


def _tools() -> Any:
    """tau2's, over an empty database."""
    return tau2.module("banking.BankingAgentTools").BankingAgentTools(initialized=True)
