"""The page on metrics and the code list the same names with the same words."""

import re
from pathlib import Path

from aftcast.cold_metrics import COLD_COUNTERS, COLD_GAUGES, LAST_RUN, OLDEST, SWEPT
from aftcast.forward.metrics import SERIES as FORWARD_SERIES
from aftcast.hour_metrics import HOUR_COUNTERS, HOURS_LAST_RUN, HOURS_OLDEST, HOURS_WAITING
from aftcast.raw_metrics import COUNTERS, LAGS, ROWS, WAITING
from streams.worker.metrics import FINDINGS, METRIC_NAMES, SERIES
from streams.worker.model_metrics import MODELS

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
ROWS_OF_PAGE = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", PAGE, re.MULTILINE)


def test_the_page_lists_exactly_the_metrics_that_there_are():
    assert [name for name, _, _ in ROWS_OF_PAGE] == [
        *METRIC_NAMES,
        *COUNTERS,
        WAITING,
        ROWS,
        *(n for n, _ in LAGS),
        *COLD_COUNTERS,
        *COLD_GAUGES,
        OLDEST[0],
        SWEPT[0],
        LAST_RUN[0],
        *HOUR_COUNTERS,
        *(name for name, _ in (HOURS_WAITING, HOURS_OLDEST, HOURS_LAST_RUN)),
        *(series.name for series in FORWARD_SERIES),
    ]


def test_kinds_and_meanings_on_the_page_are_those_of_the_code():
    told = {name: (kind, meaning) for name, kind, meaning in ROWS_OF_PAGE}
    for series in (*SERIES, *FORWARD_SERIES):
        assert told[series.name] == (series.kind, series.explanation)
    for name, explanation in FINDINGS:
        assert told[name] == ("counter", explanation)
    for name, explanation in MODELS:
        assert told[name] == ("gauge", explanation)
    for name, (_, explanation) in COUNTERS.items():
        assert told[name] == ("counter", explanation)
    for kind, metrics in (("counter", COLD_COUNTERS), ("gauge", COLD_GAUGES), ("counter", HOUR_COUNTERS)):
        for name, (_, explanation) in metrics.items():
            assert told[name] == (kind, explanation)
    for name, explanation in (OLDEST, SWEPT, LAST_RUN, HOURS_WAITING, HOURS_OLDEST, HOURS_LAST_RUN, *LAGS):
        assert told[name] == ("gauge", explanation)
    assert told[WAITING][0] == "gauge"
    assert told[ROWS][0] == "counter"
