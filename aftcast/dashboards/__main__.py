"""Writes the dashboards as files that Grafana provisions: python -m aftcast.dashboards DIRECTORY."""

import json
import sys
from pathlib import Path

from aftcast.dashboards import BOARDS, dashboard_json


def texts() -> dict[str, str]:
    """Return the text of each file by its name."""
    return {
        f"{board.name}.json": json.dumps(dashboard_json(board), indent=2, ensure_ascii=False) + "\n"
        for board in BOARDS
    }


def write(directory: Path) -> None:
    """Write every dashboard into ``directory``, which is made if it is not there."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts().items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
