"""AWS signatures and credentials, by botocore: the extra `cito[aws]`, imported only where it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cito.observability.exporters.http import Sign


class MissingAwsError(RuntimeError):
    """The extra is not installed, or no credentials are found."""


def session() -> Any:
    """Return a botocore session.

    Raises:
        MissingAwsError: says what to install.
    """
    try:
        import botocore.session  # noqa: PLC0415 - an extra; it costs 100 ms
    except ImportError:
        raise MissingAwsError("CloudWatch needs botocore: pip install 'cito[aws]'") from None
    return botocore.session.get_session()


def signer(service: str, region: str) -> Sign:
    """Return a function that makes the SigV4 headers of a POST, with the credentials of the environment.

    Raises:
        MissingAwsError: no botocore, no credentials.
    """
    credentials = session().get_credentials()
    if credentials is None:
        raise MissingAwsError("no AWS credentials: set AWS_ACCESS_KEY_ID or give the instance a role")
    from botocore.auth import SigV4Auth  # noqa: PLC0415 - as above
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - as above

    def sign(url: str, body: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
        request = AWSRequest(method="POST", url=url, data=body, headers=dict(headers))
        SigV4Auth(credentials.get_frozen_credentials(), service, region).add_auth(request)
        return {key: value for key, value in request.headers.items() if key not in headers}

    return sign
