"""Secrets in files: read without their newline, refused by file and remedy, named when all may read them."""

from pathlib import Path

import pytest

from aftcast.loading import ConfigurationError, load
from aftcast.secret_files import LARGEST_BYTES, exposed_files

SECRET = "s3cret-of-a-file"  # noqa: S105
KEYS = [
    ("kafka", "sasl_password"),
    ("kafka", "ssl_key_password"),
    ("schema_registry", "password"),
    ("clickhouse", "password"),
    ("metrics", "token"),
]


def variable(section: str, key: str) -> str:
    return f"AFTCAST_{section}__{key}".upper()


def refusal(environment: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(environment=environment)
    return str(refused.value)


@pytest.mark.parametrize(("section", "key"), KEYS)
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_every_secret_may_stand_in_a_file_whose_last_newline_is_no_part_of_it(
    tmp_path: Path, section: str, key: str, ending: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes((SECRET + ending).encode())
    configuration = load(environment={variable(section, key + "_file"): str(file)})
    assert getattr(getattr(configuration, section), key).get_secret_value() == SECRET
    assert SECRET not in repr(configuration) + configuration.model_dump_json()


def test_a_password_of_a_file_reaches_the_client_of_kafka_and_the_name_of_the_file_does_not(
    tmp_path: Path,
) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    options = load(environment={"AFTCAST_KAFKA__SASL_PASSWORD_FILE": str(file)}).kafka.client_options()
    assert options == {"bootstrap.servers": "localhost:9092", "sasl.password": SECRET}


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (None, "must name a file that this user can read (no such file or directory)"),
        (b"", "must name a file that holds the secret; it is empty"),
        (b"\n", "must name a file that holds the secret; it is empty"),
        (b"\xff\xfe", "must name a file of text in UTF-8"),
        (b"x" * (LARGEST_BYTES + 1), "must name a file of at most 65,536 bytes"),
    ],
)
def test_a_file_without_a_secret_is_refused_by_its_name(
    tmp_path: Path, content: bytes | None, rule: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    told = refusal({"AFTCAST_CLICKHOUSE__PASSWORD_FILE": str(file)})
    assert told == f'AFTCAST_CLICKHOUSE__PASSWORD_FILE {rule}; got "{file}"'


def test_a_secret_of_the_largest_size_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"x" * LARGEST_BYTES)
    assert load(environment={"AFTCAST_CLICKHOUSE__PASSWORD_FILE": str(file)}).clickhouse.password is not None


def test_a_folder_is_no_secret(tmp_path: Path) -> None:
    told = refusal({"AFTCAST_CLICKHOUSE__PASSWORD_FILE": str(tmp_path)})
    assert "(is a directory)" in told


def test_a_secret_is_given_once(tmp_path: Path) -> None:
    file = tmp_path / "aftcast.toml"
    file.write_text('[clickhouse]\npassword = "hunter2"\npassword_file = "elsewhere"\n')
    with pytest.raises(ConfigurationError) as refused:
        load(file, environment={})
    assert str(refused.value) == (
        f"{file}:3: [clickhouse] password_file must not stand beside password: give one of the two; "
        'got "elsewhere"'
    )


@pytest.mark.parametrize(
    ("token", "rule"),
    [
        ("x" * 15, "must have at least 16 characters; one is made by: openssl rand -hex 24"),
        ("a token with spaces", "must be of ASCII letters, digits and signs, no spaces"),
        ("tökentökentökentöken", "must be of ASCII letters, digits and signs, no spaces"),
    ],
)
def test_a_token_that_is_short_or_that_no_header_carries_is_refused_unseen(token: str, rule: str) -> None:
    told = refusal({"AFTCAST_METRICS__TOKEN": token})
    assert told == f"AFTCAST_METRICS__TOKEN {rule}; got a value that is not shown"


def test_a_token_of_sixteen_characters_is_taken() -> None:
    assert load(environment={"AFTCAST_METRICS__TOKEN": "x" * 16}).metrics.token is not None


def test_files_that_everybody_may_read_are_named(tmp_path: Path) -> None:
    own, open_to_all = tmp_path / "own", tmp_path / "open"
    for file, mode in ((own, 0o600), (open_to_all, 0o644)):
        file.write_text(SECRET)
        file.chmod(mode)
    configuration = load(
        environment={
            "AFTCAST_CLICKHOUSE__PASSWORD_FILE": str(own),
            "AFTCAST_KAFKA__SASL_PASSWORD_FILE": str(open_to_all),
        }
    )
    assert exposed_files(configuration) == [str(open_to_all)]
