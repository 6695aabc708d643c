"""Tries to break aftcast, and says what was lost or doubled.

    python tests/chaos [--seed N] [--seconds 480] [--rate 400] [--cold] [--keep DIRECTORY]

Three workers and a raw writer on a real Kafka (Java 17, Maven) and ClickHouse's engine behind HTTP, under
constant load: processes are killed, frozen and ended, the broker is killed, ClickHouse is closed, slow, full,
or breaks off. Then everything is left in peace, and every record sent must be in exactly one place, every
figure must equal a batch calculation over what was sent, and every alert must have fired and resolved once.
Exit code 0 if so. Only local addresses are used, and only what was started is ended.
"""

import argparse
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from accounts import table
from disturbances import KINDS
from disturbed_run import Plan, Run, last_words


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=None, help="default: another each time, and shown")
    parser.add_argument("--seconds", type=float, default=480.0, help="of disturbances")
    parser.add_argument("--rate", type=float, default=400.0, help="records a second")
    parser.add_argument(
        "--cold", action="store_true", help="a hot horizon of 10 s, so that many labels are joined cold"
    )
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS, metavar="KIND")
    parser.add_argument("--keep", type=Path, default=None, help="keeps logs and data in this directory")
    args = parser.parse_args()
    seed = secrets.randbelow(10**6) if args.seed is None else args.seed
    command = f"python tests/chaos --seed {seed} --seconds {args.seconds:g} --rate {args.rate:g}"
    if args.cold:
        command += " --cold"
    if args.only != KINDS:
        command += " --only " + " ".join(f"'{kind}'" for kind in args.only)
    print(f"again with: {command}", flush=True)
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="aftcast-chaos-") as temporary:
        directory = args.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        horizon = "10s" if args.cold else "1h"
        kinds = tuple(args.only)
        plan = Plan(seed, args.seconds, args.rate, kinds=kinds, hot_horizon=horizon, cold=args.cold)
        run = Run(plan, directory, lambda text: print(text, flush=True))
        try:
            run.start()
            done = run.disturb()
            accounts = run.settle()
        finally:
            run.close()
        words = last_words(run)
    print(f"\nends of processes by exit code: {run.fleet.exits()}")
    if words:
        print(f"last words of those that stopped by themselves:\n{words}")
    print("done: " + ", ".join(f"{kind} {n}x" for kind, n in Counter(one.kind for one in done).items()))
    print(table(accounts))
    wrong = [one.what for one in accounts if not one.right] + run.fleet.surprises
    print(f"\nnot right: {', '.join(wrong)}" if wrong else "\nnothing lost, nothing twice")
    print(f"{time.monotonic() - begun_s:.0f} s; again with: {command}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
