"""Whether what a client sent proves that it knows the secret of a user (RULES X03).

It takes as long when there is no such user.
"""

import hmac
from base64 import b64encode
from dataclasses import dataclass
from typing import TypeAlias

from posthouse.authentication.aws_signature import SignedRequest
from posthouse.authentication.slow_checks import Question
from posthouse.mail.saslprep import CannotPrepare, prepared
from posthouse.mail.scram import ITERATIONS, SALT_OCTETS, SLOW_ITERATIONS, ScramKeys
from posthouse.mail.secret import Purpose, UnsealError, derive, hash_secret, unseal
from posthouse.mail.slow_hash import is_slow
from posthouse.smtp.commands import Credentials
from posthouse.smtp.mechanisms import CramResponse, Proof, ScramProof
from posthouse.store.logins import Login

LoginProof: TypeAlias = Proof | SignedRequest
"""Of a login by SMTP, or of a request over HTTP."""

_NO_HASH = bytes(32)  # of no secret: BLAKE2b has no known preimage of zeros
_NO_SECRET = b"\0"  # takes as long as one


@dataclass(frozen=True, slots=True)
class AuthKeys:
    """The keys that secrets are stored under."""

    pepper: bytes
    sealing: bytes

    @staticmethod
    def derived(secret_key: bytes) -> "AuthKeys":
        """Those of the relay that has this key."""
        return AuthKeys(
            derive(secret_key, Purpose.CREDENTIALS), derive(secret_key, Purpose.SEALED_SECRETS)
        )


def proven_hash(login: Login | None, proof: LoginProof, keys: AuthKeys) -> bytes | None:
    """What is stored of the secret that *proof* shows to be known; None if that is none.

    Secrets that are kept by scrypt are not among them: `slow_questions`.
    """
    match proof:
        case Credentials():
            given = keyed_hash(proof.secret, keys.pepper)
            results = [(hmac.compare_digest(each or _NO_HASH, given), each) for each in _of(login)]
            return next((each for is_right, each in results if is_right), None)
        case CramResponse():
            secret = _sealed_secret(login, keys)
            made = hmac.new(secret or _NO_SECRET, proof.challenge, "md5").hexdigest()
            # The digest of no secret is one that anybody can make.
            is_right = hmac.compare_digest(made, proof.digest) and secret is not None
        case SignedRequest():
            secret = _sealed_secret(login, keys)
            is_right = proof.is_signed_with(secret or _NO_SECRET) and secret is not None
        case ScramProof():
            stored = login.scram if login else None
            known = ScramKeys.from_bytes(stored) if stored else stand_in("", keys.pepper)
            is_right = known.proves(proof.auth_message, proof.proof) and stored is not None
    return login.secret_hash if is_right and login else None


def slow_questions(login: Login | None, proof: LoginProof, keys: AuthKeys) -> list[Question]:
    """What is to be compared with a secret that is kept by scrypt, and a new one before it."""
    slow = [each for each in _of(login) if each and is_slow(each)]
    if not (slow and isinstance(proof, Credentials)):
        return []
    given = keyed_hash(proof.secret, keys.pepper)
    return [Question(given, each) for each in slow]


def shown(proof: LoginProof, keys: AuthKeys) -> bytes:
    """What *proof* shows: the same for the same secret, as far as that can be seen."""
    match proof:
        case Credentials():
            return keyed_hash(proof.secret, keys.pepper)
        case CramResponse():
            return proof.digest.encode()
        case SignedRequest():
            return proof.signature.encode()
        case ScramProof():
            return proof.proof


def advice(login: Login | None, proof: LoginProof) -> str:
    """What the operator may do about a login that cannot succeed, whatever the secret; or ""."""
    match proof:
        case CramResponse() | SignedRequest() if login and login.sealed is None:
            what = "CRAM-MD5" if isinstance(proof, CramResponse) else "a signature of AWS"
            return (
                f"{what} needs a secret that is kept sealed: `posthouse credential reset "
                f"{login.username} --sealed`"
            )
        case ScramProof() if login and login.scram is None:
            return (
                "its secret was made by a version without SCRAM: `posthouse credential reset "
                f"{login.username}`"
            )
    return ""


def keyed_hash(secret: str, pepper: bytes) -> bytes:
    """The hash of *secret* in the form in which secrets are stored."""
    try:
        return hash_secret(prepared(secret), pepper)
    except CannotPrepare:
        return hash_secret(secret, pepper)  # as that of any wrong one


def _of(login: Login | None) -> tuple[bytes | None, bytes | None]:
    return (login.secret_hash, login.previous_hash) if login else (None, None)


def _sealed_secret(login: Login | None, keys: AuthKeys) -> bytes | None:
    if login is None or login.sealed is None:
        return None
    try:
        return unseal(login.sealed, keys.sealing)
    except UnsealError:
        return None  # of another secret key: an operator is told at the start


def stand_in(username: str, pepper: bytes) -> ScramKeys:
    """Keys for a user that is not there: a client sees the same ones each time, as of one.

    Some as of a secret that could be guessed, so that those users do not stand out.
    """
    drawn = hmac.digest(pepper, b"salt " + username.encode("utf-8", "surrogatepass"), "sha256")
    iterations = SLOW_ITERATIONS if drawn[-1] % 2 else ITERATIONS
    nothing = bytes(32)
    return ScramKeys(drawn[:SALT_OCTETS], iterations, nothing, nothing)


def last_word(login: Login, proof: Proof) -> bytes:
    """What the mechanism of *proof* says to a client that has logged in."""
    if not isinstance(proof, ScramProof) or login.scram is None:
        return b""
    keys = ScramKeys.from_bytes(login.scram)
    return b"v=" + b64encode(keys.server_signature(proof.auth_message))
