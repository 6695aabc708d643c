"""``aftcast dead-letters``: what could not be used, and why."""

import heapq
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from aftcast.arguments import AsJson, ConfigFile
from aftcast.output import say


def dead_letters(
    config: ConfigFile = None,
    newest: Annotated[int, typer.Option(min=0, help="How many to show, newest last.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Count the dead letters by topic, reason and field, and show the newest."""
    import orjson

    from aftcast.loading import load
    from aftcast.topic_reading import values

    configuration = load(config)
    counts: Counter[tuple[str, str, str]] = Counter()
    topic = configuration.topics.dead_letters

    def counted() -> Iterator[dict[str, Any]]:
        for value in values(configuration.kafka.client_options(), topic, from_beginning=True, follow=False):
            letter = orjson.loads(value)
            # The code before the colon; the rest of a reason says what came, which differs each time.
            counts[letter["topic"], letter["reason"].split(":")[0], letter["field"]] += 1
            yield letter

    # By their times: the topic's partitions are read in no particular order.
    latest = heapq.nlargest(max(newest, 1), counted(), key=lambda letter: letter["received_at"])
    shown = latest[:newest][::-1]
    if as_json:
        reasons = [
            {"topic": name, "reason": reason, "field": field, "count": count}
            for (name, reason, field), count in counts.most_common()
        ]
        say(json.dumps({"total": counts.total(), "reasons": reasons, "newest": shown}, indent=2))
        return
    say(f"{counts.total()} dead letters in {topic}")
    for (name, reason, field), count in counts.most_common():
        say(f"{count:>8}  {name}  {reason}" + (f"  ({field})" if field else ""))
    for letter in shown:
        when = datetime.fromtimestamp(letter["received_at"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        place = f"{letter['topic']}[{letter['partition']}]@{letter['offset']}"
        say(f"{when}  {place}  {letter['reason']}  {letter['value'][:120]}")
