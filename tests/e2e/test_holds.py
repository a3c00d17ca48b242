"""An account whose recipients do not exist is held by the relay as it runs, and then released."""

import json
from pathlib import Path

from servers.patience import eventually_says
from servers.whole_relay import ANY, Operator, running


def test_an_account_whose_recipients_do_not_exist_is_held_until_it_is_released(
    tmp_path: Path,
) -> None:
    """Nothing more of it goes out, its owner is told, and another account goes on."""
    tmp_path.chmod(0o711)
    data = tmp_path / "data"
    with running("sink", "--listen", ANY, "--report", ANY) as sink:
        to = f"{sink['smtp']['host']}:{sink['smtp']['port']}"
        with running(
            *("up", "--data", str(data), "--route", to, "--listen", f"{ANY}/none"),
            *("--bounce-listen", ANY, "--health-listen", ANY),
            *("--tracking-listen", ANY, "--console-listen", ANY),
            POSTHOUSE_HOLD_BOUNCE_VOLUME="5",
        ) as ready:
            operator = Operator(data, ready["submission"][0]["port"])
            operator("account", "set", "default", "--bounce-address", "owner@home.example")
            for n in range(5):
                assert "no such mailbox" in operator.story_of_mail_to(f"nobody@d{n}.example")
            listed = eventually_says(lambda: operator("account", "list"), "held since")
            assert "by posthouse: 100 % of its mail went to mailboxes or domains" in listed

            assert "the operator of this relay" in listed  # whose mail tells the owner

            number = operator.submit("ann@dest.example")
            other = operator.another("news", "y.example")
            assert "  delivered  " in other.story_of_mail_to("ann@dest.example")
            story = operator("message", number)
            assert "  delivered  " not in story
            assert "  held          its account is held since " in story

            (counted,) = json.loads(
                operator("account", "statistics", "default", "--by", "domain", "--json")
            )
            assert ("x.example", 5, 5, 0) == (
                counted["domain"], counted["bounced"], counted["hard"], counted["delivered"],
            )  # fmt: skip
            assert "x.example" in operator("account", "statistics", "default", "--by", "domain")

            assert "default is released" in operator("account", "release", "default")
            assert "  delivered  " in operator.story_of(number)
            actions = [line["action"] for line in json.loads(operator("audit", "--json"))]
            assert ["account release", "account hold"] == [
                action for action in actions if action.startswith("account")
            ]
