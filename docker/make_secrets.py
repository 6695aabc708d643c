"""Writes .env for the compose file: every secret of .env.example that is not set yet, made up by chance."""

import secrets
import sys
from pathlib import Path

SECRETS = ("PASSWORD", "TOKEN")  # what the names of secrets end with
BYTES = 24  # 192 bits, 48 characters


def filled(example: str, known: dict[str, str]) -> str:
    """Return the text of the example with a value for each secret; what is known stays."""
    lines = []
    for line in example.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            made_up = secrets.token_hex(BYTES) if name.endswith(SECRETS) else value
            lines.append(f"{name}={known.pop(name, '') or made_up}")
        else:
            lines.append(line)
    # What is not ours in the file is kept too.
    lines += [f"{name}={value}" for name, value in known.items()]
    return "\n".join(lines) + "\n"


def main(directory: Path) -> None:
    file = directory / ".env"
    old = file.read_text("utf-8").splitlines() if file.exists() else []
    pairs = [line.split("=", 1) for line in old if "=" in line and not line.startswith("#")]
    text = filled((directory / ".env.example").read_text("utf-8"), dict(pairs))
    # Nobody else may read it, from its first byte on.
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text, "utf-8")
    sys.stdout.write(f"{file} holds the passwords of all parts; it is read by docker compose\n")


if __name__ == "__main__":
    main(Path(__file__).resolve().parents[1])
