"""What boto3 raises for what is wrong, by the name of what is."""

import json

import boto3

GIVEN = {
    "FromEmailAddress": "shop@example.com",
    "Destination": {"ToAddresses": ["you@there.example"]},
    "Content": {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}},
}


def client(secret="SECRET", **more):
    return boto3.client(
        "sesv2",
        endpoint_url="https://relay.example.com:2580",
        region_name="eu-west-1",
        aws_access_key_id="USER",
        aws_secret_access_key=secret,
        **more,
    )


def raised(call, **given):
    try:
        call(**given)
    except Exception as error:
        said = error.response["Error"]["Message"]
        return [type(error).__name__, error.response["Error"]["Code"], said]


ses = client()
print(
    json.dumps(
        {
            "sender": raised(ses.send_email, **{**GIVEN, "FromEmailAddress": "a@other.example"}),
            "address": raised(ses.send_email, **{**GIVEN, "Destination": {"ToAddresses": ["a"]}}),
            "template": raised(ses.send_email, **{**GIVEN, "Content": {"Template": {}}}),
            "stream": raised(ses.send_email, **GIVEN, ConfigurationSetName="none"),
            "secret": raised(client("wrong").send_email, **GIVEN),
            "token": raised(client(aws_session_token="token").send_email, **GIVEN),
            "operation": raised(ses.list_contact_lists),
        }
    )
)
