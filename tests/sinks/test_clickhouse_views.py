"""Views are made anew from one set of files, whatever a database went through before."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pane_oracle import Joined, pane_rows

from aftcast.loading import load
from aftcast.store_checks import clickhouse_findings
from sinks.clickhouse import migrate as migrate_module
from sinks.clickhouse.client import Client, connect
from sinks.clickhouse.migrate import applied_migrations, migrate, migrations
from sinks.clickhouse.schema import INNER_VIEWS, VIEWS
from sinks.clickhouse.views import create_views, outdated_views, views
from sinks.clickhouse.writers import Writer

T0_MS = 2_524_608_000_000  # 2050-01-01, so that no TTL ever takes a test's rows
# Migrations 0002 and 0003 as they were when migrations still held the views.
BEFORE = {int(file.name[:4]): file for file in (Path(__file__).parent / "before_views").glob("*.sql")}


@pytest.fixture
def client(clickhouse_embedded_url: str) -> Iterator[Client]:
    client = connect(clickhouse_embedded_url)
    yield client
    for name in ("aftcast_old", "aftcast_new"):
        client.command(f"DROP DATABASE IF EXISTS {name}")
    client.close()


def definitions(client: Client, database: str) -> dict[str, str]:
    rows = client.rows(
        "SELECT name, create_table_query FROM system.tables WHERE database = {name:String}",
        {"name": database},
    )
    return {row["name"]: row["create_table_query"].replace(database, "") for row in rows}


def test_every_view_has_its_file_and_is_named_in_the_schema() -> None:
    assert sorted(views()) == sorted((*INNER_VIEWS, *VIEWS))


@pytest.mark.parametrize("last", [2, 3])
def test_a_database_migrated_by_the_old_files_comes_out_as_a_fresh_one_and_keeps_its_rows(
    client: Client, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    old = [(n, name, BEFORE[n].read_text() if n in BEFORE else text) for n, name, text in migrations()]
    with monkeypatch.context() as patched:
        patched.setattr(migrate_module, "migrations", lambda: old[:last])
        patched.setattr(migrate_module, "create_views", lambda *_: [])
        migrate(client, "aftcast_old")
    client.command(
        "INSERT INTO aftcast_old.rollups (model, pane_start, predictions, scored, labelled, class_n, hits) "
        "VALUES ('m', '2050-01-01 00:00:00', 5, 5, 4, 4, 3)"
    )
    migrate(client, "aftcast_old")
    migrate(client, "aftcast_new")
    assert applied_migrations(client, "aftcast_old") == applied_migrations(client, "aftcast_new")
    assert definitions(client, "aftcast_old") == definitions(client, "aftcast_new")
    (row,) = client.rows("SELECT * FROM aftcast_old.model_quality(window_seconds = 60)")
    assert (row["predictions"], row["accuracy"]) == (5, 0.75)
    assert {row[name] for name in ("auc", "log_loss", "brier", "ece")} == {None}


def test_scores_counted_before_weights_are_counted_by_weight_once(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(migrate_module, "migrations", lambda: migrations()[:3])
        migrate(client, "aftcast_old")
    # 0.25 came true, 0.75 did not and a second 0.75 did: ece (0.75 + 0.5) / 3; auc 0.25.
    client.command(
        "INSERT INTO aftcast_old.rollups (model, pane_start, predictions, scored, labelled, class_n, hits, "
        "score_n, log_loss_sum, brier_sum, calibration_n, calibration_hits, calibration_p, score_positives, "
        "score_negatives) SELECT 'm', '2050-01-01 00:00:00', 3, 3, 3, 3, 1, 3, 3, 1.5, "
        "[0, 0, 1, 0, 0, 0, 0, 2], [0, 0, 1, 0, 0, 0, 0, 1], "
        "arrayMap(p -> toInt64(p * 4294967296), [0, 0, 0.25, 0, 0, 0, 0, 1.5]), "
        "map('1', [1, 3, 1, 5]), map('1', [0, 0, 1, 5])"
    )
    for _ in range(2):  # the second as after a cut
        migrate(client, "aftcast_old")
        (row,) = client.rows("SELECT * FROM aftcast_old.model_quality(window_seconds = 60)")
        assert row["ece"] == pytest.approx(1.25 / 3, rel=1e-12)
        assert row["auc"] == pytest.approx(0.25, rel=1e-12)
        (stored,) = client.rows("SELECT calibration_n, score_positives FROM aftcast_old.rollups")
        assert stored["calibration_n"][2::5] == [2**32, 2**33]
        assert stored["score_positives"] == {"1": [2**20, 3 * 2**20, 2**20, 5 * 2**20]}
        client.command("DELETE FROM aftcast_old.migrations WHERE number = 8")


def test_a_view_that_was_changed_by_hand_or_dropped_comes_back(client: Client) -> None:
    migrate(client, "aftcast_new")
    made = definitions(client, "aftcast_new")
    client.command("CREATE OR REPLACE VIEW aftcast_new.model_quality AS SELECT 1 AS accuracy")
    client.command("DROP VIEW aftcast_new.class_quality")
    assert outdated_views(client, "aftcast_new") == ["class_quality", "model_quality"]
    assert migrate(client, "aftcast_new")[-2:] == [
        "clickhouse: view class_quality created",
        "clickhouse: view model_quality created",
    ]
    assert definitions(client, "aftcast_new") == made
    assert create_views(client, "aftcast_new") == [f"clickhouse: {len(views())} views are there"]


def test_numbers_of_migrations_may_have_gaps_and_a_gap_is_filled_later(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = migrations()
    with monkeypatch.context() as patched:
        patched.setattr(migrate_module, "migrations", lambda: [*steps[:1], *steps[2:]])
        migrate(client, "aftcast_new")
    lines = migrate(client, "aftcast_new")
    assert f"clickhouse: migration {steps[1][1]} applied" in lines
    Writer(client, "aftcast_new").write_rollups(pane_rows([Joined(T0_MS, "a", "a", True)]))
    (row,) = client.rows("SELECT accuracy FROM aftcast_new.model_quality(window_seconds = 60)")
    assert row == {"accuracy": 1.0}


def test_check_names_views_of_another_version_and_the_remedy(
    client: Client, clickhouse_embedded_url: str
) -> None:
    migrate(client, "aftcast_new")
    environment = {"AFTCAST_CLICKHOUSE__URL": clickhouse_embedded_url}
    configuration = load(environment={**environment, "AFTCAST_CLICKHOUSE__DATABASE": "aftcast_new"})
    # Of all but the disk, which is this machine's.
    found = [one for one in clickhouse_findings(configuration) if not one.item.startswith("disk ")]
    assert {finding.grade for finding in found} == {"ok"}
    client.command("ALTER TABLE aftcast_new.class_quality MODIFY COMMENT 'aftcast 0'")
    last = clickhouse_findings(configuration)[-1]
    assert last.grade == "failure"
    assert (last.text, last.remedy) == (
        "views are not this version's: class_quality",
        "create them anew: aftcast setup",
    )
