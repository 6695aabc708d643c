"""The law of the cold join: whatever came late, twice, elsewhere or was evicted, its panes are the truth."""

import pytest
from cold_histories import KINDS, WIDTH_MS, decoded, eligible, join, merged, play, truth

from schemas.settings import JoinSettings
from streams.partition import PartitionStage

HISTORIES = 12  # of each kind; the command of cold_histories.py runs thousands


@pytest.mark.parametrize("kind", KINDS)
def test_panes_joined_cold_are_what_brute_force_over_all_events_gives(kind: str) -> None:
    for seed in range(HISTORIES):
        world = play(seed, KINDS[kind])
        starts_ms = eligible(world)
        join(world, starts_ms, pieces=1 + seed % 3)
        assert merged(world, starts_ms) == truth(world, starts_ms), f"history {seed}"


def test_hot_rows_alone_are_not_the_truth_so_that_the_law_can_fail() -> None:
    differs = 0
    for seed in range(HISTORIES):
        world = play(seed, KINDS["all"])
        starts_ms = eligible(world)
        differs += merged(world, starts_ms) != truth(world, starts_ms)
    assert differs > HISTORIES / 2


def test_joined_a_second_time_nothing_changes() -> None:
    for seed in range(HISTORIES):
        world = play(seed, KINDS["all"])
        starts_ms = eligible(world)
        first = join(world, starts_ms, bound=7)
        panes, features = dict(world.panes), dict(world.features)
        again = join(world, starts_ms, bound=7)
        assert again.panes.filter(again.panes.column("partition").to_numpy() == -1).equals(
            first.panes.filter(first.panes.column("partition").to_numpy() == -1)
        )
        assert (world.panes, world.features) == (panes, features)


def test_features_and_examples_are_those_of_one_stage_that_saw_everything() -> None:
    for seed in range(HISTORIES):
        world = play(seed, KINDS["implicit"])
        starts_ms = eligible(world)
        found = join(world, starts_ms, pieces=1 + seed % 3)
        stage = PartitionStage(-1, 0, -(10**15), JoinSettings(10**16, 1 << 60), world.monitor)
        ordered = sorted(world.events, key=lambda e: (e[3]["record_time_ms"], e[1], e[2]))
        for at, (kind, _, _, event) in enumerate(ordered):
            (stage.apply_inference if kind == "inference" else stage.apply_labels)(decoded(kind, [event], at))
        stage.advance(world.now_ms, world.now_ms)
        for ours, theirs, names in (
            (found.features, stage.take_changed_features(), ("n", "sum", "m2", "cells", "categories")),
            (found.panes, stage.take_changed(), ("predictions", "labelled", "hits", "examples")),
        ):
            assert _by_key(ours, names, starts_ms) == _by_key(theirs, names, starts_ms), f"history {seed}"


def _by_key(rows, names, starts_ms):
    keys = ("model", "model_version", "segment", "pane_start", "signal", "feature")
    found = {}
    for row in rows.to_pylist():
        start_ms = round(row["pane_start"].timestamp() * 1000)
        if row["partition"] == -1 and start_ms in starts_ms:
            assert start_ms % WIDTH_MS == 0
            found[tuple(row.get(key) for key in keys)] = {name: row[name] for name in names}
    return found
