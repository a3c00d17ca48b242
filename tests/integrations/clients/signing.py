"""The signatures that botocore makes of the requests in a JSON file, by their names."""

import json
import sys
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def signature(given):
    query = f"?{given['query']}" if given["query"] else ""
    request = AWSRequest(
        given["method"],
        f"http://{given['fields']['host']}{given['path']}{query}",
        given["fields"],
        given["body"].encode(),
    )
    request.context["timestamp"] = given["fields"]["x-amz-date"]
    credentials = Credentials(given["username"], given["secret"])
    signer = SigV4Auth(credentials, "ses", given["region"])
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return signer.signature(text, request)


requests = json.loads(Path(sys.argv[1]).read_text())
print(json.dumps({given["name"]: signature(given) for given in requests}))
