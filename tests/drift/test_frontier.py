"""The frontier waits for every partition and both topics, and never goes back."""

from schemas.findings import Progress
from schemas.settings import ModelSettings, MonitorSettings
from streams.drift import Frontier

MINUTE_MS = 60_000
SETTINGS = MonitorSettings(
    maturity_horizon_ms=10 * MINUTE_MS, models={"slow": ModelSettings(maturity_horizon_ms=60 * MINUTE_MS)}
)


def at(
    partition: int, inference: float, labels: float, *, epoch: int = 1, caught_up: bool = True
) -> Progress:
    return Progress(
        partition=partition,
        partitions=2,
        epoch=epoch,
        inference_ms=int(inference * MINUTE_MS),
        labels_ms=int(labels * MINUTE_MS),
        caught_up=caught_up,
    )


def minutes(frontier: Frontier, model: str = "m") -> float:
    return frontier.mature_until_ms(model) / MINUTE_MS


def test_nothing_is_known_until_every_partition_was_heard() -> None:
    frontier = Frontier(SETTINGS)
    assert not frontier.advance([at(0, 100, 100)])
    assert not frontier.advance([at(0, 200, 200)])
    assert frontier.advance([at(1, 100, 100)])


def test_the_slowest_topic_of_the_slowest_partition_decides() -> None:
    frontier = Frontier(SETTINGS)
    frontier.advance([at(0, 300, 250), at(1, 260, 240)])
    assert minutes(frontier) == 230
    frontier.advance([at(1, 400, 400)])
    assert minutes(frontier) == 240


def test_a_pane_is_mature_exactly_when_progress_is_its_end_and_the_horizon() -> None:
    frontier = Frontier(SETTINGS)
    frontier.advance([at(0, 110, 110 - 1 / MINUTE_MS), at(1, 200, 200)])
    assert minutes(frontier) == 99
    frontier.advance([at(0, 110, 110)])
    assert minutes(frontier) == 100


def test_a_model_with_its_own_horizon_waits_for_it() -> None:
    frontier = Frontier(SETTINGS)
    frontier.advance([at(0, 300, 300), at(1, 300, 300)])
    assert minutes(frontier, "slow") == 240


def test_a_partition_that_starts_again_earlier_holds_the_frontier_where_it_is() -> None:
    frontier = Frontier(SETTINGS)
    frontier.advance([at(0, 300, 300), at(1, 300, 300)])
    frontier.advance([at(0, 100, 100, epoch=2)])
    assert minutes(frontier) == 290
    frontier.advance([at(1, 500, 500), at(0, 290, 290, epoch=2)])
    assert minutes(frontier) == 290


def test_a_former_owner_of_a_partition_is_not_listened_to() -> None:
    frontier = Frontier(SETTINGS)
    frontier.advance([at(0, 300, 300, epoch=2), at(1, 900, 900)])
    frontier.advance([at(0, 800, 800, epoch=1)])
    assert minutes(frontier) == 290


def test_caught_up_means_all_partitions() -> None:
    frontier = Frontier(SETTINGS)
    frontier.advance([at(0, 300, 300), at(1, 300, 300, caught_up=False)])
    assert not frontier.caught_up
    frontier.advance([at(1, 301, 301)])
    assert frontier.caught_up
