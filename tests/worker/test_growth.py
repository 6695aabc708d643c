"""Topics that get more partitions while a worker runs end it with the remedy, and nothing else does."""

import asyncio

import pytest

from streams.worker.errors import PartitionsChangedError, WorkerError
from streams.worker.growth import CountWatch, require_counts

TOPICS = {"inference": "in", "labels": "la", "state": "st", "journal": "jo", "pane_updates": "pu"}
EVEN = {"inference": 3, "labels": 3, "state": 3, "journal": 2, "pane_updates": 2}


class Counted:
    """Answers from a list, an error where there is one."""

    def __init__(self, *answers: int | WorkerError) -> None:
        self.answers = list(answers)

    async def partitions(self, _topic: str) -> int:
        answer = self.answers.pop(0)
        if isinstance(answer, WorkerError):
            raise answer
        return answer


def test_a_topic_that_has_grown_is_named_with_what_to_do() -> None:
    sender = Counted(3, WorkerError("Kafka: not reachable"), 3, 5)
    with pytest.raises(PartitionsChangedError, match=r"^in has 5 partitions, it had 3 at .*setup$"):
        asyncio.run(CountWatch(sender, TOPICS, {"inference": 3}).run(0))  # type: ignore[arg-type]
    assert sender.answers == []


def test_even_counts_are_taken_and_uneven_ones_refused_with_the_remedy() -> None:
    require_counts(TOPICS, EVEN)
    require_counts(TOPICS, EVEN | {"state": 8})
    with pytest.raises(WorkerError, match=r"^in has 3 partitions and la 4: .*refusing to run$"):
        require_counts(TOPICS, EVEN | {"labels": 4})
    with pytest.raises(WorkerError, match=r"^st has 2 partitions, in 3: .* aftcast setup$"):
        require_counts(TOPICS, EVEN | {"state": 2})
    with pytest.raises(WorkerError, match=r"^jo has 1 partitions, pu 2: "):
        require_counts(TOPICS, EVEN | {"journal": 1})
