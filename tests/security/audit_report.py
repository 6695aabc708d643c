"""Judges what pip-audit found: nothing known against what is installed, or why that cannot be said.

pip-audit itself ends well when the advisory service knows none of the packages, as one behind a mirror does.
"""

import json
import sys
from typing import Any, TextIO

OURS = frozenset({"aftcast"})  # installed from here, and on no index


def judge(report: str) -> tuple[int, list[str]]:
    """Return the exit code and the lines for people, of pip-audit's JSON or of what came instead."""
    try:
        dependencies: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return 1, ["audit: the advisory service of PyPI cannot be reached; nothing was audited"]
    others = [one for one in dependencies if one["name"] not in OURS]
    skipped = [one["name"] for one in others if "skip_reason" in one]
    if skipped and len(skipped) == len(others):
        return 1, ["audit: the advisory service knows none of the packages; nothing was audited"]
    lines = [
        f"{one['name']} {one['version']}: {known['id']}; corrected in "
        + (", ".join(known["fix_versions"]) or "none")
        for one in others
        for known in one.get("vulns", ())
    ]
    lines += [f"{name}: not audited, the advisory service does not know it" for name in skipped]
    if lines:
        return 1, lines
    return 0, [f"audit: nothing is known against {len(others)} packages"]


def main(source: TextIO = sys.stdin, output: TextIO = sys.stdout) -> int:
    code, lines = judge(source.read())
    output.write("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
