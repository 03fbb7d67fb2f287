"""tau2's own telecom tickets, word for word: the ticket, then one decision for every right call.

Before each the caller, or a look at his rows, reports what tau2's own tools answer there, so that text and report alone
settle the call. At the end all of tau2's assertions hold on the live database.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.random import Generator

from agentmem_envs.calls import Call, call
from agentmem_envs.shift.domain import some
from agentmem_envs.shift.telecom_callers import Caller, tasks
from agentmem_envs.shift.telecom_data import HANDSET, Account
from agentmem_envs.shift.tickets import Check, Decision, Ticket

PREFERRED, MESSAGING = "4g_5g_preferred", "messaging"
WILLING = re.compile(r"You are willing to refuel [\d.]+ GB of data if necessary")
_UNPRINTED = re.compile(r"[^\x20-\x7e\n]+ ?")
Report = Callable[[Account, Mapping[str, Any]], str]


def _line_of(name: str) -> Report:
    """One line of what tau2's check of the network says."""
    return lambda account, args: next(
        line for line in account.user.check_network_status().split("\n") if line.startswith(name)
    )


def _roaming(account: Account, args: Mapping[str, Any]) -> str:
    line = account.line(args["line_id"])
    return f"Line {line.line_id} of this phone: roaming_enabled {line.roaming_enabled}."


def _usage(account: Account, args: Mapping[str, Any]) -> str:
    line = account.agent.get_data_usage(**{key: args[key] for key in ("customer_id", "line_id")})
    return f"Line {line['line_id']}: data_used_gb {line['data_used_gb']}, data_limit_gb {line['data_limit_gb']}."


def _bill(account: Account, args: Mapping[str, Any]) -> str:
    bill = account.bill(args["bill_id"])
    return f"Bill {bill.bill_id}: {bill.status.value}, total_due {bill.total_due}."


def _suspended(account: Account, args: Mapping[str, Any]) -> str:
    line = account.line(args["line_id"])
    return f"Line {line.line_id}: {line.status.value}; the bill is paid."


def _beyond(account: Account, args: Mapping[str, Any]) -> str:
    """Why tau2 gives up: a locked SIM, or a contract that has ended."""
    ended = [line for line in account.agent.db.lines if line.suspension_start_date and line.contract_end_date]
    last = max(ended, key=lambda line: line.suspension_start_date)
    contract = f"Line {last.line_id}: {last.status.value}, contract_end_date {last.contract_end_date}."
    return f"{account.user.check_sim_status()} {contract}"


REPORTS: Mapping[str, Report] = {
    "toggle_airplane_mode": lambda account, args: account.user.check_status_bar(),
    "reseat_sim_card": lambda account, args: account.user.check_sim_status(),
    "toggle_data": _line_of("Mobile Data Enabled"),
    "toggle_roaming": _line_of("Data Roaming Enabled"),
    "set_network_mode_preference": lambda account, args: account.user.check_network_mode_preference(),
    "toggle_data_saver_mode": lambda account, args: account.user.check_data_restriction_status(),
    "disconnect_vpn": lambda account, args: account.user.check_vpn_status().partition(" Details")[0],
    "toggle_wifi_calling": lambda account, args: account.user.check_wifi_calling_status(),
    "grant_app_permission": lambda account, args: (
        f"{account.user.check_app_permissions(MESSAGING)} It lacks {args['permission']}."
    ),
    "reset_apn_settings": lambda account, args: account.user.check_apn_settings().partition("\n(")[0],
    "reboot_device": _line_of("Cellular Connection"),
    "enable_roaming": _roaming,
    "refuel_data": _usage,
    "send_payment_request": _bill,
    "make_payment": lambda account, args: account.user.check_payment_request(),
    "resume_line": _suspended,
    "transfer_to_human_agents": _beyond,
}
"""tool: what is found before it is used."""


def rights(caller: Caller) -> list[Call]:
    """The right calls of a caller's ticket; those of a handset name its number."""
    actions = json.loads(caller.said(json.dumps(_task(caller)["evaluation_criteria"]["actions"])))
    return [_call(caller, each["name"], each["arguments"]) for each in actions]


def ticket(caller: Caller, others: Sequence[Caller]) -> Ticket:
    """The ticket as it stands; `others` are callers who never come."""
    find = Decision(
        caller.said(_task(caller)["ticket"]),
        call("get_customer_by_phone", phone_number=caller.phone),
        lambda rng: [call("get_customer_by_phone", phone_number=each.phone) for each in some(rng, others, 7)],
        lambda result: f"Customer {json.loads(result)['customer_id']}.",
    )
    known = rights(caller)
    fixes = _fixes(caller, known)
    says = _reports(caller, known)
    decisions = [Decision(say, each, _some(fixes), _shown) for say, each in zip(says, known, strict=True)]
    decisions[-1].check = holds(caller)
    return Ticket("tau2", caller.name, [find, *decisions], owner=caller.id, source="tau2")


def holds(caller: Caller) -> Check:
    """tau2's assertions, on the caller's account as it stands."""
    criteria = json.loads(caller.said(json.dumps(_task(caller)["evaluation_criteria"]["env_assertions"])))

    def check(row: Callable[[tuple[str, str]], Any]) -> bool:
        account = row(("accounts", caller.id))
        return all(account.holds((each["func_name"], each["arguments"])) == each["assert_value"] for each in criteria)

    return check


def _task(caller: Caller) -> Any:
    return tasks()[caller.task or ""]


def _call(caller: Caller, tool: str, args: Mapping[str, Any]) -> Call:
    return Call(tool, {**args, "phone_number": caller.phone} if tool in HANDSET else args)


def _reports(caller: Caller, known: Sequence[Call]) -> list[str]:
    """What is found before each right call, on an account of its own."""
    account, says = Account(caller), []
    for each in known:
        args = {key: value for key, value in each.args.items() if each.tool not in HANDSET or key != "phone_number"}
        says.append(f"Found: {_printed(REPORTS[each.tool](account, args))}")
        account.use(each.tool, args)
        if each.tool == "refuel_data":
            says[-1] += f" {_willing(caller)}"
    return says


def _willing(caller: Caller) -> str:
    """What the caller agreed to, which not all of tau2's tickets repeat."""
    found = WILLING.search(_task(caller)["user_scenario"]["instructions"]["task_instructions"])
    assert found
    return f"Told by the customer: {found[0]}."


def _fixes(caller: Caller, known: Sequence[Call]) -> list[Call]:
    """All that could be done for a caller."""
    customer, line = caller.id, caller.new["L1002"]
    handset = ["airplane_mode", "data", "roaming", "data_saver_mode", "wifi_calling"]
    fixes = [
        *(_call(caller, f"toggle_{each}", {}) for each in handset),
        *(
            _call(caller, each, {})
            for each in "reseat_sim_card disconnect_vpn reset_apn_settings reboot_device".split()
        ),
        *(
            _call(caller, "grant_app_permission", {"app_name": MESSAGING, "permission": each})
            for each in ("sms", "storage")
        ),
        _call(caller, "set_network_mode_preference", {"mode": PREFERRED}),
        call("enable_roaming", customer_id=customer, line_id=line),
        call("refuel_data", customer_id=customer, line_id=line, gb_amount=2.0),
        call("transfer_to_human_agents", summary="I cannot fix the issue."),
    ]
    return [*fixes, *known]


def _some(fixes: Sequence[Call]) -> Callable[[Generator], Sequence[Call]]:
    return lambda rng: some(rng, fixes, len(fixes))


def _printed(answer: str) -> str:
    """Without tau2's pictures."""
    return " ".join(_UNPRINTED.sub("", answer).split())


def _shown(result: str) -> str:
    return _printed(json.loads(result)["message"] if result.startswith("{") else result)
