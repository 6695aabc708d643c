"""Every way into a secured Kafka: the worker passes each, and who is refused reads why in one line."""

import asyncio
import time

import pytest
from certificates import PASSWORD
from secured_broker import Secured
from worker_in_process import configured, rolled_up

from aftcast.configuration import Configuration
from aftcast.failure import Failure
from aftcast.kafka_admin import KafkaAdmin
from aftcast.kafka_entry import check_entry
from aftcast.setting_up import set_up_topics
from aftcast.topic_reading import records
from schemas import messages

pytestmark = pytest.mark.kafka
WRONG = "hunter2"
WAYS = [
    ("SASL_PLAINTEXT", "PLAIN"),
    ("SASL_PLAINTEXT", "SCRAM-SHA-256"),
    ("SASL_SSL", "SCRAM-SHA-512"),
    ("SSL", ""),
]


@pytest.fixture(scope="module")
def topics(secured: Secured) -> Configuration:
    """Create the topics, by a client that SCRAM lets in."""
    configuration = configured(secured.options("SASL_SSL", "SCRAM-SHA-512"))
    assert not [finding for finding in set_up_topics(configuration) if finding.grade == "failure"]
    return configuration


@pytest.mark.parametrize(("protocol", "mechanism"), WAYS)
def test_a_worker_joins_and_writes_rollups_by_every_way_in(
    secured: Secured, topics: Configuration, protocol: str, mechanism: str
) -> None:
    configuration = configured(secured.options(protocol, mechanism))
    check_entry(configuration.kafka.client_options())
    assert asyncio.run(rolled_up(configuration, f"{protocol} {mechanism}"))


def refused(secured: Secured, way: str) -> tuple[dict[str, str], str]:
    """Return options that a broker refuses, and what is told of it."""
    authority, stranger = (str(one.file) for one in (secured.authority, secured.stranger))
    intruder = {
        "ssl_certificate_location": str(secured.intruder.certificate),
        "ssl_key_location": str(secured.intruder.key),
    }
    bare = {"bootstrap_servers": secured.broker.addresses["SSL"], "security_protocol": "ssl"}
    login = "check [kafka] sasl_username, sasl_password and sasl_mechanism"
    certificate = "check [kafka] ssl_certificate_location and ssl_key_location"
    cases = {
        "wrong password": (
            secured.options("SASL_PLAINTEXT", "PLAIN", sasl_password=WRONG),
            f"the broker refuses user and password (invalid username or password); {login}",
        ),
        "wrong password of SCRAM": (
            secured.options("SASL_SSL", "SCRAM-SHA-512", sasl_password=WRONG),
            "the broker refuses user and password (due to invalid credentials with sasl mechanism "
            f"scram-sha-512); {login}",
        ),
        "no certificate": (
            bare | {"ssl_ca_location": authority},
            f"the broker does not take our certificate, or misses one (receive failed: ssl/tls alert bad "
            f"certificate); {certificate}",
        ),
        "unknown certificate": (
            bare | {"ssl_ca_location": authority} | intruder,
            f"the broker does not take our certificate, or misses one (receive failed: ssl/tls alert bad "
            f"certificate); {certificate}",
        ),
        "unknown authority": (
            secured.options("SSL", ssl_ca_location=stranger),
            "the broker's certificate is not to be trusted (ssl handshake failed: certificate verify failed: "
            "broker certificate could not be verified); [kafka] ssl_ca_location must be the authority that "
            "signed it, and its name the one in bootstrap_servers",
        ),
        "no TLS there": (
            secured.options("SSL", bootstrap_servers=secured.broker.addresses["SASL_PLAINTEXT"]),
            "no TLS is spoken there (ssl handshake failed: disconnected: ssl connection closed by peer: "
            "connecting to a plaintext broker listener?); check [kafka] bootstrap_servers and "
            "security_protocol",
        ),
    }
    return cases[way]


REFUSED = [
    "wrong password",
    "wrong password of SCRAM",
    "no certificate",
    "unknown certificate",
    "unknown authority",
    "no TLS there",
]


@pytest.mark.parametrize("way", REFUSED)
def test_who_is_not_let_in_reads_why_and_what_to_look_at(secured: Secured, way: str) -> None:
    options, told = refused(secured, way)
    configuration = configured(options)
    with pytest.raises(Failure) as stopped:
        check_entry(configuration.kafka.client_options())
    assert str(stopped.value) == f"Kafka: not let in at {options['bootstrap_servers']}: {told}"


def test_check_and_setup_tell_the_same_reason(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftcast.kafka_admin.ANSWER_WITHIN_S", 1.0)
    options, told = refused(secured, "wrong password")
    with pytest.raises(Failure) as stopped:
        KafkaAdmin(configured(options).kafka.client_options()).cluster()
    assert str(stopped.value) == f"Kafka: not reachable at {options['bootstrap_servers']} ({told})"


def test_a_password_of_a_key_that_is_wrong_is_told_before_any_connection(secured: Secured) -> None:
    options = configured(secured.options("SSL", ssl_key_password=PASSWORD + "x")).kafka.client_options()
    with pytest.raises(Failure, match=r"^Kafka: the options are refused: ") as stopped:
        check_entry(options)
    assert PASSWORD not in str(stopped.value)


def test_where_nobody_answers_nothing_is_refused() -> None:
    begun_s = time.monotonic()
    check_entry(configured({"bootstrap_servers": "127.0.0.1:1"}).kafka.client_options())
    assert time.monotonic() - begun_s < 4


def test_no_topic_holds_what_privacy_takes_away_from_events(secured: Secured, topics: Configuration) -> None:
    rules = {
        "AFTCAST_PRIVACY__HASH": '["segments.who", "features.who", "prediction_id"]',
        "AFTCAST_PRIVACY__DROP": '["features.mail", "trace_id", "request_id"]',
        "AFTCAST_PRIVACY__KEY": "a key of the tests",
    }
    before = topics.topics.model_dump(exclude={"partitions"})
    own = {f"AFTCAST_TOPICS__{key}".upper(): f"private-{name}" for key, name in before.items()}
    group = {"AFTCAST_KAFKA__GROUP": "private"}
    configuration = configured(secured.options("SASL_SSL", "SCRAM-SHA-512"), **rules, **own, **group)
    set_up_topics(configuration)
    assert asyncio.run(rolled_up(configuration, "fraud"))
    options = configuration.kafka.client_options()
    names = [getattr(configuration.topics, key) for key in before if key not in ("inference", "labels")]
    written: dict[str, list[bytes]] = {name: [] for name in names}
    for record in records(options, names, from_beginning=True, follow=False):
        value, kind = record.value() or b"", messages.header_of(record.headers())
        told = [record.key() or b"", value, repr(record.headers()).encode()]
        if read := {messages.PANES: messages.decode_panes, messages.FEATURES: messages.decode_features}.get(
            kind or b""
        ):  # their bodies are compressed
            told.append(repr(read(value).to_pylist()).encode())
        written[record.topic() or ""] += told
    for key in ("pane_updates", "dead_letters", "state"):
        assert written[getattr(configuration.topics, key)], key
    assert any(b"who=" in told for told in written[configuration.topics.pane_updates])
    assert [name for name, told in written.items() if any(b"alice" in one for one in told)] == []
