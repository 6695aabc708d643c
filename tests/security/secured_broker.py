"""A real broker that lets in nobody unknown: SASL with and without TLS, client certificates, and ACLs."""

import itertools
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from certificates import PASSWORD, Authority, Signed
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from aftcast.kafka_broker import KafkaBroker

JAAS = "org.apache.kafka.common.security"
USER, NAME = "aftcast", "aftcast-client"  # of SASL, and of the certificate
_count = itertools.count()


@dataclass
class Secured:
    """The broker with what a client needs; who comes to ``broker.bootstrap`` may do everything."""

    broker: KafkaBroker
    authority: Authority
    stranger: Authority
    client: Signed
    intruder: Signed
    plain_password: str
    scram_password: str

    def options(self, protocol: str, mechanism: str = "", **more: str) -> dict[str, str]:
        """Return keys of ``[kafka]`` for one way in."""
        found = {
            "bootstrap_servers": self.broker.addresses[protocol],
            "security_protocol": protocol.lower(),
        }
        if mechanism:
            password = self.plain_password if mechanism == "PLAIN" else self.scram_password
            found |= {"sasl_mechanism": mechanism, "sasl_username": USER, "sasl_password": password}
        if protocol.endswith("SSL"):
            found["ssl_ca_location"] = str(self.authority.file)
        if protocol == "SSL":
            found |= {
                "ssl_certificate_location": str(self.client.certificate),
                "ssl_key_location": str(self.client.locked_key),
                "ssl_key_password": PASSWORD,
            }
        return found | more

    @cached_property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.broker.bootstrap})

    def add_user(self, name: str, password: str) -> None:
        """Make a user of SCRAM known, with both hashes."""
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            credential = ScramCredentialInfo(mechanism, 4096)
            change = UserScramCredentialUpsertion(name, credential, password.encode())
            for future in self.admin.alter_user_scram_credentials([change]).values():
                future.result(10)


def start_secured(directory: Path) -> Secured:
    """Return a broker that runs, with passwords and certificates of its own."""
    authority, stranger = Authority(directory, "authority"), Authority(directory, "stranger")
    server, client = authority.sign("broker"), authority.sign(NAME)
    passwords = secrets.token_hex(12), secrets.token_hex(12)
    settings = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:{USER};User:CN={NAME}",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(server.both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.file),
        "listener.name.ssl.ssl.client.auth": "required",
    }
    for listener in ("sasl_plaintext", "sasl_ssl"):
        own = f"listener.name.{listener}"
        plain = f'{JAAS}.plain.PlainLoginModule required user_{USER}="{passwords[0]}";'
        settings[f"{own}.plain.sasl.jaas.config"] = plain
        for bits in ("256", "512"):
            scram = f"{JAAS}.scram.ScramLoginModule required;"
            settings[f"{own}.scram-sha-{bits}.sasl.jaas.config"] = scram
    broker = KafkaBroker(directory / "kafka", settings, protocols=("SASL_PLAINTEXT", "SASL_SSL", "SSL"))
    broker.start()
    try:
        return _with_user(broker, authority, stranger, client, passwords)
    except BaseException:
        broker.stop()
        raise


def _with_user(
    broker: KafkaBroker, authority: Authority, stranger: Authority, client: Signed, passwords: tuple[str, str]
) -> Secured:
    secured = Secured(broker, authority, stranger, client, stranger.sign("intruder"), *passwords)
    secured.add_user(USER, secured.scram_password)
    return secured
