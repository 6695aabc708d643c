"""The audit fails for what is known, and also where nothing could be asked."""

import json

import pytest
from audit_report import judge

GOOD = {"name": "numpy", "version": "2.4", "vulns": []}
BAD = {"name": "orjson", "version": "3.1", "vulns": [{"id": "CVE-2025-67221", "fix_versions": ["3.11.6"]}]}
OURS = {"name": "aftcast", "skip_reason": "not on PyPI"}
UNKNOWN = {"name": "numpy", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("dependencies", "code", "line"),
    [
        ([GOOD, OURS], 0, "audit: nothing is known against 1 packages"),
        ([GOOD, BAD], 1, "orjson 3.1: CVE-2025-67221; corrected in 3.11.6"),
        ([GOOD | {"name": "scipy"}, UNKNOWN], 1, "numpy: not audited, the advisory service does not know it"),
        (
            [UNKNOWN, OURS],
            1,
            "audit: the advisory service knows none of the packages; nothing was audited",
        ),
    ],
)
def test_only_an_audit_of_everything_without_a_finding_ends_well(
    dependencies: list[object], code: int, line: str
) -> None:
    assert judge(json.dumps({"dependencies": dependencies})) == (code, [line])


@pytest.mark.parametrize("report", ["", "Traceback", "[]", "{}"])
def test_no_answer_is_no_good_answer(report: str) -> None:
    assert judge(report) == (
        1,
        ["audit: the advisory service of PyPI cannot be reached; nothing was audited"],
    )
