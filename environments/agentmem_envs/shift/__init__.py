"""Working shifts: one episode is one shift at a help desk over one live database, and what it needs was told long ago.

## Description
Three tickets are open at a time; customers interleave, go away and return. What a customer said, an id that a look-up
gave, or a rule that the supervisor announced is shown once and needed at least `delay` steps later, so it stands in no
window of that length. 60 % of tickets turn on such a hidden fact. Who comes when never depends on what the agent does.
Under drift a rule is superseded, stock runs out, a customer corrects himself and a tool takes a new argument: the
newest valid value is right, and some facts must be joined (the first choice, and that it is sold out).

## Mission
The text names the ticket and the customer, says what came of the last call of that ticket, and asks for the next one.
Each step is one call; it is graded, and the ticket moves on whether it was right or not.

## Observation Space
`Dict(text: Text(4096), step: Box(1,) int64, accepted: Discrete(2))`: printable ASCII; the step; was the last call
accepted. `wrapper.Candidates` adds `candidates` (one call a line), `action_mask` [8] and `writes` (may one of the calls
change something).

## Action Space
`Text(4096)`: a tool call, `{"tool": NAME, "args": {...}}`, of the tools in `env.unwrapped.schema`. Any other text is a
graded failure. `Candidates` makes it `Discrete(8)`.

## Rewards
1 when a ticket is closed with all its calls right, else 0. A call that changes something is right when the rows that it
touches then equal those of a twin database on which only right calls run, and the ticket's own check holds. `info` has
`needs` (id, kind, value, step of the last valid showing and superseded value of each hidden fact that the coming
decision needs), `right`, `hidden`, `kind` and `stale` (a superseded value was chosen) of the last decision, and
`results`: at the end one for each closed ticket, until then `[]`; with `privileged=True` also `gold`, the right call.

## Termination
An episode is truncated after `steps` steps a day.

## Registered Configurations
- `agentmem/ShiftShop-v0`: 1,000 steps, on a small database of our own
- `agentmem/ShiftRetail-v0`, `agentmem/ShiftAirline-v0`, `agentmem/ShiftTelecom-v0`, `agentmem/ShiftBanking-v0`: 1,000
  steps, on tau2's databases and with tau2's tools, which `pip install --no-deps inspect-evals==0.26.0` brings; but in
  banking some tickets are tau2's own, word for word (`source` in results)
- `-Short`, as in `agentmem/ShiftShop-Short-v0`: 300 steps
- `-Week`: five days of 1,000 steps on one database
- `-Drift`: 1,000 steps in which what was told changes

Keywords: `split` ("train", "test": other customers; tau2's by its tasks, all others by a fixed hash), `steps` a day (1
to 1,000,000), `days` (1 to 10), `delay` (also as a reset option), `drift`, `privileged`, `render_mode` ("ansi",
"rgb_array").
"""
