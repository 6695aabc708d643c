"""A real Apache Kafka on this machine, from its Maven artifacts: for the tests, and to try things by hand."""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

KAFKA_VERSION = "4.1.0"  # the same as in docker/kafka-maven/pom.xml
_REPOSITORY = Path(__file__).resolve().parent.parent
POM = _REPOSITORY / "docker" / "kafka-maven" / "pom.xml"
LIBRARIES = _REPOSITORY / ".kafka" / f"libs-{KAFKA_VERSION}"
USUAL_PORT = 9092
START_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
_PR_SET_PDEATHSIG = 1

_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{more_listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{more_listeners}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT{more_protocols}
log.dir={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
log.cleaner.dedupe.buffer.size=8388608
"""  # a killed broker may register again after its session only; the usual cleaner's buffer exceeds the heap


class KafkaUnavailableError(RuntimeError):
    """The broker cannot be started here, or did not come up; the message says why and where its log is."""


def missing_tools() -> str | None:
    """Return what keeps a broker from starting on this machine, None if nothing does."""
    if shutil.which("java") is None:
        return "java is not on the PATH (a Java runtime of version 17 or later is needed)"
    if not LIBRARIES.is_dir() and shutil.which("mvn") is None:
        return f"mvn is not on the PATH, and {LIBRARIES} does not hold the broker's jars yet"
    return None


def fetch_libraries() -> Path:
    """Return the directory of the broker's jars, filling it through Maven the first time."""
    if LIBRARIES.is_dir():
        return LIBRARIES
    reason = missing_tools()
    if reason is not None:
        raise KafkaUnavailableError(f"Kafka {KAFKA_VERSION}: {reason}")
    LIBRARIES.parent.mkdir(exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix="partial-", dir=LIBRARIES.parent))
    command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
    ended = subprocess.run(  # noqa: S603
        [*command, f"-DoutputDirectory={partial}"], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        shutil.rmtree(partial)
        raise KafkaUnavailableError(
            f"Kafka {KAFKA_VERSION}: {' '.join(command)} failed: {ended.stdout[-2000:]}"
        )
    try:
        partial.rename(LIBRARIES)
    except OSError:  # another process was first
        shutil.rmtree(partial)
    return LIBRARIES


class KafkaBroker:
    """One broker in KRaft mode on free local ports; its data and log live in ``directory`` and stay there.

    ``start`` after ``stop`` or ``kill9`` continues with the same data on the same ports. With a ``port`` it
    listens there, if nobody else does. ``settings`` are more of the server's properties. ``protocols`` are
    more listeners, such as ``("SASL_SSL",)``; they answer at ``addresses[protocol]``, and what they need
    stands in ``settings``.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        port: int = 0,
        protocols: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.log = directory / "kafka.log"
        self.port, self._controller_port, *more = _free_ports(port, 1 + len(protocols))
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.addresses = {name: f"127.0.0.1:{port}" for name, port in zip(protocols, more, strict=True)}
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        libraries = fetch_libraries()
        self.directory.mkdir(parents=True, exist_ok=True)
        properties = self.directory / "server.properties"
        if not properties.exists():
            text = _PROPERTIES.format(
                port=self.port,
                controller_port=self._controller_port,
                data=self.directory / "data",
                more_listeners="".join(f",{name}://{at}" for name, at in self.addresses.items()),
                more_protocols="".join(f",{name}:{name}" for name in self.addresses),
            )
            properties.write_text(text + "".join(f"{k}={v}\n" for k, v in self._settings.items()))
            cluster = str(uuid.uuid4())
            arguments = ["format", "--standalone", "-t", cluster, "-c", str(properties)]
            self._java(libraries, "kafka.tools.StorageTool", *arguments).wait(START_WITHIN_S)
        self._process = self._java(libraries, "kafka.Kafka", str(properties))
        self._wait_until_serving(self._process)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill9(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config or {}))
        admin.create_topics([topic])[name].result(timeout=START_WITHIN_S)
        return name

    def _java(self, libraries: Path, main_class: str, *arguments: str) -> subprocess.Popen[bytes]:
        options = ["-Xms256m", "-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603
                ["java", *options, "-cp", f"{libraries}/*", main_class, *arguments],  # noqa: S607
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )

    def _wait_until_serving(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + START_WITHIN_S
        while time.monotonic() < deadline_s:
            if process.poll() is not None:
                break
            with contextlib.suppress(OSError, KafkaException):
                socket.create_connection(("127.0.0.1", self.port), 0.5).close()
                AdminClient({"bootstrap.servers": self.bootstrap}).list_topics(timeout=5)
                return
            time.sleep(0.05)
        self._end(signal.SIGKILL)
        raise KafkaUnavailableError(
            f"Kafka did not serve {self.bootstrap} within {START_WITHIN_S:.0f} s; see {self.log}"
        )

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError(f"Kafka at {self.bootstrap} is not running; start it before {number.name}")
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # a paused process would not see SIGTERM
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_ports(wanted: int, more: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(1 + more)]
        # As the broker will: a port that closed connections still linger on is free.
        sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sockets[0].bind(("127.0.0.1", wanted))
        except OSError:
            sockets[0].bind(("127.0.0.1", 0))
        for one in sockets[1:]:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def die_with_parent() -> None:
    """Make the process that calls this, between fork and exec, end with the thread that started it."""
    # Linux: a broker does not outlive a test run that was itself killed. Elsewhere nothing is lost by trying.
    os.setpgrp()  # Ctrl-C reaches this process, which then stops the broker in order
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _usual_port(held: contextlib.ExitStack) -> int:
    """Return the usual port, 0 if another of these processes has it or is about to bind it."""
    try:
        lock = held.enter_context((Path(tempfile.gettempdir()) / "aftcast-kafka.lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return 0
    return USUAL_PORT


def main() -> None:
    """Start a broker, on the usual port if it is free, print its address, and run until SIGINT or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="aftcast-kafka-") as directory, contextlib.ExitStack() as held:
        broker = KafkaBroker(Path(directory), port=_usual_port(held))
        with contextlib.suppress(KeyboardInterrupt), broker:
            print(broker.bootstrap, flush=True)  # noqa: T201
            print(f"Kafka {KAFKA_VERSION} runs until Ctrl-C; log: {broker.log}", flush=True)  # noqa: T201
            signal.pause()


if __name__ == "__main__":
    main()
