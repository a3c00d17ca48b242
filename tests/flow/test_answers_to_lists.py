"""What servers answer, through the dispatcher and the store: what lists an address."""

from dispatcher.core.classify import classify_refusal
from posthouse.answers import Stage
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.reply import Reply
from servers.dispatching import World, dispatching
from servers.patience import until
from servers.stores import open_stores

R, D = Stage.RCPT, Stage.DOT
B, L = "bounced", "deferred"
LISTED, COUNTED, NOTHING = "listed", "counted", "nothing"

# Stage, recipients of the transaction, reply; the event, and what becomes of the address.
ANSWERS = {
    "gone": (R, 1, "550 5.1.1 user unknown", B, LISTED),
    "gone-by-words": (R, 1, "550 No such user here", B, LISTED),
    "gone-in-french": (R, 1, "550 Utilisateur inconnu", B, LISTED),
    "gone-at-dot": (D, 1, "554 This user doesn't have a mail.example account", B, LISTED),
    "gone-later": (R, 1, "450 4.1.1 user unknown", L, NOTHING),
    "one-of-two": (D, 2, "550 5.1.1 user unknown", B, NOTHING),
    "code-at-dot": (D, 1, "554 5.1.1 The content was not liked", B, NOTHING),
    "bare": (R, 1, "550", B, NOTHING),
    "bare-553": (R, 1, "553 no", B, NOTHING),
    "callout": (R, 1, "550 Sender verify failed: no such user", B, NOTHING),
    "blocked": (R, 1, "550 5.7.1 Your address is on our blacklist", B, NOTHING),
    "policy": (R, 1, "550 5.7.1: message refused", B, NOTHING),
    "unreadable": (R, 1, "550 5.7.1 User unknown", B, NOTHING),
    "full": (R, 1, "550 5.1.1 Mailbox full", B, COUNTED),
    "full-later": (R, 1, "550 4.2.2 Mailbox full", L, COUNTED),
    "disabled": (R, 1, "550 5.2.1 Account suspended", B, COUNTED),
    "busy": (R, 1, "550 5.2.1 This user receives too much just now", L, NOTHING),
    "denied": (R, 1, "550 5.4.1 Recipient address rejected: Access denied", B, COUNTED),
    "no-domain": (R, 1, "550 5.1.2 Host unknown", B, COUNTED),
    "grey": (R, 1, "550 Greylisted, come back later", L, NOTHING),
    "spam": (D, 1, "550 5.1.1 This looks like spam", B, NOTHING),
}


def outcome(recipient: str) -> Bounced | Deferred:
    stage, recipients, said, _, _ = ANSWERS[recipient.partition("@")[0]]
    lines = (said[4:],)
    return classify_refusal(Reply.from_lines(int(said[:3]), lines), stage, recipients=recipients)


async def test_each_class_has_its_effect_on_the_lists(database: str) -> None:
    world = World(answer=outcome)
    async with open_stores(database) as stores:
        (delivery, *_) = await stores.queue(
            recipients=tuple(f"{name}@a.example" for name in ANSWERS)
        )
        async with dispatching(stores, world):
            await until(lambda: len(world.ended) == len(ANSWERS))
        story = await stores.story(delivery.submission_id)
        entries = await stores.sql(
            "SELECT address, expires_at IS NULL AS for_good, evidence FROM suppressions"
        )

    heard = {e["detail"]["recipient"]: e["kind"] for e in story.events if e["delivery_id"]}
    became = {e["address"]: LISTED if e["for_good"] else COUNTED for e in entries}
    assert {f"{name}@a.example": kind for name, (*_, kind, _) in ANSWERS.items()} == heard
    assert {
        f"{name}@a.example": effect for name, (*_, effect) in ANSWERS.items() if effect != NOTHING
    } == became
    assert all(e["evidence"]["bounces"][0]["answer"] for e in entries)
