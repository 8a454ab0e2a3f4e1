"""Photographs in an S3-compatible object store."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from arbiscale.config.data import S3Settings
from arbiscale.data.manifest import Photograph
from arbiscale.errors import UnavailableError, UserError
from arbiscale.files import sha256_of
from arbiscale.imaging.formats import PHOTOGRAPH_SUFFIXES
from arbiscale.progress import progress

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_ATTEMPTS = 5  # at each request, with growing pauses
_CONNECT_SECONDS = 5
_READ_SECONDS = 60


def fetch(settings: S3Settings, folder: Path) -> list[Photograph]:
    """Download the pictures below `s3://bucket/prefix/` into `folder`, several at a time.

    Credentials come from boto3's standard chain (environment, profiles, roles), the endpoint from
    `settings.endpoint_url`, else from the chain too (AWS_ENDPOINT_URL).

    Raises:
        UserError: no boto3, no or wrong credentials, no such bucket, no picture below the prefix.
        UnavailableError: the store cannot be reached.
    """
    bucket, _, path = settings.url.removeprefix("s3://").partition("/")
    prefix = f"{path.strip('/')}/" if path.strip("/") else ""
    with _errors_in_one_line(settings, bucket):
        client = _connect(settings)
        keys = _list(client, bucket, prefix)
        if not keys:
            suffixes = ", ".join(sorted(PHOTOGRAPH_SUFFIXES))
            raise UserError(f"data.s3.url: {settings.url}: holds no picture ({suffixes}); check the prefix")
        pool = ThreadPoolExecutor(settings.connections)
        try:
            downloads = [pool.submit(_download, client, bucket, key, prefix, folder) for key in keys]
            finished = progress(as_completed(downloads), total=len(downloads), doing="Downloading")
            return [download.result() for download in finished]
        finally:  # after a failure or Ctrl-C, start no further download
            pool.shutdown(cancel_futures=True)


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
        raise UserError(f"{endpoint}: {_first_line(error)}; must look like https://host:port") from None


def _list(client: Any, bucket: str, prefix: str) -> list[str]:
    """The keys of all pictures below the prefix, page by page."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return [key for key in keys if PurePosixPath(key).suffix.lower() in PHOTOGRAPH_SUFFIXES]


def _download(client: Any, bucket: str, key: str, prefix: str, folder: Path) -> Photograph:
    from boto3.s3.transfer import TransferConfig

    name = key.removeprefix(prefix)
    # A key is any text: one with `..` must not lead out of the folder.
    if name != PurePosixPath(name).as_posix() or name.startswith("/") or ".." in PurePosixPath(name).parts:
        raise UserError(f"s3://{bucket}/{key}: its key is no relative path; rename the object")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    client.download_file(bucket, key, str(path), Config=TransferConfig(use_threads=False))
    return Photograph(name=name, sha256=sha256_of(path), origin=f"s3://{bucket}/{key}")


@contextmanager
def _errors_in_one_line(settings: S3Settings, bucket: str) -> Iterator[None]:
    """Turn what boto3 raises into user errors."""
    try:
        import boto3
        from botocore import exceptions
    except ImportError:
        raise UserError("data.source: s3 needs boto3; run `pip install 'arbiscale[s3]'`") from None
    store = settings.endpoint_url or "the default endpoint"
    try:
        yield
    except exceptions.ClientError as error:
        raise UserError(_refusal(error, settings.url, bucket, store)) from None
    except (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
        exceptions.ProfileNotFound,
        exceptions.SSOError,
        exceptions.TokenRetrievalError,
    ) as error:
        raise UserError(
            f"data.s3.url: {settings.url}: no usable credentials ({_first_line(error)}); "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        ) from None
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        raise UnavailableError(
            f"data.s3.endpoint_url: {store}: cannot be reached ({_first_line(error)}); check the address"
        ) from None
    except (exceptions.BotoCoreError, boto3.exceptions.Boto3Error) as error:
        raise UserError(f"data.s3.url: {settings.url}: {_first_line(error)}") from None


def _refusal(error: ClientError, url: str, bucket: str, store: str) -> str:
    """What a store that answered has refused, and what to do."""
    details = error.response.get("Error", {})
    code = str(details.get("Code", ""))
    reason = ": ".join([code, *str(details.get("Message", "")).splitlines()[:1]])
    if code in {"NoSuchBucket", "404"}:
        return f"data.s3.url: {url}: no bucket {bucket!r} at {store} ({reason}); check both names"
    if code in {"AccessDenied", "AllAccessDisabled", "403"}:
        return f"data.s3.url: {url}: access denied ({reason}); s3:ListBucket and s3:GetObject are needed"
    if code in {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}:
        return f"data.s3.url: {url}: {store} does not accept the credentials ({reason}); renew them"
    return f"data.s3.url: {url}: {store} refuses ({reason})"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
