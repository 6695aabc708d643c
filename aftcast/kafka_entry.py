"""Why brokers let us not in: librdkafka says "transport failure" and tells the reason to a callback only."""

import re
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from aftcast.failure import Failure

LET_IN_WITHIN_S = 5.0
LOOK_S = 0.4  # brokers wait 0.3 s before they refuse a password
_FRAME = re.compile(
    r"^\S+: |\s*\(after \d+ms in state \w+\)|error:[0-9A-F]{8}:SSL routines::|: SSL alert number \d+"
)
_AUTHENTICATION = re.compile(
    r"^SASL authentication error: (Authentication failed(: | during authentication )?)?"
)

# What the words of a refusal mean, and what to look at.
_MEANINGS = (
    (
        "certificate verify failed",
        "the broker's certificate is not to be trusted",
        "[kafka] ssl_ca_location must be the authority that signed it, and its name the one in "
        "bootstrap_servers",
    ),
    (
        "ssl/tls alert",
        "the broker does not take our certificate, or misses one",
        "check [kafka] ssl_certificate_location and ssl_key_location",
    ),
    (
        "connecting to a PLAINTEXT broker listener",
        "no TLS is spoken there",
        "check [kafka] bootstrap_servers and security_protocol",
    ),
    (
        "Unsupported SASL mechanism",
        "the broker does not offer this mechanism",
        "check [kafka] sasl_mechanism",
    ),
)


class Refusals:
    """An error callback of a librdkafka client that remembers what is worth telling.

    ``refused`` is why brokers that answer let us not in, with the remedy; empty while none has. ``away`` is
    set once no broker is connected.
    """

    def __init__(self) -> None:
        self.refused = ""
        self.away = False
        self._words = ""

    def __call__(self, error: KafkaError) -> None:
        text = error.str()
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.away = True
            return
        words = _FRAME.sub("", _FRAME.sub("", text)).strip()
        if error.code() == KafkaError._AUTHENTICATION and "SASL" in text:
            words = _AUTHENTICATION.sub("", words).lower()
            remedy = "check [kafka] sasl_username, sasl_password and sasl_mechanism"
            self.refused = f"the broker refuses user and password ({words}); {remedy}"
        for sign, meaning, remedy in _MEANINGS:
            if sign.lower() in text.lower():
                self.refused = f"{meaning} ({words.split(', verify')[0].lower()}); {remedy}"
        self._words = words.lower()

    def words(self, error: KafkaException) -> str:
        """Return why a call failed, as far as it is known."""
        return self.refused or self._words or str(error.args[0].str()).strip().lower()


def quiet_options(refusals: Refusals) -> dict[str, Any]:
    """Return options under which a client's own log does not stand between our lines."""
    return {"log_level": 0, "error_cb": refusals}


def check_entry(options: Mapping[str, str]) -> bool:
    """Return true once a broker has let us in, false where none answers yet, which is to be waited for.

    Raises
    ------
    Failure
        If a broker refuses our password or certificate, or is none that ours trusts: trying again would not
        help, and locks accounts.
    """
    refusals = Refusals()
    try:
        client = AdminClient({**options, **quiet_options(refusals)})
    except KafkaException as error:
        raise Failure(f"Kafka: the options are refused: {refusals.words(error)}") from None
    ends_s = time.monotonic() + LET_IN_WITHIN_S
    while time.monotonic() < ends_s:
        try:
            client.list_topics(timeout=LOOK_S)
        except KafkaException:
            client.poll(0)
        else:
            return True
        if refusals.refused:
            raise Failure(f"Kafka: not let in at {options['bootstrap.servers']}: {refusals.refused}")
        if refusals.away:
            break
    return False
