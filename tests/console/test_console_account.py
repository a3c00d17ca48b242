"""GET /v1/account/smtp: what an account needs to know to send."""

from posthouse.mail.permission import Permission
from posthouse.store.accounts import AccountStore
from servers.running_console import OTHER, SHOP, RunningConsole


async def test_T06a_smtp_details_are_shown_once_a_domain_is_verified(
    console: RunningConsole,
) -> None:
    accounts = AccountStore(console.stores.database)
    await console.user("shop-app", SHOP, (Permission.SMTP,))
    await console.user("shop-old", SHOP, (Permission.SMTP,))
    await accounts.credentials.set_active("shop-old", active=False)
    await console.user("other-app", OTHER, (Permission.SMTP,))
    await accounts.create_sending_domain(SHOP, "shop.example", ())
    told = (await console.get("/v1/account/smtp")).value
    assert told == {
        "account": "shop", "domains": [{"name": "shop.example", "verified": False}], "smtp": None,
    }  # fmt: skip
    await console.stores.sql(
        "INSERT INTO relay_names (program, hostname) VALUES ('ingest', 'mx.relay.example')"
    )
    await accounts.verify_sending_domain(SHOP, "shop.example")
    told = (await console.get("/v1/account/smtp")).value
    assert told["domains"] == [{"name": "shop.example", "verified": True}]
    assert told["smtp"] == {
        "host": "mx.relay.example", "ports": ["587/starttls", "465/tls"], "users": ["shop-app"],
    }  # fmt: skip
    assert (await console.get("/v1/account/smtp", user="shop-app")).status == 200
    assert (await console.get("/v1/account/smtp", user="other")).value["smtp"] is None
