"""The closed choices that a profile makes (RULES A6); stored and given as these words."""

from enum import StrEnum


class FromPolicy(StrEnum):
    """What a From that differs from the envelope sender leads to (X04)."""

    KEEP = "keep"
    KEEP_AND_ADD_SENDER = "keep_and_add_sender"
    REWRITE_FROM_ENVELOPE = "rewrite_from_envelope"
    REQUIRE_EQUAL = "require_equal"


class SenderCheck(StrEnum):
    """What a sender that is not on the list of senders leads to (X05)."""

    OFF = "off"
    ALERT = "alert"  # it is sent, and the account hears of it (U16)
    BLOCK = "block"
    BLOCK_AND_ALERT = "block_and_alert"  # (U17)


class CheckedSender(StrEnum):
    """Which sender is checked (X05)."""

    MAIL_FROM = "mail_from"
    FROM = "from"
    BOTH = "both"


class SenderList(StrEnum):
    """The list that a sender has to be on (X05)."""

    VERIFIED = "verified"  # the account's verified domains
    AUTHORIZED = "authorized"  # the profile's domains and addresses (U13, U14)


class EmptyListMeans(StrEnum):
    """The senders that an empty list allows (X05); never those at a domain of another account."""

    ALL = "all"
    NONE = "none"


class ReplyTo(StrEnum):
    """Which Reply-To headers are taken (X13)."""

    FREE = "free"
    SINGLE = "single"
    SAME_AS_FROM = "same_as_from"


class RecipientPolicy(StrEnum):
    """How envelope, To, Cc and Bcc decide who gets a copy (X06)."""

    RFC = "rfc"  # RCPT alone decides
    FIRST_TO_AND_ONE_BCC = "first_to_and_one_bcc"  # the rest is accepted and discarded
    SINGLE_STRICT = "single_strict"  # exactly one To, no Cc, no Bcc
    ATTRIBUTE_ARRAYS = "attribute_arrays"  # cc, bcc and archive from the attributes header


class Bcc(StrEnum):
    """Recipients that are named in no To or Cc header (X06, X07)."""

    OFF = "off"
    ON = "on"
    FIRST_ONLY = "first_only"


class Conformance(StrEnum):
    """What happens to a message with missing or wrong parts (X11)."""

    REPAIR = "repair"
    REQUIRE = "require"  # refused without it
    IGNORE = "ignore"


class LineEndings(StrEnum):
    """What is done with bare CR, bare LF and NUL in a message (X11)."""

    CLEAN = "clean"  # they are mended before anything reads the message
    REFUSE = "refuse"


class Multiplicity(StrEnum):
    """What several headers of one name mean (X10)."""

    FIRST = "first"  # the topmost counts
    APPEND = "append"
    REJECT = "reject"


class TagCharset(StrEnum):
    """What a tag may consist of (X09)."""

    LETTERS_DIGITS_HYPHEN = "letters_digits_hyphen"  # ASCII
    ANY = "any"


class OnInvalidTag(StrEnum):
    """What happens to a tag outside the grammar (X09)."""

    DROP = "drop"
    REJECT = "reject"


class BccTracking(StrEnum):
    """How the copy of a Bcc recipient is tracked (X08)."""

    NONE = "none"
    OWN = "own"
    SAME_AS_TO = "same_as_to"


class SuppressionScope(StrEnum):
    """What a suppression applies to (X19)."""

    ACCOUNT = "account"
    LIST = "list"
    TAG = "tag"


class Onboarding(StrEnum):
    """What a domain has to show before it may send (X14)."""

    RECORDS = "records"  # TXT records in the customer's zone
    DELEGATION = "delegation"  # NS records that name our servers
    TRUSTED = "trusted"  # nothing
