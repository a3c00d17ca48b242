"""The fields of SendEmail that botocore knows, with those within them."""

import json

import boto3


def fields(shape, path=""):
    if shape.type_name == "structure" and shape.members:
        for name, member in shape.members.items():
            yield from fields(member, f"{path}.{name}".lstrip("."))
    elif shape.type_name == "list":
        yield from fields(shape.member, f"{path}[]")
    else:
        yield path


ses = boto3.client("sesv2", region_name="eu-west-1")
print(json.dumps(list(fields(ses.meta.service_model.operation_model("SendEmail").input_shape))))
