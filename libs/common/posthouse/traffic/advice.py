"""What to do about refusals of each class."""

from posthouse.answers import AnswerClass

_ADVICE = {
    AnswerClass.NO_SUCH_MAILBOX: "The list is old, guessed or bought: mail only who asked for it.",
    AnswerClass.MAILBOX_DISABLED: "These mailboxes are closed: remove them from the list.",
    AnswerClass.MAILBOX_FULL: "Nobody reads these mailboxes: mail them less, and then not at all.",
    AnswerClass.MAILBOX_RATE: "Too much for one mailbox: send fewer messages to each recipient.",
    AnswerClass.DOMAIN_GONE: "The domains do not exist: check addresses where they are entered.",
    AnswerClass.POLICY: "Read the reply: the receiver names the rule of its own that says no.",
    AnswerClass.REPUTATION: "Our address or name is mistrusted: find out where it is listed, stop"
    " what recipients complain of, then ask for removal.",
    AnswerClass.CONTENT: "The text or a link looks like spam: look at links, then at wording.",
    AnswerClass.SENDER_AUTHENTICATION: "SPF, DKIM, DMARC or reverse DNS is wrong: `posthouse domain"
    " check` says what to publish.",
    AnswerClass.SENDER_VERIFICATION: "The sender's address takes no mail: make a mailbox for it.",
    AnswerClass.RELAY_DENIED: "That server takes no mail for the domain: its MX records are wrong.",
    AnswerClass.GREYLISTED: "Nothing to do: the same mail is taken some minutes later.",
    AnswerClass.RATE: "Too much from us at one time: spread it, or wait until they know us.",
    AnswerClass.TOO_BIG: "Messages are too large: put attachments behind a link.",
    AnswerClass.TLS: "TLS with the server fails: look at its certificate and at the route.",
    AnswerClass.PROTOCOL: "The server objects to how mail is sent: read the reply.",
    AnswerClass.NETWORK: "The servers cannot be reached: check DNS and routes if there are many.",
    AnswerClass.SYSTEM: "The receiver has trouble of its own: wait.",
    AnswerClass.UNCLEAR: "No rule knows this reply: read it.",
}


def advice_on(answer: str) -> str:
    """One sentence about the class *answer*, whatever version wrote it."""
    try:
        return _ADVICE[AnswerClass(answer)]
    except (KeyError, ValueError):
        return "No server said why: read what happened to one of them."
