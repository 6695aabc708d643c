"""Every query of the dashboards, sent as Grafana sends it, over a day and more of simulated traffic."""

import json
import re
from bisect import bisect_right
from collections import Counter
from datetime import UTC
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from demo_data import END_MS, HOUR_MS, START_MS
from grafana_words import panels_of, sent

from aftcast.dashboards import BOARDS
from aftcast.dashboards.__main__ import texts
from schemas.features import grid_cell
from sinks.clickhouse.client import Client

FILES = Path(__file__).parents[2] / "docker" / "grafana" / "dashboards"
DOCUMENTS: dict[str, dict[str, Any]] = {
    name.removesuffix(".json"): json.loads(text) for name, text in texts().items()
}
PANELS = [(board, panel) for board, document in DOCUMENTS.items() for panel in panels_of(document)]
QUERIES = [
    pytest.param(board, panel, target, id=f"{board}: {panel['title']}, {target['refId']}")
    for board, panel in PANELS
    for target in panel["targets"]
    if "rawSql" in target
]
CHOICES = {"version": "*", "segment": "all traffic", "window": "3600", "feature": "amount"}
MODEL = {"executive": "*", "on-call": "*", "debug": "fraud"}
SPAN_S = (START_MS // 1000, END_MS // 1000)
HOSTILE = (
    "a\\",
    "it's",
    "' OR 1=1 --",
    "\\' OR 1=1 -- ",
    "$__timeFilter(x) ${model}",
    "{a,b}",
    "*/ ä \n%27?&=",
)


def asked(statement: str, board: str, **choices: str) -> str:
    return sent(statement, {"model": MODEL[board], **CHOICES, **choices}, *SPAN_S)


def answer_of(client: Client, statement: str) -> tuple[dict[str, str], list[list[Any]]]:
    """Return the types of the columns by name, and the rows."""
    answer = json.loads(client.text(statement, "JSONCompact"))
    types = {column["name"]: column["type"] for column in answer["meta"]}
    return {name: kind.removeprefix("LowCardinality(").rstrip(")") for name, kind in types.items()}, answer[
        "data"
    ]


def is_number(kind: str) -> bool:
    return kind.removeprefix("Nullable(").startswith(("Float", "Int", "UInt"))


@pytest.mark.parametrize(("board", "panel", "target"), QUERIES)
def test_a_panel_has_rows_of_what_its_kind_draws(
    demo: Client, board: str, panel: dict[str, Any], target: dict[str, Any]
) -> None:
    statement = asked(target["rawSql"], board)
    types, rows = answer_of(demo, statement)
    assert rows
    names, kinds = list(types), list(types.values())
    check_overrides(panel, names)
    if panel["type"] == "timeseries":
        assert names == ["time", "series", "figure"]
        assert kinds[0].startswith("DateTime")
        assert kinds[1] == "String"
        assert is_number(kinds[2])
    elif panel["type"] == "stat":
        assert all(is_number(kind) for kind in kinds)
    elif panel["type"] in ("barchart", "bargauge"):
        assert kinds[0] == "String"
        assert all(is_number(kind) for kind in kinds[1:])
    else:
        assert panel["type"] == "table"
        assert not any(kind.startswith(("Array", "Map", "Tuple")) for kind in kinds)
    if names[0] == "time":
        times = [row[0] for row in rows]
        assert times == sorted(times, reverse=panel["type"] == "table")
    if panel["type"] == "stat":
        assert len(rows) == 1
        assert None not in rows[0]


@pytest.mark.parametrize(("board", "document"), DOCUMENTS.items())
def test_variables_and_marks_have_values(demo: Client, board: str, document: dict[str, Any]) -> None:
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            statement = asked(variable["query"], board)
            types, rows = answer_of(demo, statement)
            assert list(types.values()) == ["String"]
            values = [value for (value,) in rows]
            assert len(values) > 1
            assert CHOICES.get(variable["name"], "*") in (*values, "*")
    marks = document["annotations"]["list"]
    assert [mark["name"] for mark in marks] == [
        "Alerts", "Alerts over", "Deployments", "Rollbacks", "Maintenance",
    ]  # fmt: skip
    for mark in marks:
        statement = asked(mark["target"]["rawSql"], board)
        types, rows = answer_of(demo, statement)
        spans = mark["name"] == "Maintenance"
        assert list(types) == (["time", "timeEnd", "text", "tags"] if spans else ["time", "text", "tags"])
        assert all(types[name].startswith("DateTime") for name in types if name.startswith("time"))
        assert rows
        # What a mark says is drawn as HTML.
        assert not re.search("[<>]", "".join(row[-2] for row in rows))


def marked(demo: Client, name: str) -> list[dict[str, Any]]:
    (mark,) = [m for m in DOCUMENTS["debug"]["annotations"]["list"] if m["name"] == name]
    return demo.rows(asked(mark["target"]["rawSql"], "debug"))


def hours(moment: Any) -> float:
    since_ms: float = moment.replace(tzinfo=UTC).timestamp() * 1_000 - START_MS
    return since_ms / HOUR_MS


def test_maintenance_is_a_span_that_ends_with_its_end_or_not_yet(demo: Client) -> None:
    spans = [(hours(row["time"]), hours(row["timeEnd"])) for row in marked(demo, "Maintenance")]
    assert spans == [(4.0, 5.5), (20.0, (END_MS - START_MS) / HOUR_MS)]


def test_deployments_and_rollbacks_are_told_apart_and_maintenance_is_neither(demo: Client) -> None:
    deployed = [row["tags"] for row in marked(demo, "Deployments")]
    assert sorted(set(deployed)) == ["deployed", "promoted"]
    (rollback,) = marked(demo, "Rollbacks")
    assert hours(rollback["time"]) == 3.0
    assert rollback["text"] == "rolled_back fraud  &lt;img src=x onerror=alert(1)&gt;"


def addresses(document: dict[str, Any]) -> list[str]:
    """Return the addresses of all links of panels, by column and by line."""
    found = []
    for panel in panels_of(document):
        config = panel["fieldConfig"]
        found += [link["url"] for link in config["defaults"].get("links", ())]
        for override in config["overrides"]:
            for one in override["properties"]:
                if one["id"] == "links":
                    found += [link["url"] for link in one["value"]]
    return found


@pytest.mark.parametrize(("board", "to"), [("executive", "on-call"), ("on-call", "debug")])
def test_links_lead_down_with_the_time_and_the_choices_that_both_boards_have(board: str, to: str) -> None:
    below = [url for url in addresses(DOCUMENTS[board]) if url.startswith("/d/")]
    assert len(below) > 3
    here, there = (
        {variable["name"] for variable in DOCUMENTS[one]["templating"]["list"]} - {"datasource", "prometheus"}
        for one in (board, to)
    )
    for url in below:
        path, _, query = url.partition("?")
        assert path == f"/d/aftcast-{to}"
        *chosen, span = query.split("&")
        assert span == "${__url_time_range}"
        pairs = dict(pair.removeprefix("var-").split("=", 1) for pair in chosen)
        assert here & there <= pairs.keys() <= there
        assert "model" in pairs
        # Encoded, whatever a producer has called it.
        for name, value in pairs.items():
            field = r"__data\.fields\.\w+|__field\.labels\.series"
            assert re.fullmatch(rf"\$\{{({name}|{field}):percentencode\}}", value), value


def test_an_address_of_somebody_else_is_used_for_runbooks_only() -> None:
    foreign = [url for one in DOCUMENTS.values() for url in addresses(one) if not url.startswith("/d/")]
    assert set(foreign) == {"${__value.raw}"}


def test_a_link_from_a_row_without_a_version_shows_all_versions(demo: Client) -> None:
    traffic = next(p for b, p in PANELS if b == "on-call" and p["title"] == "Traffic")["targets"][0]
    every = demo.rows(asked(traffic["rawSql"], "on-call", model="fraud"))
    assert demo.rows(asked(traffic["rawSql"], "on-call", model="fraud", version="")) == every
    assert {row["series"] for row in every} == {"fraud 3.1", "fraud 3.2"}


def test_accuracy_of_all_models_weighs_each_by_its_labels(demo: Client) -> None:
    shown = panel_rows(demo, "executive", "Accuracy of all models")
    plain = demo.rows(
        "SELECT window_start AS time, accuracy, labelled "
        "FROM aftcast.model_quality(window_seconds = 3600) "
        "WHERE segment = '' AND is_mature AND accuracy IS NOT NULL ORDER BY time"
    )
    sums: dict[Any, tuple[float, float]] = {}
    for row in plain:
        right, n = sums.get(row["time"], (0.0, 0.0))
        sums[row["time"]] = right + row["accuracy"] * row["labelled"], n + row["labelled"]
    assert {row["time"]: row["figure"] for row in shown} == {
        time: pytest.approx(right / n, rel=1e-12) for time, (right, n) in sums.items()
    }


def check_overrides(panel: dict[str, Any], columns: list[str]) -> None:
    for override in panel["fieldConfig"]["overrides"]:
        named = override["matcher"]["options"]
        if override["matcher"]["id"] == "byFrameRefID":
            assert named in [target["refId"] for target in panel["targets"]]
            continue
        assert named in columns
        for column in re.findall(r"__data\.fields\.(\w+):percentencode", json.dumps(override)):
            assert column in columns


def test_figures_on_the_boards_are_those_of_the_views(demo: Client) -> None:
    accuracy = next(p for b, p in PANELS if b == "on-call" and p["title"] == "Accuracy")
    mature, provisional = (
        asked(t["rawSql"], "on-call", model="fraud", version="3.2") for t in accuracy["targets"]
    )
    plain = demo.rows(
        "SELECT window_start AS time, 'fraud 3.2' AS series, accuracy AS figure, is_mature "
        "FROM aftcast.model_quality(window_seconds = 3600) "
        "WHERE model = 'fraud' AND model_version = '3.2' AND segment = '' ORDER BY time"
    )
    assert demo.rows(mature) == [row for row in plain if row.pop("is_mature")]
    assert [row["time"] for row in demo.rows(provisional)] == [plain[-1]["time"]]
    total = next(p for b, p in PANELS if b == "executive" and p["title"] == "Models")
    calls = {
        row["model"]: row["calls"] for row in demo.rows(asked(total["targets"][0]["rawSql"], "executive"))
    }
    raw = demo.rows("SELECT model, uniqExact(prediction_id) AS n FROM aftcast.predictions GROUP BY model")
    assert calls == {row["model"]: row["n"] for row in raw}


def panel_rows(demo: Client, board: str, title: str, **choices: str) -> list[dict[str, Any]]:
    panel = next(p for b, p in PANELS if b == board and p["title"] == title)
    return demo.rows(asked(panel["targets"][0]["rawSql"], board, **choices))


def test_confusion_counts_what_raw_predictions_and_labels_give(demo: Client) -> None:
    found = {(row["label"], row["predicted"]): row["pairs"] for row in panel_rows(demo, "debug", "Confusion")}
    raw = demo.rows(
        "SELECT truth, said, count() AS n FROM ("
        " SELECT prediction_id, any(prediction) AS said FROM aftcast.predictions"
        " WHERE model = 'fraud' AND status = 'ok' GROUP BY prediction_id) AS p "
        "INNER JOIN (SELECT prediction_id, argMax((label,), (timestamp, label)).1 AS truth"
        " FROM aftcast.labels"
        " GROUP BY prediction_id) AS l USING prediction_id WHERE truth IS NOT NULL GROUP BY truth, said"
    )
    assert found == {(row["truth"], row["said"]): row["n"] for row in raw}


def test_wrong_answers_are_wrong_recent_and_found_by_their_ids(demo: Client) -> None:
    rows = panel_rows(demo, "debug", "Recent wrong answers", version="3.2", segment="country=FR")
    assert len(rows) > 10
    for row in rows:
        assert row["truth"] is not None
        assert row["said"] != row["truth"]
        assert row["model_version"] == "3.2"
        assert "'country':'FR'" in row["segments"]
        assert row["request_id"] == f"r-{row['prediction_id']}"
        assert row["trace_id"] == f"t-{row['prediction_id']}"
    newest_ms = rows[0]["time"].replace(tzinfo=UTC).timestamp() * 1_000
    assert newest_ms > END_MS - 4 * HOUR_MS


def test_the_distribution_of_a_feature_is_that_of_raw_predictions(demo: Client) -> None:
    raw = demo.rows(
        "SELECT prediction_id, any(features) AS f FROM aftcast.predictions "
        "WHERE model = 'fraud' AND model_version = '3.1' GROUP BY prediction_id"
    )
    features = [row["f"] for row in raw]
    names = Counter(json.loads(f["merchant"]) for f in features)
    shown = panel_rows(demo, "debug", "Distribution of the chosen feature", feature="merchant", version="3.1")
    assert {row["bin"]: row["shown"] for row in shown} == {
        name: pytest.approx(n / len(features), rel=1e-12) for name, n in names.items()
    }
    (edges,) = demo.rows(
        "SELECT edges FROM aftcast.feature_references FINAL WHERE model = 'fraud' AND model_version = '3.1' "
        "AND segment = '' AND feature = 'amount'"
    )
    cells = Counter(bisect_right(edges["edges"], grid_cell(json.loads(f["amount"]))) for f in features)
    shown = panel_rows(demo, "debug", "Distribution of the chosen feature", feature="amount", version="3.1")
    assert [row["shown"] for row in shown] == [
        pytest.approx(cells[cell] / len(features), rel=1e-12) for cell in sorted(cells)
    ]
    assert sum(row["reference"] for row in shown) == pytest.approx(1, rel=1e-12)


def test_an_alert_is_open_until_it_is_resolved_and_a_correction_changes_nothing(demo: Client) -> None:
    count = next(p for b, p in PANELS if b == "executive" and p["title"] == "Open incidents")["targets"][0]
    told_s = START_MS // 1000 + 3600

    def open_after(status: str, after_s: int) -> int:
        """Tell one event, and return by how many tickets more are open than before the first."""
        row = {"event_id": f"{status}{after_s}", "status": status, "timestamp": (told_s + after_s) * 1000}
        row |= {"fingerprint": "one", "severity": "ticket", "kind": "threshold", "model": "other"}
        columns: dict[str, Any] = {name: [value] for name, value in row.items()}
        columns["timestamp"] = pa.array(columns["timestamp"], pa.timestamp("ms", tz="UTC"))
        demo.insert("aftcast.alerts", pa.table(columns))
        return open_tickets() - before

    def open_tickets() -> int:
        (row,) = demo.rows(asked(count["rawSql"], "executive"))
        tickets: int = row["tickets"]
        return tickets

    before = open_tickets()
    assert open_after("firing", 0) == 1
    assert open_after("corrected", 10) == 1
    assert open_after("resolved", 20) == 0
    assert open_after("corrected", 30) == 0
    assert open_after("firing", 40) == 1
    assert open_after("retracted", 40) == 0


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_with_quotes_and_backslashes_chooses_what_is_called_so(demo: Client, name: str) -> None:
    traffic = next(p for b, p in PANELS if b == "on-call" and p["title"] == "Traffic")["targets"][0]
    columns = {"model": [name], "model_version": [name], "segment": [f"x={name}"], "partition": [0]}
    times = pa.array([START_MS // 1000], pa.uint32())
    demo.insert(
        "aftcast.rollups", pa.table(columns | {"pane_start": times, "revision": [1], "predictions": [9]})
    )
    (row,) = demo.rows(asked(traffic["rawSql"], "on-call", model=name, version=name, segment=f"x={name}"))
    assert (row["series"], row["figure"]) == (f"{name} {name}", 9 / 3600)


def test_no_choice_breaks_a_statement(demo: Client) -> None:
    hostile = dict.fromkeys(("model", "version", "segment", "feature", "window"), "".join(HOSTILE))
    for board, panel in PANELS:
        for target in panel["targets"]:
            if "rawSql" in target:
                demo.rows(asked(target["rawSql"], board, **hostile))


def test_only_rows_of_the_chosen_model_and_segment_are_read(demo: Client) -> None:
    traffic = next(p for b, p in PANELS if b == "on-call" and p["title"] == "Traffic")["targets"][0]
    plan = demo.rows("EXPLAIN indexes = 1 " + asked(traffic["rawSql"], "on-call", model="fraud"))
    lines = [next(iter(row.values())) for row in plan]
    keys = [line for line in lines if "Condition: " in line and "segment in ['', '']" in line]
    assert keys
    assert all("model in ['fraud', 'fraud']" in line for line in keys)


def test_an_address_that_is_none_of_the_web_is_no_link(demo: Client) -> None:
    said = next(p for b, p in PANELS if b == "on-call" and p["title"] == "What alerts said")["targets"][0]
    addresses = ["https://wiki/x", "http://wiki/y", "javascript:alert(1)", " https://wiki", "", "wiki"]
    told = pa.array([START_MS + 2 * HOUR_MS] * len(addresses), pa.timestamp("ms", tz="UTC"))
    columns = {"model": ["linked"] * len(addresses), "event_id": addresses, "runbook_url": addresses}
    columns["status"] = ["resolved"] * len(addresses)
    demo.insert("aftcast.alerts", pa.table(columns | {"timestamp": told}))
    rows = demo.rows(asked(said["rawSql"], "on-call", model="linked"))
    assert sorted(row["runbook"] for row in rows) == ["", "", "", "", "http://wiki/y", "https://wiki/x"]


def test_versions_without_a_name_can_be_chosen(demo: Client) -> None:
    failing = next(p for b, p in PANELS if b == "on-call" and p["title"] == "Failure rate")["targets"][0]
    columns = {"model": ["plain"], "model_version": [""], "segment": [""], "partition": [0]}
    times = pa.array([(END_MS - HOUR_MS) // 1000], pa.uint32())
    counts = {"pane_start": times, "revision": [1], "predictions": [8], "failures": [2]}
    demo.insert("aftcast.rollups", pa.table(columns | counts))
    statement = asked(failing["rawSql"], "on-call", model="plain", version="(no version)")
    assert [(row["series"], row["figure"]) for row in demo.rows(statement)] == [("plain", 0.25)]


def test_charts_of_clickhouse_s_own_page_have_times_names_and_figures(demo: Client) -> None:
    charts = demo.rows("SELECT title, query FROM aftcast.dashboards WHERE dashboard = 'aftcast'")
    assert len({chart["title"] for chart in charts}) == len(charts) > 5
    given = {"seconds": 86_400, "rounding": 3_600, "model": "", "segment": ""}
    for chart in charts:
        # As the page does: what stands in braces are its parameters, and it knows no others.
        asked_for = set(re.findall(r"\{(\w+):[^}]+\}", chart["query"]))
        assert asked_for == set(given)
        rows = demo.rows(chart["query"], given)
        assert rows, chart["title"]
        assert list(rows[0]) == ["t", "name", "figure"]
        assert START_MS <= rows[0]["t"] * 1_000 <= rows[-1]["t"] * 1_000 < END_MS
        assert all(isinstance(row["name"], str) and isinstance(row["figure"], float) for row in rows)
    (accuracy,) = [chart["query"] for chart in charts if chart["title"] == "Accuracy of mature windows"]
    of_one = demo.rows(accuracy, given | {"model": "fraud", "segment": "country=DE"})
    assert {row["name"] for row in of_one} == {"fraud 3.1", "fraud 3.2"}


def test_the_committed_files_are_what_the_boards_say_now() -> None:
    committed = {path.name: path.read_text("utf-8") for path in FILES.iterdir()}
    assert committed == texts(), "write them anew with: make dashboards"


def test_boards_and_panels_can_be_told_apart_and_say_what_they_show() -> None:
    assert len({board.title for board in BOARDS}) == len(BOARDS)
    for board, document in DOCUMENTS.items():
        assert document["uid"] == f"aftcast-{board}"
        assert document["editable"] is False
        panels = panels_of(document)
        assert len({panel["title"] for panel in panels}) == len(panels)
        ids = [panel["id"] for panel in (*panels, *document["panels"])]
        assert len(set(ids)) == len(panels) + sum(p["type"] == "row" for p in document["panels"])
        for panel in panels:
            assert panel["description"].endswith((".", "?"))
            assert panel["fieldConfig"]["defaults"]["unit"]
            names = [target["refId"] for target in panel["targets"]]
            assert names
            assert len(set(names)) == len(names)
            for target in panel["targets"]:
                assert target["datasource"]["uid"] in ("${datasource}", "${prometheus}")


def test_panels_lie_beside_and_below_each_other_and_within_the_width() -> None:
    for document in DOCUMENTS.values():
        taken: set[tuple[int, int]] = set()
        for panel in document["panels"]:
            place = panel["gridPos"]
            cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
            assert not cells & taken
            assert max(x for x, _ in cells) < 24
            taken |= cells


def test_links_lead_to_boards_that_exist() -> None:
    text = json.dumps(DOCUMENTS)
    for document in DOCUMENTS.values():
        for link in document["links"]:
            assert link["url"].removeprefix("/d/aftcast-") in DOCUMENTS
    assert text.count("/d/aftcast-") == sum(text.count(f"/d/aftcast-{board}") for board in DOCUMENTS)
