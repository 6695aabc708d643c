"""The processes of a run and their supervisor: what ends with anything but 0 is started again."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aftcast.kafka_broker import die_with_parent

RESTART_AFTER_S = 0.3
MOST_RESTARTS = 200  # of all together: a run that restarts for ever would hide it
ENDED_WITHIN_S = 15.0


@dataclass
class Member:
    """One process and what became of it."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes]
    wanted: bool = True
    told_to_end: bool = False
    again_at_s: float | None = None
    exits: Counter[int] = field(default_factory=Counter)


class Fleet:
    """Starts processes, starts them again as a supervisor would, and ends those that it started.

    ``surprises`` are ends with code 0 that nobody asked for.
    """

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self.restarts = 0
        self.surprises: list[str] = []
        self._environment = os.environ | environment | {"PYTHONUNBUFFERED": "1"}
        self._members: dict[str, Member] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._thread.start()

    def start(self, name: str, *arguments: str) -> None:
        command = [sys.executable, *arguments]
        with self._lock:
            self._members[name] = Member(name, command, self._spawn(name, command))

    def names(self, prefix: str = "") -> list[str]:
        with self._lock:
            return sorted(name for name, member in self._members.items() if name.startswith(prefix))

    def pid(self, name: str) -> int | None:
        """Return the process of a member, None while there is none."""
        with self._lock:
            process = self._members[name].process
            return None if process.poll() is not None else process.pid

    def signal(self, name: str, number: signal.Signals) -> bool:
        """Send a signal to a member; False where it is between two lives. SIGTERM is a rolling restart."""
        with self._lock:
            member = self._members[name]
            if member.process.poll() is not None:
                return False
            member.told_to_end |= number == signal.SIGTERM
            member.process.send_signal(number)
            return True

    def dismiss(self, name: str) -> int:
        """End a member by SIGTERM, for good, and return its exit code."""
        with self._lock:
            member = self._members.pop(name)
        return _end(member.process)

    def exits(self) -> dict[str, dict[int, int]]:
        with self._lock:
            return {name: dict(member.exits) for name, member in sorted(self._members.items())}

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def close(self) -> None:
        with self._lock:
            self._closing = True
            for member in self._members.values():
                member.process.send_signal(signal.SIGCONT)
                member.process.send_signal(signal.SIGTERM)
            for member in self._members.values():
                _end(member.process)
        # Not before: what the thread has started would be killed with it.
        self._ended.set()
        self._thread.join()

    def _spawn(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self.log(name).open("ab") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
                env=self._environment,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - it outlives no run
            )

    def _supervise(self) -> None:
        while not self._ended.wait(0.05):
            with self._lock:
                for member in () if self._closing else self._members.values():
                    self._look(member)

    def _look(self, member: Member) -> None:
        code = member.process.poll()
        if code is None:
            return
        now_s = time.monotonic()
        if member.again_at_s is None:
            member.exits[code] += 1
            if code == 0 and not member.told_to_end:
                self.surprises.append(f"{member.name} ended with code 0 unasked")
            member.again_at_s = now_s + RESTART_AFTER_S
        elif now_s >= member.again_at_s and self.restarts < MOST_RESTARTS:
            self.restarts += 1
            member.again_at_s, member.told_to_end = None, False
            member.process = self._spawn(member.name, member.command)


def _end(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(ENDED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
