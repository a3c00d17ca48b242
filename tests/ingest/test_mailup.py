"""The profile mailup at the door: lists of a user, options of a message (RULES U)."""

from dataclasses import replace

import pytest

from posthouse.mail.message_flag import Stream
from posthouse.mail.submission import Attributes
from servers.admitting import admitted, facts_for, incoming, refused
from servers.door import LOGIN, OpenDoor

HEADER = "From: jo@a.example\nTo: al@there.example\nSubject: Hi\n"
LISTS = {"shop": Stream("shop", "shop", {"click_tracking": True, "open_tracking": False})}


def attributes(fields: str = "", **changes: object) -> Attributes:
    return admitted(incoming(HEADER + fields, facts_for("mailup", **changes))).attributes


def test_U01_mail_of_a_user_belongs_to_his_list() -> None:
    """Its settings apply, its statistics count it, its unsubscribes hold for it."""
    found = attributes(control__default_stream="shop", streams=LISTS)
    assert (found.stream, found.flags) == ("shop", LISTS["shop"].flags)
    assert attributes(streams=LISTS).stream == ""
    gone = facts_for("mailup", control__default_stream="gone", streams=LISTS)
    assert refused(incoming(HEADER, gone)) == (
        "550 5.6.0 'gone' in the profile is no code of this account"
    )


@pytest.mark.parametrize(
    ("fields", "campaign"),
    [
        ("", "default of the user"),
        ('X-SMTPAPI: {"CampaignCode": "spring-26"}', "spring-26"),
        ('x-smtpapi: {"campaignCode": "spring-26"}', "spring-26"),
        ('X-SMTPAPI: {"CampaignCode":\n "spring"}', "spring"),
        ('X-SMTPAPI: {"CampaignCode": "Fr\\u00fchling"}', "Frühling"),
        ('X-SMTPAPI: {"CampaignCode": ""}', "default of the user"),
        ("X-SMTPAPI: {}", "default of the user"),
    ],
)
def test_U20_a_code_groups_messages_else_the_default_of_the_user(
    fields: str, campaign: str
) -> None:
    assert attributes(fields, control__default_campaign="default of the user").campaign == campaign
    without = "" if campaign.startswith("default") else campaign
    assert attributes(fields).campaign == without


def test_U20_options_of_a_message_win_over_its_list() -> None:
    fields = 'X-SMTPAPI: {"options": {"openTracking": true}}'
    found = attributes(fields, control__default_stream="shop", streams=LISTS)
    assert found.flags == {"click_tracking": True, "open_tracking": True}
    found = attributes('X-SMTPAPI: {"CampaignCode": "a", "Other": 1}')
    assert found.notes == ("X-SMTPAPI: ignored: 'Other'",)


@pytest.mark.parametrize(
    ("fields", "reply"),
    [
        ("X-SMTPAPI: CampaignCode", "JSON parsing error in X-SMTPAPI"),
        ('X-SMTPAPI: {"CampaignCode": 3}', "X-SMTPAPI 'CampaignCode' must be of type 'json string"),
        ("X-SMTPAPI: {}\nX-SMTPAPI: {}", "X-SMTPAPI: 2 seen, one is allowed"),
    ],
)
def test_U20_what_cannot_be_read_is_refused(fields: str, reply: str) -> None:
    assert refused(incoming(HEADER + fields, facts_for("mailup"))).startswith(f"550 5.6.0 {reply}")


@pytest.mark.parametrize("mode", ["none", "opportunistic"])
async def test_U03_starttls_is_an_option(open_door: OpenDoor, mode: str) -> None:
    door = await open_door(mode)
    door.directory.logins["user"] = replace(LOGIN, profile="mailup")
    client = await door.connect()
    offered = await client.say("EHLO x")
    assert ("STARTTLS" in offered) is (mode == "opportunistic")
    await client.log_in()
    content = HEADER.replace("\n", "\r\n").encode() + b"\r\nBody\r\n.\r\n"
    assert (await client.message(content)).startswith("250 ")


async def test_U06_an_inactive_user_cannot_send(open_door: OpenDoor) -> None:
    """A credential that is disabled is none for the directory; also within a session."""
    door = await open_door("none")
    door.directory.logins["user"] = replace(LOGIN, profile="mailup")
    client = await door.logged_in()
    del door.directory.logins["user"]
    door.service._context.authenticator._remembered.clear()
    assert not (await client.say("MAIL FROM:<jo@a.example>")).startswith("250")
