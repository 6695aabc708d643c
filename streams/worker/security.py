"""Connection options under librdkafka's names, turned into what Faust and aiokafka take."""

import ssl
from collections.abc import Mapping

from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT


def credentials(kafka: Mapping[str, str]) -> CredentialsT | None:
    """Return Faust's credentials, None for a plain connection; ``ValueError`` for what it cannot do."""
    protocol = kafka.get("security.protocol", "plaintext").lower()
    context = ssl_context(kafka) if protocol in {"ssl", "sasl_ssl"} else None
    if protocol == "plaintext":
        return None
    if protocol == "ssl":
        return SSLCredentials(context)
    if protocol not in {"sasl_plaintext", "sasl_ssl"}:
        raise ValueError(f"[kafka] security_protocol must be plaintext, ssl or sasl_*; got {protocol!r}")
    mechanism = kafka.get("sasl.mechanism", "PLAIN").upper()
    if mechanism not in {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}:
        raise ValueError(f"[kafka] sasl_mechanism must be PLAIN or SCRAM-* for the worker; got {mechanism!r}")
    return SASLCredentials(
        username=kafka.get("sasl.username", ""),
        password=kafka.get("sasl.password", ""),
        mechanism=mechanism,
        ssl_context=context,
    )


def ssl_context(kafka: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context that verifies the brokers, with our own certificate where one is given."""
    context = ssl.create_default_context(cafile=kafka.get("ssl.ca.location"))
    certificate = kafka.get("ssl.certificate.location")
    if certificate is not None:
        context.load_cert_chain(certificate, kafka.get("ssl.key.location"), kafka.get("ssl.key.password"))
    return context
