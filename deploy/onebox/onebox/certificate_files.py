"""The certificate of an installation: made for its name, or taken from files of an authority."""

from datetime import UTC, datetime
from pathlib import Path

from onebox.installation import Installation
from onebox.self_signed import self_signed
from onebox.written_file import write_file
from posthouse.running.certificate import loaded_chain, names_in


def make_certificate(where: Installation, hostname: str) -> None:
    """Make a certificate for *hostname* in place of the one that is there; raises OSError."""
    chain, key = self_signed(hostname, datetime.now(UTC))
    _replace(where, chain, key)


def take_certificate(where: Installation, chain: Path, key: Path) -> bool:
    """Put copies of *chain* and *key* in place of those that are there; whether they differed.

    Raises CannotUseCertificate where they do not belong together or cannot be read, and OSError;
    then nothing was changed.
    """
    loaded_chain(chain, key, "")
    found = chain.read_bytes(), key.read_bytes()
    try:
        if found == (where.certificate_file.read_bytes(), where.certificate_key_file.read_bytes()):
            return False
    except FileNotFoundError:
        pass
    _replace(where, *found)
    return True


def other_names(chain: Path, hostname: str) -> str:
    """The names in *chain*, or "" if *hostname* is one; raises CannotUseCertificate."""
    names = names_in(chain)
    wanted = hostname.lower().rstrip(".")
    fits = wanted in names or f"*.{wanted.partition('.')[2]}" in names
    return "" if fits else ", ".join(names)


def _replace(where: Installation, chain: bytes, key: bytes) -> None:
    # Who reads the new key with the old chain is refused, and looks again when the chain is new.
    write_file(where.certificate_key_file, key)
    write_file(where.certificate_file, chain, mode=0o644)
