"""Draws docs/pictures/house.svg, the rooms of aftcast and who imports whom, from the imports of the code.

Run it with ``make pictures``. A room is a package of ``streams``, or one of the other packages as a whole;
its floor is one above the highest that it imports.
"""

from pathlib import Path

import grimp

HERE = Path(__file__).parent
PACKAGES = ("aftcast", "schemas", "sinks", "streams")
GROUND = "schemas"  # everything stands on it, so its lines are left out
# From left to right as data pass; what is not named comes last.
ORDER = (
    "decode", "partitioner", "codes", "join", "panes", "features", "partition", "cold", "worker", "metrics",
    "references", "maturity", "nowcast", "drift", "alerts", "monitor", "sinks",
)  # fmt: skip
SAYS = {
    "schemas": "what an event is, and what stages hand each other",
    "aftcast": "the front door: command line, configuration, replay, demo, dashboards",
    "worker": "the shell: Kafka, clock, checkpoints",
    "partition": "one input partition",
    "monitor": "all panes of a model",
    "cold": "late events, from raw rows",
    "sinks": "ClickHouse",
}
WIDTH, BOX, GAP, TOP, FLOOR = 1080, 46, 8, 16, 116
STYLE = """
  svg { font: 12px system-ui, sans-serif; }
  text { fill: #24292f; text-anchor: middle; }
  .small { font-size: 10px; opacity: .8; }
  rect { fill: #e8f0fa; stroke: #3f83d8; }
  .shell rect { fill: #fbf0e4; stroke: #d9822b; }
  .ground rect { fill: #e5f3ea; stroke: #2f9e5b; }
  path { fill: none; stroke: #8a8f98; stroke-width: 1.5; stroke-opacity: .6; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    rect { fill: #14253b; }
    .shell rect { fill: #38240f; }
    .ground rect { fill: #0f2c1b; }
  }
"""


def room(module: str) -> str:
    """Return the room of a module: ``streams.join.hot`` lies in ``join``."""
    parts = module.split(".")
    return parts[1] if parts[0] == "streams" and len(parts) > 1 else parts[0]


def imports() -> tuple[set[str], set[tuple[str, str]]]:
    """Return the rooms, and which of them imports which."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    modules = graph.modules - {"streams"}
    lines = {
        (room(module), room(other))
        for module in modules
        for other in graph.find_modules_directly_imported_by(module) & modules
        if room(other) != room(module)
    }
    return {room(module) for module in modules}, lines


def floors(rooms: set[str], lines: set[tuple[str, str]]) -> dict[str, int]:
    """Return the floor of each room; ``ValueError`` if imports go around in a circle."""
    floor = {GROUND: 0}
    while len(floor) < len(rooms):
        ready = [
            name
            for name in rooms
            if name not in floor and all(other in floor for one, other in lines if one == name)
        ]
        if not ready:
            raise ValueError(f"imports go around in a circle: {sorted(rooms - set(floor))}")
        for name in sorted(ready):
            floor[name] = 1 + max((floor[other] for one, other in lines if one == name), default=0)
    return floor


def picture() -> str:
    """Return the picture as SVG; the same code gives the same text."""
    rooms, lines = imports()
    floor = floors(rooms, lines)
    highest = max(floor.values())
    place: dict[str, tuple[float, float, float]] = {}  # left, top, width
    for level in range(highest + 1):
        names = sorted(
            (name for name in floor if floor[name] == level),
            key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name),
        )
        width = (WIDTH - GAP) / len(names) - GAP
        for at, name in enumerate(names):
            left = GAP + at * (width + GAP)
            place[name] = left, TOP + (highest - level) * FLOOR, width
    height = TOP * 2 + highest * FLOOR + BOX
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-labelledby="title">',
        "<title>The rooms of aftcast: each stands on those that it imports, all on schemas</title>",
        f"<style>{STYLE}</style>",
    ]
    for one, other in sorted(lines):
        if other != GROUND:
            parts.append(line(place[one], place[other]))
    for name, (left, top, width) in sorted(place.items()):
        kind = {"aftcast": "shell", "worker": "shell", GROUND: "ground"}.get(name, "room")
        middle = left + width / 2
        parts.append(
            f'<g class="{kind}"><rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{BOX}" rx="5"/>'
            f'<text x="{middle:.1f}" y="{top + 20 + 8 * (name not in SAYS)}">{name}</text>'
            f'<text class="small" x="{middle:.1f}" y="{top + 36}">{SAYS.get(name, "")}</text></g>'
        )
    return "\n".join([*parts, "</svg>", ""])


def line(above: tuple[float, float, float], below: tuple[float, float, float]) -> str:
    """Return a line from one box down to the middle of another."""
    # Leaving a wide box above the target keeps lines apart.
    aim = below[0] + below[2] / 2
    start = min(max(aim, above[0] + 12), above[0] + above[2] - 12)
    top, bottom = above[1] + BOX, below[1]
    half = (top + bottom) / 2
    return f'<path d="M{start:.1f} {top} C{start:.1f} {half:.0f} {aim:.1f} {half:.0f} {aim:.1f} {bottom}"/>'


if __name__ == "__main__":
    (HERE / "house.svg").write_text(picture(), encoding="utf-8")
