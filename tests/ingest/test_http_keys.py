"""Keys of another service, brought along, as Bearer tokens (RULES X03)."""

from dataclasses import replace

from posthouse.mail.secret import hash_secret
from servers.door import PEPPER
from servers.http_door import CALLER, MESSAGE, HttpWireClient, RunningHttp

KEY = "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"


async def test_X03_a_key_that_was_brought_along_says_whose_it_is(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    http_door.directory.logins["user"] = replace(CALLER, secret_hash=hash_secret(KEY, PEPPER))
    for key, status in ((KEY, 202), (KEY[:-1], 401), (f"user.{KEY}", 401), (KEY, 202)):
        answer = await http.post("/v1/messages", MESSAGE, Authorization=f"Bearer {key}")
        assert answer.status == status
    (first, _) = http_door.intake.accepted
    assert first.credential_id == CALLER.credential_id


async def test_T07_for_one_child_alone_a_key_sends_by_smtp_only(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    """It would be told that it sends for the child, and send for its parent."""
    key = KEY.replace(".", "")
    http_door.directory.logins["user"] = replace(
        CALLER, profile="mailtarget", secret_hash=hash_secret(key, PEPPER)
    )
    named = f"Bearer SMTP_Injection:X-MSYS-SUBACCOUNT=123.{key}"
    answer = await http.post("/v1/messages", MESSAGE, Authorization=named)
    assert answer.status == 401
    assert not http_door.intake.accepted
