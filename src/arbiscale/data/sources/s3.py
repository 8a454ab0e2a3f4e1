"""Photographs in an S3-compatible object store."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from arbiscale.config.data import S3Settings
from arbiscale.data.manifest import Rejected
from arbiscale.data.sources.source import (
    Entry,
    Listing,
    Source,
    UnreadableError,
    is_hidden,
    is_plain,
    no_picture,
)
from arbiscale.errors import UnavailableError, UserError, first_line
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES
from arbiscale.imaging.picture_folders import Found

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_ATTEMPTS = 5  # at each request, with growing pauses
_CONNECT_SECONDS = 5
_READ_SECONDS = 60


class Bucket(Source):
    """The pictures below `s3://bucket/prefix/`, stamped with their ETags and read where they lie.

    Credentials come from boto3's standard chain (environment, profiles, roles), the endpoint from
    `settings.endpoint_url`, else from the chain too (AWS_ENDPOINT_URL).
    """

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self.parallel = settings.connections
        self._bucket, _, path = settings.url.removeprefix("s3://").partition("/")
        self._prefix = f"{path.strip('/')}/" if path.strip("/") else ""
        self.key = f"s3 {settings.endpoint_url or ''} {settings.url.rstrip('/')}"

    def list(self) -> Listing:
        """Every picture, page by page.

        Raises:
            UserError: no boto3, no or wrong credentials, no such bucket, no picture below the prefix.
            UnavailableError: the store cannot be reached.
        """
        entries, rejected, others = [], [], Found()
        with _errors_in_one_line(self._settings, self._bucket):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for found in (entry for page in pages for entry in page.get("Contents", [])):
                key, name = found["Key"], found["Key"].removeprefix(self._prefix)
                hidden = is_hidden(name)
                if hidden or PurePosixPath(name).suffix.lower() not in PHOTOGRAPH_SUFFIXES:
                    if not key.endswith("/"):
                        others.leave_out(Path(name), "hidden" if hidden else "of other suffixes")
                    continue
                if not is_plain(name):
                    rejected.append(Rejected(name, "its key is no relative path; rename the object"))
                    continue
                origin = f"s3://{self._bucket}/{key}"
                entries.append(Entry(name, found["Size"], found["ETag"].strip('"'), origin))
        if not entries:
            raise no_picture(f"data.s3.url: {self._settings.url}", "check the prefix")
        return Listing(sorted(entries, key=lambda entry: entry.name), rejected, others.summary())

    def read(self, name: str) -> bytes:
        """One object.

        Raises:
            UnreadableError: it is gone.
            UserError, UnavailableError: the store refuses it, or cannot be reached.
        """
        with _errors_in_one_line(self._settings, self._bucket, self._prefix + name):
            from botocore.exceptions import FlexibleChecksumError

            try:
                return self._fetch(name)
            except FlexibleChecksumError:  # altered on its way: once more
                return self._fetch(name)

    def _fetch(self, name: str) -> bytes:
        from boto3.s3.transfer import TransferConfig

        content = io.BytesIO()
        one = TransferConfig(use_threads=False)  # which also fetches again what was cut off
        self._client.download_fileobj(self._bucket, self._prefix + name, content, Config=one)
        return content.getvalue()

    @cached_property
    def _client(self) -> Any:
        return _connect(self._settings)


def _connect(settings: S3Settings) -> Any:
    import boto3
    from botocore.config import Config

    options = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=settings.connections,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    )
    try:
        return boto3.session.Session().client("s3", endpoint_url=settings.endpoint_url, config=options)
    except ValueError as error:
        endpoint = f"data.s3.endpoint_url: {settings.endpoint_url}"
        raise UserError(f"{endpoint}: {first_line(error)}; must look like https://host:port") from None


@contextmanager
def _errors_in_one_line(settings: S3Settings, bucket: str, key: str = "") -> Iterator[None]:
    """Turn what boto3 raises into user errors; `key`: the one object that is asked for."""
    try:
        import boto3
        from botocore import exceptions
        from s3transfer.exceptions import RetriesExceededError
    except ImportError:
        raise UserError("data.source: s3 needs boto3; run `pip install 'arbiscale[s3]'`") from None
    store = settings.endpoint_url or "the default endpoint"
    place = f"data.s3.url: {f's3://{bucket}/{key}' if key else settings.url}"
    try:
        yield
    except exceptions.ClientError as error:
        if key and error.response.get("Error", {}).get("Code") in {"NoSuchKey", "404"}:
            raise UnreadableError("is gone") from None
        raise UserError(_refusal(error, place, bucket, store)) from None
    except (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
        exceptions.ProfileNotFound,
        exceptions.SSOError,
        exceptions.TokenRetrievalError,
    ) as error:
        raise UserError(
            f"{place}: no usable credentials ({first_line(error)}); "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        ) from None
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        raise UnavailableError(
            f"data.s3.endpoint_url: {store}: cannot be reached ({first_line(error)}); check the address"
        ) from None
    except (exceptions.BotoCoreError, boto3.exceptions.Boto3Error) as error:
        raise UserError(f"{place}: {first_line(error)}") from None
    except RetriesExceededError as error:
        reason = first_line(error.last_exception)
        raise UnavailableError(
            f"{place}: {store} cuts the connection ({reason}); run this again later"
        ) from None


def _refusal(error: ClientError, place: str, bucket: str, store: str) -> str:
    """What a store that answered has refused, and what to do."""
    details = error.response.get("Error", {})
    code = str(details.get("Code", ""))
    reason = ": ".join([code, *str(details.get("Message", "")).splitlines()[:1]])
    if code in {"NoSuchBucket", "404"}:
        return f"{place}: no bucket {bucket!r} at {store} ({reason}); check both names"
    if code in {"AccessDenied", "AllAccessDisabled", "403"}:
        return f"{place}: access denied ({reason}); s3:ListBucket and s3:GetObject are needed"
    if code == "InvalidObjectState":
        return f"{place}: is archived ({reason}); restore it, or move it elsewhere"
    if code in {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}:
        return f"{place}: {store} does not accept the credentials ({reason}); renew them"
    return f"{place}: {store} refuses ({reason})"
