from pathlib import Path

import boto3

ses = boto3.client(
    "sesv2",
    endpoint_url="https://relay.example.com:2580",
    region_name="eu-west-1",
    aws_access_key_id="USER",
    aws_secret_access_key="SECRET",
)


def text(name):
    return {"Data": Path(name).read_text(), "Charset": "UTF-8"}


ses.send_email(
    FromEmailAddress="Shop <shop@example.com>",
    Destination={"ToAddresses": ["you@there.example"]},
    Content={
        "Simple": {
            "Subject": text("subject.txt"),
            "Body": {"Text": text("text.txt"), "Html": text("page.html")},
            "Attachments": [
                {
                    "FileName": "invoice.bin",
                    "RawContent": Path("invoice.bin").read_bytes(),
                }
            ],
        }
    },
    EmailTags=[{"Name": "order", "Value": "12"}],
)
ses.send_email(
    Destination={"ToAddresses": ["you@there.example"]},
    Content={"Raw": {"Data": Path("letter.eml").read_bytes()}},
)
