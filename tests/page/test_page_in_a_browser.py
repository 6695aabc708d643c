"""The page in a real Chromium: with a mouse, by keyboard, with a reader, and when things fail."""

from collections.abc import Iterator
from typing import get_args
from urllib.parse import quote

import pytest
from browser_visit import Look, Visit, picture, picture_for_the_documentation, violations
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect
from served_page import DATABASE, HOSTILE, Filled, Gate, ask, items, page_over

from aftcast.demo.story import Story
from aftcast.demo.switches import Switches
from aftcast.page.guards import Guard
from aftcast.page.literals import literal
from sinks.clickhouse.migrate import migrate

pytestmark = pytest.mark.browser
LARGEST_PAGE_BYTES = 100_000
LARGEST_SHIFT = 0.1  # what Core Web Vitals call good
TOKEN = "a-token-of-these-tests"  # noqa: S105
DRAWN = ".plot canvas"
MODEL = "#/model/fraud"
DOCUMENTED = {("light", ""): "models", ("dark", MODEL): "model", ("phone", MODEL): "phone"}


@pytest.fixture
def hostile(filled: Filled) -> Iterator[None]:
    """Give a model, segment, feature, alert and dead letter the names that a hostile producer would."""
    name = literal(HOSTILE)
    who = f"{name} AS model, {name} AS model_version"
    feature = f"{who}, {name} AS feature"
    kept = {
        "rollups": (who, "model = 'fraud'"),
        "model_states": (who, "task = 'binary'"),
        "feature_rollups": (
            f"{feature}, mapApply((k, v) -> (concat(k, {name}), v), categories) AS categories",
            "feature = 'merchant'",
        ),
        "feature_references": (
            f"{feature}, arrayMap(k -> concat(k, {name}), categories) AS categories",
            "feature = 'merchant'",
        ),
        "lifecycle_events": (f"{who}, {name} AS kind, {name} AS message", "kind = 'deployed'"),
        "alerts": (
            f"{who}, {name} AS summary, {name} AS rule, {name} AS fingerprint, {name} AS event_id, "
            f"'javascript:alert(1)' AS runbook_url, map({name}, {name}) AS evidence",
            "status = 'firing'",
        ),
    }
    for table, (columns, where) in kept.items():
        # Chosen inside, where names are still those of the table.
        chosen = f"SELECT * FROM {DATABASE}.{table} FINAL WHERE {where}"  # noqa: S608
        rows = f"SELECT * REPLACE ({columns}) FROM ({chosen})"  # noqa: S608
        filled.client.command(f"INSERT INTO {DATABASE}.{table} {rows}")
    yield
    for table in kept:
        filled.client.command(f"DELETE FROM {DATABASE}.{table} WHERE model = {name}")  # noqa: S608


def shown(tab: Tab) -> None:
    """Wait until the figures of the overview, or the charts of a model, are there."""
    if "#/model/" in tab.url:
        expect(tab.locator(DRAWN)).to_have_count(5)
        expect(tab.locator(".distribution tbody tr").first).to_be_visible()
        expect(tab.locator(".alert-list > li, .alerts .empty").first).to_be_visible()
    else:
        expect(tab.locator(".model")).to_have_count(2)
        expect(tab.locator(".badge.bad").first).to_be_visible()
    expect(tab.locator("#status")).to_have_text("live")


@pytest.mark.parametrize("look", get_args(Look))
@pytest.mark.parametrize("view", ["", "#/model/fraud"], ids=["overview", "model"])
def test_everybody_can_read_it_in_light_in_dark_and_on_a_phone(
    page: str, visit: Visit, look: Look, view: str
) -> None:
    tab = visit.open(page + view, look)
    shown(tab)
    if (look, view) in DOCUMENTED:
        picture_for_the_documentation(tab, DOCUMENTED[look, view])
    for summary in tab.locator("details > summary").all()[:3]:
        summary.click()
    picture(tab, f"{look}-{'model' if view else 'overview'}")
    assert violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_whole_page_is_below_100_kb_on_the_wire(page: str, visit: Visit) -> None:
    tab = visit.open(page)
    shown(tab)
    files = tab.evaluate(
        "[...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]"
        ".filter((one) => !one.name.includes('/api/')).map((one) => [one.name, one.transferSize])"
    )
    paint_ms = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    total = sum(size for _, size in files)
    print(f"{len(files)} files, {total:,} bytes with headers, first paint after {paint_ms:.0f} ms")  # noqa: T201
    assert all(name.startswith(page) for name, _ in files)
    assert 20_000 < total < LARGEST_PAGE_BYTES


@pytest.mark.parametrize("view", ["", MODEL], ids=["overview", "model"])
def test_nothing_jumps_while_figures_come(page: str, visit: Visit, view: str) -> None:
    tab = visit.open(page + view)
    shown(tab)
    shifts = tab.evaluate(
        """() => new Promise((done) => {
            const observer = new PerformanceObserver(() => {});
            observer.observe({ type: "layout-shift", buffered: true });
            setTimeout(() => done(observer.takeRecords().map((one) => one.value)), 500);
        })"""
    )
    assert sum(shifts) < LARGEST_SHIFT


def test_the_overview_shows_each_version_with_its_newest_mature_figure(page: str, visit: Visit) -> None:
    rows = items(ask(page, "overview"))
    tab = visit.open(page)
    shown(tab)
    for model, version, name in (("fraud", "3.1", "accuracy"), ("price", "12", "mape")):
        mature = [
            row
            for row in rows
            if (row["model"], row["model_version"]) == (model, version)
            and row["is_mature"]
            and row[name] is not None
        ]
        card = tab.locator(".version", has=tab.get_by_text(version, exact=True))
        expect(card.locator(".headline .figure")).to_have_text(f"{mature[-1][name] * 100:.1f}%")


def test_the_sql_behind_a_section_is_shown_as_it_ran_and_closes_by_keyboard(
    page: str, visit: Visit, filled: Filled
) -> None:
    tab = visit.open(page + "#/model/fraud")
    shown(tab)
    button = tab.get_by_role("button", name="Show the SQL: Quality over time")
    button.focus()
    tab.keyboard.press("Enter")
    texts = tab.locator("dialog pre").all_inner_texts()
    assert "model_quality(window_seconds = 600)" in texts[0]
    assert "model = 'fraud'" in texts[0]
    assert len(filled.client.rows(texts[0])) == len(
        items(ask(page, "quality", model="fraud", segment="", figure="accuracy"))
    )
    assert violations(tab) == []
    tab.keyboard.press("Escape")
    expect(tab.locator("dialog")).to_be_hidden()
    expect(button).to_be_focused()


def test_a_chart_is_read_by_arrow_keys_and_as_a_table(page: str, visit: Visit) -> None:
    tab = visit.open(page + "#/model/fraud")
    shown(tab)
    chart = tab.locator(".chart").first
    chart.locator(".plot").focus()
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("ArrowLeft")
    rows = items(ask(page, "quality", model="fraud", segment="", figure="accuracy"))
    times = sorted({row["window_start"] for row in rows})
    expect(chart.locator(".readout")).to_contain_text(times[-2].replace("T", " ")[:16])
    chart.locator("summary").focus()
    tab.keyboard.press("Enter")
    expect(chart.locator("table tbody tr")).to_have_count(len(times))
    assert chart.locator("thead th").all_inner_texts()[0] == "time (UTC)"


def test_a_change_that_a_detector_found_is_told_with_its_levels(page: str, visit: Visit) -> None:
    (found,) = items(ask(page, "drifts", model="fraud"))[:1]
    tab = visit.open(page + MODEL)
    row = tab.get_by_role("region", name="Changes that detectors found").get_by_role("row").nth(1)
    expect(row).to_contain_text(found["signal"])
    expect(row).to_contain_text(found["detector"])
    expect(row).to_contain_text(found["detected_at"][:16].replace("T", " "))


def test_maintenance_is_a_shade_as_long_as_it_was(page: str, visit: Visit) -> None:
    tab = visit.open(page + "#/model/price")
    expect(tab.locator(DRAWN)).to_have_count(5)
    expect(tab.locator(".events")).to_contain_text("maintenance started")
    shaded = """canvas => {
        const row = canvas.getContext("2d").getImageData(0, canvas.height * 0.1, canvas.width, 1).data;
        // Of 255, what the style sheet says: 0.09 in the light.
        return row.filter((value, i) => i % 4 === 3 && Math.abs(value - 23) < 3).length / canvas.width;
    }"""
    # One of eight hours, and the chart's labels take some of the width.
    assert 0.09 < tab.locator(DRAWN).first.evaluate(shaded) < 0.13


def test_another_figure_and_another_segment_are_asked_for(page: str, visit: Visit) -> None:
    tab = visit.open(page + "#/model/fraud")
    shown(tab)
    with tab.expect_response(lambda answer: "figure=auc" in answer.url):
        tab.locator("[name=figure]").select_option("auc")
    with tab.expect_response(lambda answer: "segment=country%3DDE" in answer.url and "quality" in answer.url):
        tab.locator("[name=segment]").select_option("country=DE")
    with tab.expect_response(lambda answer: "span=1h" in answer.url):
        tab.locator("[name=span]").select_option("1h")


def test_hostile_names_are_shown_as_they_are_and_never_run(page: str, visit: Visit, hostile: None) -> None:
    tab = visit.open(page)
    link = tab.get_by_role("link", name=HOSTILE)
    expect(link).to_be_visible()
    link.click()
    expect(tab.locator("h1")).to_have_text(HOSTILE)
    expect(tab.locator(DRAWN)).to_have_count(5)
    expect(tab.locator(".distribution tbody tr").first).to_contain_text("<img src=x")
    tab.locator(".alert-list summary").first.click()
    expect(tab.locator(".evidence").first).to_contain_text(HOSTILE)
    assert tab.locator("main img, main script, main [onerror]").count() == 0
    assert tab.locator("a[href^='javascript']").count() == 0
    assert visit.dialogs == []
    assert tab.url.endswith(quote(HOSTILE, safe="!*'()"))


def test_clickhouse_away_is_said_with_old_figures_kept_and_forgotten_when_it_is_back(
    filled: Filled, visit: Visit
) -> None:
    with Gate(filled.url) as gate, page_over(gate.address) as server:
        tab = visit.open(server.address)
        shown(tab)
        figure = tab.locator(".headline .figure").first.inner_text()
        gate.close()
        trouble = tab.locator("#trouble")
        expect(trouble).to_contain_text("clickhouse: not reachable at 127.0.0.1")
        assert tab.locator(".headline .figure").first.inner_text() == figure
        assert violations(tab) == []
        gate.open()
        expect(trouble).to_be_hidden()
        expect(tab.locator("#status")).to_have_text("live")


def test_people_log_in_with_the_token(filled: Filled, visit: Visit) -> None:
    with page_over(filled.url, Guard("127.0.0.1", (), TOKEN)) as server:
        tab = visit.open(server.address + "#/model/fraud")
        assert violations(tab) == []
        tab.get_by_label("Token").fill("not-the-token")
        tab.keyboard.press("Enter")
        expect(tab.get_by_text("That was not the token.")).to_be_visible()
        tab.get_by_label("Token").fill(TOKEN)
        tab.get_by_role("button", name="Log in").click()
        expect(tab.locator(".model")).to_have_count(2)
        assert tab.evaluate("document.cookie") == ""


def test_switches_of_the_demo_are_turned_and_tell_what_they_do(filled: Filled, visit: Visit) -> None:
    switches = Switches(Story(0, 10**15, 10**14, 10**14), lambda: 10**12, lambda: 300.0)
    with page_over(filled.url, switches=switches) as server:
        tab = visit.open(server.address)
        button = tab.get_by_role("button", name="Hold back the labels")
        expect(button).to_have_attribute("aria-pressed", "false")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        expect(tab.locator(".story")).to_contain_text("No labels come")
        assert switches.holds_labels
        button.click()
        expect(button).to_have_attribute("aria-pressed", "false")
        assert not switches.holds_labels


def test_a_page_over_nothing_names_the_command_that_comes_next(filled: Filled, visit: Visit) -> None:
    name = "aftcast_nothing"
    with page_over(filled.url, database=name) as server:
        tab = visit.open(server.address)
        expect(tab.locator("#trouble")).to_contain_text("aftcast setup")
        migrate(filled.client, name)
        expect(tab.locator(".empty").first).to_contain_text("aftcast simulate")
        expect(tab.locator("#trouble")).to_be_hidden()
        assert violations(tab) == []
    filled.client.command(f"DROP DATABASE {name}")
