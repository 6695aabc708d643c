"""The parts of the demo: mock Kafka, embedded ClickHouse, the story, and what the screen says of figures."""

import io
import threading
import time
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from rich.console import Console

from aftcast.demo.clock import EASY_LAG_S, LONGEST_LAG_S, PatientClock
from aftcast.demo.figures import FigureReader, Figures, ModelView, Window
from aftcast.demo.mock_kafka import MockKafka
from aftcast.demo.plain import PlainLines
from aftcast.demo.screen import Moment, screen, window_cell
from aftcast.demo.store import DemoStore
from aftcast.demo.story import configuration_of, story_of
from aftcast.demo.traffic import Traffic
from aftcast.simulation import Simulation
from aftcast.working import raw_writer, worker_settings
from streams.worker.clock import ScaledClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MOMENT = Moment(
    elapsed_s=50.0,
    event_time_ms=int(NOON.timestamp() * 1000),
    speed=300,
    pace=1.0,
    sent=1234,
    sent_per_s=2000.0,
    waiting=42,
    address="http://127.0.0.1:8123",
    story="",
)


def window(figure: float | None, *, mature: bool, numbers: bool = False) -> Window:
    accuracy, mape = (None, figure) if numbers else (figure, None)
    return Window(NOON, 100, 0.5, accuracy, mape, mature)


def alert(status: str, minute: int, fingerprint: str = "f1") -> dict[str, Any]:
    return {
        "timestamp": NOON.replace(minute=minute),
        "status": status,
        "severity": "page",
        "rule": "accuracy-low",
        "model": "fraud",
        "model_version": "3.1",
        "summary": "accuracy 0.75",
        "fingerprint": fingerprint,
    }


FIGURES = Figures(
    models=(
        ModelView(
            "fraud", "3.1", 1000, 990, 495, 700.0, (window(0.9, mature=True), window(0.85, mature=False))
        ),
        ModelView("price", "12", 10, 0, 0, 0.0, (window(None, mature=False, numbers=True),)),
    ),
    alerts=(alert("firing", 1), alert("firing", 2, "f2"), alert("resolved", 3)),
    dead_letters={"prediction": 3},
)


def rendered(moment: Moment, figures: Figures, width: int = 150, height: int = 50) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(screen(moment, figures, width, height))
    return console.export_text()


def test_the_mock_cluster_has_the_topics_that_were_asked_for_and_carries_records() -> None:
    with MockKafka({"one": 3, "two": 1}) as kafka:
        options = {"bootstrap.servers": kafka.bootstrap_servers}
        producer = Producer(options)
        topics = producer.list_topics(timeout=5).topics
        assert {name: len(topic.partitions) for name, topic in topics.items()} == {"one": 3, "two": 1}
        producer.produce("one", b"value", b"key", timestamp=1_767_225_600_000)
        assert producer.flush(5) == 0
        began_s = time.monotonic()
        consumer = Consumer({**options, "group.id": "g", "auto.offset.reset": "earliest"})
        consumer.subscribe(["one"])
        message = consumer.poll(10)
        assert message is not None
        assert message.timestamp()[1] == 1_767_225_600_000
        assert time.monotonic() - began_s < 3.0  # a group that waits for members takes longer
        consumer.close()


def test_the_story_ends_about_now_with_the_rise_before_the_recovery() -> None:
    now_ms = 1_767_225_600_000
    story = story_of(now_ms, 120, 300)
    assert story.start_ms < story.rise_ms < story.recovery_ms < story.end_ms
    assert 0 <= now_ms - story.end_ms < 60_000
    assert story.at(story.rise_ms - 1) == ""
    assert "25 %" in story.at(story.rise_ms)
    assert "back at 10 %" in story.at(story.recovery_ms)


def test_simulated_time_stands_still_until_it_is_started_and_while_readers_are_far_behind() -> None:
    clock = PatientClock(10_000_000, 1000)
    time.sleep(0.01)
    assert clock.now_ms() == 10_000_000
    clock.start()
    time.sleep(0.01)
    assert clock.now_ms() >= 10_010_000
    clock.follow(clock.now_ms() - int(LONGEST_LAG_S * 1_000_000) - 1)
    stood_ms = clock.now_ms()
    time.sleep(0.01)
    assert clock.now_ms() == stood_ms
    assert clock.pace == 0.0
    clock.follow(stood_ms - int((EASY_LAG_S + LONGEST_LAG_S) / 2 * 1_000_000))
    assert clock.pace == pytest.approx(0.5)
    clock.follow(clock.now_ms())
    assert clock.pace == 1.0
    assert clock.speed == 1000


def test_a_slowed_simulation_is_told_once_and_once_more_when_it_is_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = PlainLines()
    for pace in (1.0, 0.3, 0.1, 0.3, 1.0, 1.0):
        lines.show(replace(MOMENT, pace=pace), Figures())
    printed = capsys.readouterr().out
    assert printed.count("slowed down") == 1
    assert printed.count("full speed again") == 1
    assert "slowed down" in rendered(replace(MOMENT, pace=0.3), FIGURES)


def test_a_stall_of_the_process_does_not_count_as_silence_however_fast_time_runs() -> None:
    for speed in (1, 300, 3600):
        settings = worker_settings(configuration_of("localhost:1", "http://localhost:1", "aftcast", speed))
        assert settings.monitor.silence_after_ms >= max(900_000, 20_000 * speed)


def test_the_screen_tells_mature_from_provisional_and_shows_no_figure_where_there_is_none() -> None:
    assert window_cell(window(0.9, mature=True)).plain == "90.0%"
    assert window_cell(window(0.9, mature=False)).plain == "~90.0%"
    assert window_cell(window(None, mature=False)).plain == "·"
    text = rendered(MOMENT, FIGURES)
    assert "90.0%" in text
    assert "~85.0%" in text
    assert "waiting predictions 42   dead letters 3 (prediction 3)" in text
    assert "http://127.0.0.1:8123" in text
    row = next(line for line in text.splitlines() if "price 12" in line)
    assert "·" in row
    assert "%" not in row


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_figure_is_cut_short_in_a_narrow_terminal(width: int) -> None:
    windows = tuple(window(1.0, mature=False) for _ in range(12))
    model = ModelView("fraud", "3.1", 1_234_567, 1_000_000, 990_000, 1234.0, windows)
    text = rendered(MOMENT, Figures(models=(model,)), width)
    assert "…" not in text
    assert "~100.0%" in text
    assert "1,234,567" in text


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 50)])
def test_the_screen_fits_its_terminal_and_shows_what_happened_last(width: int, height: int) -> None:
    alerts = tuple(alert("firing", minute, f"f{minute}") | {"summary": "word " * 20} for minute in range(40))
    text = rendered(MOMENT, replace(FIGURES, alerts=alerts), width, height)
    assert len(text.splitlines()) < height
    assert "12:39" in text


def test_before_the_first_figures_the_screen_says_that_it_waits() -> None:
    assert "waiting for the first figures" in rendered(MOMENT, Figures())


def test_an_alert_fires_until_its_fingerprint_resolves() -> None:
    assert [firing["fingerprint"] for firing in FIGURES.firing] == ["f2"]


def test_without_a_terminal_each_thing_that_happens_is_printed_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = PlainLines()
    lines.show(MOMENT, FIGURES)
    lines.show(MOMENT, FIGURES)
    printed = capsys.readouterr().out
    assert printed.count("resolved") == 1
    assert printed.count("firing") == 2
    assert (
        "fraud 3.1: 1,000 predictions, 50% labelled, mature accuracy 90.0%, provisional accuracy 85.0%"
        in printed
    )


def test_traffic_through_mock_kafka_lands_in_the_embedded_clickhouse_and_is_readable_over_http() -> None:
    start_ms = int(time.time() * 1000) - 3_600_000  # of late: ClickHouse drops raw rows of 90 days ago
    topics = {"inference-events": 2, "label-events": 2, "lifecycle-events": 1, "alert-events": 1}
    topics |= {"dead-letter-events": 1, "pane-updates": 1, "aftcast-findings": 1}
    with MockKafka(topics) as kafka, DemoStore(0) as store:
        configuration = configuration_of(kafka.bootstrap_servers, store.url, "aftcast", 600)
        clock = ScaledClock(start_ms, 600)
        options = {"bootstrap.servers": kafka.bootstrap_servers}
        inputs = ("inference-events", "label-events")
        traffic = Traffic(Simulation(1, start_ms, 2), start_ms + 1_200_000, options, inputs, clock.now_ms)
        stop = threading.Event()
        writer = raw_writer(configuration)
        raw = threading.Thread(target=writer.run, args=(stop,))
        raw.start()
        traffic.start()
        traffic.join(30)
        assert traffic.failure is None
        until_s = time.monotonic() + 20
        while writer.counters.written < traffic.sent and time.monotonic() < until_s:
            time.sleep(0.05)
        stop.set()
        raw.join(20)
        counts = writer.counters
        assert traffic.sent == counts.written == counts.skipped + counts.rows.total() > 1000
        question = f"{store.address}/?query=SELECT+count()+FROM+aftcast.predictions"
        with urllib.request.urlopen(question) as answer:  # noqa: S310
            assert int(answer.read()) == counts.rows["predictions"]
        assert FigureReader(store.client()).read().models == ()  # rollups come from the stream alone
