"""Time travel: ask what was known then, and read again what an agent was told before it acted.

Prints:

    Now:
    [monday]
    Dana: The offsite is in Lisbon, from 4 to 6 May.
    [thursday]
    Dana: Change of plan: the offsite is in Porto, from 11 to 13 May.

    As of Monday:
    [monday]
    Dana: The offsite is in Lisbon, from 4 to 6 May.

    The same question as of the same step gives the same bytes, whatever was logged since:
    True True

    What the agent was told before it booked:
    goal: plan the offsite
    recent:
    [monday]
    Dana: The offsite is in Lisbon, from 4 to 6 May.
"""

from agentmem import Memory

with Memory.open(":memory:") as memory:
    with memory.episode(goal="plan the offsite", id="monday") as episode:
        early = episode.say("Dana", "The offsite is in Lisbon, from 4 to 6 May.")
        advice = episode.recall("Where is the offsite?", budget=60)
        episode.act("book six rooms in Lisbon")

    with memory.episode(goal="plan the offsite", id="thursday") as episode:
        episode.say("Dana", "Change of plan: the offsite is in Porto, from 11 to 13 May.")

    print("Now:")
    print(memory.recall("Where is the offsite?", budget=60).text)

    print("\nAs of Monday:")
    then = memory.recall("Where is the offsite?", budget=60, as_of=early.id)
    print(then.text)

    print("\nThe same question as of the same step gives the same bytes, whatever was logged since:")
    again = memory.recall("Where is the offsite?", budget=60, as_of=early.id)
    print(again.text == then.text, again.store_version == then.store_version)

    print("\nWhat the agent was told before it booked:")
    print(advice.text)
