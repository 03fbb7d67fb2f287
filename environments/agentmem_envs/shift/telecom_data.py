"""tau2's telecom tools over a small database and one handset for every caller, and a router between them."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from agentmem_envs.calls import Call, Refused
from agentmem_envs.shift import tau2
from agentmem_envs.shift.accounts import Accounts
from agentmem_envs.shift.telecom_callers import DOMAIN, JOHN, OFF, Caller, callers, kinds, model, owners, tasks
from agentmem_envs.shift.tickets import Place

TOOLS = tuple(
    "get_customer_by_phone get_customer_by_id get_customer_by_name get_details_by_id get_bills_for_customer "
    "get_data_usage suspend_line resume_line send_payment_request enable_roaming disable_roaming refuel_data "
    "transfer_to_human_agents".split()
)
HANDSET = tuple(
    "check_status_bar check_network_status check_network_mode_preference check_sim_status check_apn_settings "
    "check_data_restriction_status check_wifi_status check_wifi_calling_status check_vpn_status check_installed_apps "
    "check_app_status check_app_permissions check_payment_request run_speed_test can_send_mms "
    "set_network_mode_preference toggle_airplane_mode reseat_sim_card toggle_data toggle_roaming "
    "toggle_data_saver_mode reset_apn_settings toggle_wifi toggle_wifi_calling connect_vpn disconnect_vpn "
    "grant_app_permission reboot_device make_payment".split()
)
"""The tools of a handset; each takes its phone number too."""
LOOKUPS = ("get", "check", "run", "can", "transfer")


class Account:
    """One caller's database and handset as they stand, under tau2's tools."""

    def __init__(self, caller: Caller) -> None:
        database, handset = _start(caller.id)
        self.agent = tau2.module("telecom.TelecomAgentTools").TelecomAgentTools(initialized=True)
        self.user = tau2.module("telecom.TelecomUserTools").TelecomUserTools(initialized=True)
        self.agent.db = kinds().TelecomDB.model_validate_json(database)
        self.user.db = type(self.user.db).model_validate_json(handset)
        self._both = tau2.module("telecom.environment").Environment(self.user, self.agent)

    def use(self, tool: str, args: Mapping[str, Any]) -> Any:
        """Raises Refused. Handset and database are then as one, as tau2 has it after every call."""
        tools = self.user if hasattr(self.user, tool) else self.agent
        try:
            return getattr(tools, tool)(**args)
        except tau2.ToolError as refusal:
            raise Refused(str(refusal)) from None
        finally:
            self._both.sync_tools()

    def holds(self, assertion: tuple[str, Mapping[str, Any]]) -> bool:
        """One of tau2's own assertions; it changes nothing."""
        return bool(self.use(*assertion))

    def bill(self, key: str) -> Any:
        return next((each for each in self.agent.db.bills if key in (each.bill_id, each.status)), None)

    def line(self, id: str) -> Any:
        return next((each for each in self.agent.db.lines if each.line_id == id), None)


class TelecomSide(Accounts[Account]):
    """tau2's tools, each over the account of whom its call names."""

    def __init__(self) -> None:
        super().__init__(owners(), lambda id: Account(callers()[id]))

    def do(self, given: Call) -> str:
        args = dict(given.args)
        phone = args.pop("phone_number") if given.tool in HANDSET else None
        account = self.account(phone if phone is not None else next(_named(args), ""))
        if account is None:
            return _nobody(given.tool, args)
        if phone not in (None, account.user.surroundings.phone_number):
            raise Refused("no handset has that number")
        return _text(account.use(given.tool, args))

    def row(self, place: Place) -> Any:
        """A line, a bill, a handset, a customer; his bill to come; his bills, by the number of his handset; or all."""
        table, key = place
        account = self.account(key)
        if account is None or table == "accounts":
            return account
        if table in ("lines", "bills"):
            return account.line(key) if table == "lines" else account.bill(key)
        if table == "handsets":
            return account.user.device if key == account.user.surroundings.phone_number else None
        if table == "drafts":
            return account.bill("Draft")
        return account.agent.db.bills if table == "statements" else account.agent.db.customers[0]


@cache
def _start(id: str) -> tuple[str, str]:
    """A caller's database and handset at the start of a shift, as JSON: tau2's, broken as his ticket has it."""
    caller = callers()[id]
    agent = tau2.module("telecom.TelecomAgentTools").TelecomAgentTools(initialized=True)
    user = tau2.module("telecom.TelecomUserTools").TelecomUserTools(initialized=True)
    agent.db = kinds().TelecomDB.model_validate_json(caller.said(model(caller.like).model_dump_json()))
    user.db = type(user.db).model_validate(tau2.data(DOMAIN, "user_db.toml"))
    user.set_user_info(caller.name, caller.phone)
    both = tau2.module("telecom.environment").Environment(user, agent)
    for tools, name, args in _breaks(caller):
        getattr(user if tools == "user" else agent, name)(**args)
        both.sync_tools()
    return agent.db.model_dump_json(), user.db.model_dump_json()


def _breaks(caller: Caller) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    if caller.task:
        state = json.loads(caller.said(json.dumps(tasks()[caller.task]["initial_state"])))
        for each in state["initialization_actions"]:
            yield each["env_type"], each["func_name"], each["arguments"]
    elif caller.fault:
        yield "agent", "disable_roaming", {"customer_id": caller.id, "line_id": caller.line(OFF)}
        yield "user", *caller.fault.breaks


def _named(args: Mapping[str, Any]) -> Iterator[str]:
    """The values of a call that say whose it is."""
    for name in ("customer_id", "phone_number", "id", "full_name"):
        if name in args:
            yield args[name]


def _nobody(tool: str, args: Mapping[str, Any]) -> str:
    """tau2's answer over its plans alone."""
    agent = tau2.module("telecom.TelecomAgentTools").TelecomAgentTools(initialized=True)
    agent.db = kinds().TelecomDB(plans=model(JOHN).plans)
    if tool in HANDSET:
        raise Refused("no handset has that number")
    try:
        return _text(getattr(agent, tool)(**args))
    except tau2.ToolError as refusal:
        raise Refused(str(refusal)) from None


def _text(answer: Any) -> str:
    return answer if isinstance(answer, str) else str(tau2.module("telecom.utils").safe_json_dumps(answer))
