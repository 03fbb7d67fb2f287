"""What an owner says of how long steps stay: rules by which they expire, holds, and removing what has expired.

Knows the arguments, and who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.memory import checks, erasing, holding, removal
from agentmem.memory.core import Core
from agentmem.records import brief, check_flag, check_name
from agentmem.types import EraseReport, Hold, Namespace, Rule


class Ruled:
    """These verbs of a `Memory`."""

    _core: Core
    namespace: Namespace
    who: str | None
    _again: Callable[[Namespace], None]

    def retain(self, rules: holding.Rules, dry_run: bool = False) -> EraseReport:
        """Set the rules by which steps of this namespace expire, in the place of those there were; [] for none.

        rules: `Rule`s, mappings, or a list of them as JSON. What has expired stays out of every recall, also as of
        before: by age as the log tells the time, which is that of its newest record. It is in the log, in `steps` and
        in exports until `expire` removes it. Returns what `expire` would remove by these rules now. dry_run: set
        nothing.
        """
        given = holding.rules_given(rules)
        for rule in given:
            for what in ("subject", "agent"):
                if (name := getattr(rule, what)) is not None:
                    check_name(what, name)
        check_flag("dry_run", dry_run)
        with self._core.lock:
            holding.check_rules(self._core, self.namespace, given)
            if not dry_run:
                holding.set_rules(self._core, self.namespace, given, self.who)
            return self._preview(given)

    def rules(self) -> tuple[Rule, ...]:
        """The rules of this namespace."""
        with self._core.lock:
            return self._core.index(self.namespace).ruled.rules

    def expire(self, dry_run: bool = False) -> EraseReport:
        """Remove from the file for good what has expired, as `erase` does, by the memory's clock. Its subjects may be
        logged about again. dry_run: only report what would go. What is under a hold stays.
        """
        check_flag("dry_run", dry_run)
        if dry_run:
            with self._core.lock:
                return self._preview(self._core.index(self.namespace).ruled.rules)
        with self._core.crystallizing, self._core.lock:
            request = erasing.Request("expired", now=self._core.clock())
            return erasing.erase(self._core, self.namespace, request, self._again, self.who)

    def _preview(self, rules: Sequence[Rule]) -> EraseReport:
        request = erasing.Request("expired", rules=rules, now=self._core.clock())
        going = erasing.going(self._core, self.namespace, request)
        return erasing.preview(self._core, self.namespace, request, going)

    # ---- holds ---------------------------------------------------------------------------------------------------

    def hold(
        self,
        name: str,
        subject: str | None = None,
        episode: str | None = None,
        steps: Sequence[str] | str | None = None,
        reason: str | None = None,
    ) -> int:
        """Hold steps, those about a subject or of an episode also if they are logged later: until `lift`, no rule
        removes them and `erase` raises HeldError. Returns how many are there now. A hold that is there stays, with the
        reason given last; HeldError for a name that is on something else.
        """
        removal.one_of(subject=subject, episode=episode, steps=steps)
        checks.check_filters(self._core, [self.namespace], episode)
        with self._core.lock:
            ids = () if steps is None else tuple(checks.check_ids("steps", steps))
            removal.chosen(self._core, self.namespace, ids, None)
            hold = Hold(
                name=check_name("name", name),
                subject=None if subject is None else check_name("subject", subject),
                episode=episode,
                steps=ids,
                reason=None if reason is None else check_name("reason", reason),
            )
            if steps is not None and not ids:
                raise InvalidInputError(f"the hold {name!r} is on no steps; give ids, a subject or an episode")
            if holding.is_new(self._core, self.namespace, hold):
                holding.set_hold(self._core, self.namespace, hold, True, self.who)
            return holding.under(self._core, self.namespace, name)

    def lift(self, name: str) -> int:
        """End a hold; returns how many steps were under it. NotFoundError for a name that none has."""
        with self._core.lock:
            holds = self._core.index(self.namespace).ruled.holds
            if check_name("name", name) not in holds:
                raise NotFoundError(f"there is no hold {brief(name)}; {checks.instead(name, list(holds))}")
            ended = holding.under(self._core, self.namespace, name)
            holding.set_hold(self._core, self.namespace, holds[name], False, self.who)
            return ended

    def holds(self) -> list[Hold]:
        """The holds that were not lifted, by name."""
        with self._core.lock:
            holds = self._core.index(self.namespace).ruled.holds
        return [holds[name] for name in sorted(holds)]
