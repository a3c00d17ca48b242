"""A call whose first answer is taken for lost."""

import json

import boto3

ses = boto3.client(
    "sesv2",
    endpoint_url="https://relay.example.com:2580",
    region_name="eu-west-1",
    aws_access_key_id="USER",
    aws_secret_access_key="SECRET",
)
answers = []


def again(response, attempts, **_):
    answers.append(response[1]["MessageId"])
    return 0 if attempts == 1 else None


ses.meta.events.register("needs-retry.sesv2.SendEmail", again)
ses.send_email(
    FromEmailAddress="shop@example.com",
    Destination={"ToAddresses": ["you@there.example"]},
    Content={"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}},
)
print(json.dumps(answers))
