"""The page "SMTP" of Mailtarget, example by example (RULES T)."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator

import aiosmtplib
import pytest
import pytest_asyncio

from e2e.vendors_pages import Customer, customer, relay_of, text_of
from servers.debian import CannotInstall, has_perl_module, install
from servers.missing import missing
from servers.patience import until
from servers.shared_relay import SharedRelay

SENDER = "news@brand.example"
TO = "ann@dest.example"
ON = '{ "optionsAttributes" : { "openTracking" : true,"clickTracking" : true }}'
NO_TYPE = "535, '5.7.8 Sorry. *** No authentication type succeeded'"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedRelay]:
    async with relay_of(tmp_path_factory) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def brand(relay: SharedRelay) -> Customer:
    return await customer(relay, "mailtarget", account="brand", domains=("brand.example",))


def mail(attributes: object = None, *, author: str = SENDER, fields: str = "") -> str:
    """A message with the attributes, as an object or as they are written."""
    if attributes is not None:
        written = attributes if isinstance(attributes, str) else json.dumps(attributes)
        fields += f"X-MT-ATTR: {written}\n"
    return f"From: {author}\nTo: {TO}\nSubject: Hello\n{fields}\nHello.\n"


# Access.


@pytest.mark.parametrize("user", ["smtp_mt_injection", "SMTP_Injection", "SMTP_MT_INJECTION"])
async def test_T02_the_user_is_a_fixed_word_and_the_key_says_whose_it_is(
    relay: SharedRelay, brand: Customer, user: str
) -> None:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=relay.port, validate_certs=False)
    await client.connect()
    await client.ehlo()
    reply = await client.auth_login(user, brand.login.secret)
    client.close()

    assert 235 == reply.code


@pytest.mark.parametrize(
    ("user", "key"), [("smtp_mt_injection", "no key"), ("somebody", ""), ("smtp_mt_injection", "")]
)
async def test_T17_what_is_said_to_a_wrong_key_or_user(
    relay: SharedRelay, brand: Customer, user: str, key: str
) -> None:
    """The listener does not know yet whose client it is: the fixed user does."""
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=relay.port, validate_certs=False)
    await client.connect()
    await client.ehlo()
    secret = brand.login.secret if user == "somebody" else key
    with pytest.raises(aiosmtplib.SMTPAuthenticationError) as refused:
        await client.auth_login(user, secret)
    client.close()

    assert 535 == refused.value.code
    if user != "somebody":
        assert NO_TYPE in str(refused.value)


@pytest.fixture(scope="module")
def swaks() -> None:
    """The client of the page's example, which needs a library of its own for TLS."""
    try:
        install("swaks", unless=lambda: shutil.which("swaks"))
        install("libnet-ssleay-perl", unless=lambda: has_perl_module("Net::SSLeay"))
    except CannotInstall as reason:
        missing("swaks", str(reason))


@pytest.mark.usefixtures("swaks")
async def test_T06_the_line_of_swaks_sends_a_message(relay: SharedRelay, brand: Customer) -> None:
    """As the page has it, but for a space behind "--auth-user="."""
    to = "swaks@dest.example"
    line = (
        f"swaks --to {to} --from {SENDER} --auth --auth-user={brand.login.username} "
        f"--auth-password={brand.login.secret} --server 127.0.0.1:{relay.port} -tls"
    )

    process = await asyncio.create_subprocess_exec(*line.split(), stdout=subprocess.PIPE)
    said, _ = await process.communicate()

    assert 0 == process.returncode, said.decode()
    await until(lambda: any(to in arrival.recipients for arrival in relay.sink.arrivals))


# Tracking.


async def test_T08_nothing_is_tracked_unless_it_is_asked_for(brand: Customer) -> None:
    arrived = await brand.send(SENDER, TO, mail())
    assert {TO: text_of(mail())} == {to: without_offer(text) for to, text in arrived.items()}


def without_offer(text: str) -> str:
    """*text* as it came, without the one line that says how to unsubscribe."""
    lines = text.splitlines(keepends=True)
    rest = [line for line in lines if not line.startswith("List-Unsubscribe: <mailto:")]
    assert len(lines) - 1 == len(rest)
    return "".join(rest)


async def test_T21_transactional_mail_does_not_say_how_to_unsubscribe(brand: Customer) -> None:
    offer = {"optionsAttributes": {"transactional": True}}
    assert {TO: text_of(mail())} == await brand.send(SENDER, TO, mail(offer))


@pytest.mark.parametrize(
    ("attributes", "opens", "clicks"),
    [
        (ON, True, True),
        ({"optionsAttributes": {"openTracking": True}}, True, None),
        ({"optionsAttributes": {"clickTracking": True}}, None, True),
        ({"optionsAttributes": {"openTracking": False, "clickTracking": True}}, False, True),
    ],
)
async def test_each_kind_of_tracking_is_kept_by_itself(
    brand: Customer, attributes: object, opens: object, clicks: object
) -> None:
    submitted = await brand.submit(SENDER, TO, mail(attributes))

    flags = (await brand.known(submitted)).get("flags", {})
    assert (opens, clicks) == (flags.get("open_tracking"), flags.get("click_tracking"))
    (arrival,) = (await brand.relay.arrived(submitted)).values()
    assert b"x-mt-attr" not in arrival.content.lower()


async def test_the_header_wins_over_what_is_set_for_the_account(
    relay: SharedRelay, brand: Customer
) -> None:
    set_on = ("tracking.opens=true", "tracking.clicks=true")
    tracked = await customer(relay, "mailtarget", *set_on, account=brand.account)
    off = {"optionsAttributes": {"openTracking": False}}

    unsaid = await tracked.known(await tracked.submit(SENDER, TO, mail()))
    said = await tracked.known(await tracked.submit(SENDER, TO, mail(off)))

    assert {} == unsaid.get("flags", {})
    assert {"open_tracking": False} == said["flags"]


# Cc, Bcc and archive.


async def test_T12_to_T15_one_message_for_each_address_of_the_arrays(brand: Customer) -> None:
    arrays = {
        "cc": ["bob@dest.example", "carol@dest.example"],
        "bcc": ["dave@dest.example", "eve@dest.example"],
        "archive": ["vault@dest.example"],
    }

    arrived = await brand.send(SENDER, TO, mail(arrays))

    cc = "Cc: bob@dest.example, carol@dest.example\n"
    assert {TO, *arrays["cc"], *arrays["bcc"], *arrays["archive"]} == arrived.keys()
    for recipient in (TO, *arrays["cc"], *arrays["archive"]):
        assert sorted_lines(text_of(mail(fields=cc))) == sorted_lines(
            without_offer(arrived[recipient])
        )
    for recipient in arrays["bcc"]:
        expected = mail(fields=f"{cc}Bcc: {recipient}\n")
        assert sorted_lines(text_of(expected)) == sorted_lines(without_offer(arrived[recipient]))


def sorted_lines(text: str) -> list[str]:
    """The page does not say where in the header the new fields stand."""
    return sorted(text.splitlines())


async def test_T13_the_to_header_is_the_user_s_own(brand: Customer) -> None:
    text = mail({"cc": ["bob@dest.example"]}).replace(f"To: {TO}", f"To: Ann Other <{TO}>")

    arrived = await brand.send(SENDER, TO, text)

    assert {TO, "bob@dest.example"} == arrived.keys()
    assert all(f"To: Ann Other <{TO}>\n" in copy for copy in arrived.values())


async def test_T16_each_recipient_gets_one_copy_of_the_first_kind_that_names_it(
    brand: Customer,
) -> None:
    arrays = {
        "cc": [TO, "bob@dest.example", "bob@dest.example"],
        "bcc": ["bob@dest.example", "dave@dest.example"],
        "archive": ["dave@dest.example", TO, "vault@dest.example"],
    }

    submitted = await brand.submit(SENDER, TO, mail(arrays))
    arrived = await brand.relay.arrived(submitted)

    assert {TO, "bob@dest.example", "dave@dest.example", "vault@dest.example"} == arrived.keys()
    assert b"\r\nBcc: dave@dest.example\r\n" in arrived["dave@dest.example"].content
    assert b"\r\nBcc:" not in arrived["bob@dest.example"].content
    kinds = await brand.relay.database.fetch(
        "SELECT recipient, kind FROM deliveries WHERE submission_id = $1", submitted.id
    )
    assert {
        TO: "to",
        "bob@dest.example": "cc",
        "dave@dest.example": "bcc",
        "vault@dest.example": "archive",
    } == {row["recipient"]: row["kind"] for row in kinds}


async def test_T16_a_name_of_an_entry_is_shown(brand: Customer) -> None:
    attributes = {"cc": [{"email": "bob@dest.example", "name": "Bob Builder"}]}

    arrived = await brand.send(SENDER, TO, mail(attributes))

    assert {TO, "bob@dest.example"} == arrived.keys()
    for copy in arrived.values():
        (line,) = [line for line in copy.splitlines() if line.startswith("Cc:")]
        assert line in (
            "Cc: Bob Builder <bob@dest.example>",
            'Cc: "Bob Builder" <bob@dest.example>',
        )


async def test_T16_at_most_a_thousand_recipients_over_the_three_lists(brand: Customer) -> None:
    lists = {
        "cc": [f"c{n}@d.example" for n in range(500)],
        "bcc": [f"b{n}@d.example" for n in range(501)],
    }
    # A line of a header has at most 998 characters (T22).
    folded = json.dumps(lists).replace(", ", ",\n ")

    reply = await brand.refusal(SENDER, TO, mail(folded))

    assert reply.startswith("550 5.6.0 ")
    assert "1000" in reply


# Errors.


@pytest.mark.parametrize("written", ["{", '{"cc": [}', "cc", '{"cc": ["bob@dest.example"}', ""])
async def test_T18_malformed_json(brand: Customer, written: str) -> None:
    reply = await brand.refusal(SENDER, TO, mail(written))

    assert reply.startswith("550 5.6.0 JSON parsing error in X-MT-ATTR")


async def test_T19_a_sending_domain_that_is_not_configured(brand: Customer) -> None:
    text = mail(author="x@admin.example.com")

    reply = await brand.refusal(SENDER, TO, text)

    assert "550 5.7.1 Unconfigured Sending Domain <admin.example.com>" == reply


async def test_T20_errors_of_fields(brand: Customer) -> None:
    metadata = await brand.refusal(SENDER, TO, mail({"metadata": ["no", "object"]}))
    campaign = await brand.refusal(SENDER, TO, mail({"campaign_id": "c" * 65}))

    assert metadata.startswith("550 5.6.0 ")
    assert "'metadata' must be of type 'json object'" in metadata
    assert campaign.startswith("550 5.6.0 ")
    assert "limited to 64 bytes" in campaign


# How the header is read.


async def test_T21_campaign_metadata_and_tags(brand: Customer) -> None:
    attributes = {"campaign_id": "spring", "metadata": {"order": 7}, "tags": ["a", "b"]}

    known = await brand.known(await brand.submit(SENDER, TO, mail(attributes)))

    assert ("spring", {"order": 7}, ["a", "b"]) == (
        known["campaign"],
        known["metadata"],
        known["tags"],
    )


async def test_T22_a_line_unfolds_with_one_space(brand: Customer) -> None:
    folded = '{"campaign_id":\n\t"spring\n    sale"}'

    known = await brand.known(await brand.submit(SENDER, TO, mail(folded)))

    assert "spring sale" == known["campaign"]


async def test_T23_text_that_is_not_ascii_is_escaped_or_encoded(brand: Customer) -> None:
    for written in (
        r'{"campaign_id": "fr\u00fchling"}',
        '{"campaign_id": "=?utf-8?q?fr=C3=BChling?="}',
    ):
        known = await brand.known(await brand.submit(SENDER, TO, mail(written)))
        assert "frühling" == known["campaign"]


async def test_T24_any_envelope_sender_is_overwritten(brand: Customer) -> None:
    submitted = await brand.submit("whatever@elsewhere.example", TO, mail())

    (arrival,) = (await brand.relay.arrived(submitted)).values()
    assert arrival.sender.endswith("@relay.example")


async def test_X10_more_than_one_header_is_refused(brand: Customer) -> None:
    text = mail({"tags": ["a"]}, fields="X-MT-ATTR: {}\n")

    assert (await brand.refusal(SENDER, TO, text)).startswith("550 5.6.0 ")
