"""All benchmarks in turn, each in a process of its own.

    python -m benchmarks [NAME ...] [--quick]

    core waiting_memory long_ranges journal_snapshots end_to_end freshness checkpoints cold_join
    late_labels late_drift stable_features false_alarms

Without names all of them run, with their defaults: the last one alone takes half an hour of two cores.
--quick makes them small: a try, no measurement.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

QUICK = {
    "core": ["--events", "200000", "--runs", "1"],
    "waiting_memory": ["--predictions", "200000"],
    "long_ranges": ["--quick"],
    "journal_snapshots": ["--models", "2", "--days", "2"],
    "end_to_end": ["--events", "200000", "--rival-events", "5000", "--runs", "1"],
    "freshness": ["--quick"],
    "checkpoints": ["--quick"],
    "cold_join": ["--quick"],
    "late_labels": ["--seeds", "1", "--days", "6", "--an-hour", "500", "--shapes", "errors fast"],
    "late_drift": ["--seeds", "1", "--days", "12", "--an-hour", "300", "--shapes", "errors fast"],
    "stable_features": ["--quick"],
    "false_alarms": ["--months", "3", "--runs", "1"],
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(QUICK))
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in QUICK]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(QUICK)}")
    failed = []
    for name in args.names or QUICK:
        print(f"== {name}{' (quick)' if args.quick else ''}", flush=True)
        begin = time.perf_counter()
        command = [sys.executable, str(Path(__file__).with_name(f"{name}.py"))]
        if subprocess.run([*command, *(QUICK[name] if args.quick else [])], check=False).returncode:
            failed.append(name)
        print(f"== {name}: {time.perf_counter() - begin:.0f} s\n", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
