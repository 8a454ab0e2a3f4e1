"""Photographs from an S3-compatible store: moto's server, and a proxy that misbehaves."""

import hashlib
import io
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbiscale.config.data import S3Settings
from arbiscale.data.index import open_index
from arbiscale.data.manifest import Record
from arbiscale.data.scan import scan
from arbiscale.data.sources.s3 import Bucket
from arbiscale.errors import UnavailableError, UserError

boto3 = pytest.importorskip("boto3")
moto = pytest.importorskip("moto.server")

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(autouse=True)
def _own_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the tester's credentials nor their configuration."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name in CREDENTIALS:
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A store with a bucket of pictures and other things, listed three keys a page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
        server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        client.create_bucket(Bucket="pictures")
        for number in range(8):
            client.put_object(Bucket="pictures", Key=f"photos/deep/{number}.png", Body=picture(number))
        for key in ("photos/readme.txt", "photos/", "photos-2/other.png", "top.PNG", "unsafe/../up.png"):
            client.put_object(Bucket="pictures", Key=key, Body=picture(99))
        yield url
        server.stop()


def picture(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def settings(endpoint: str | None, url: str = "s3://pictures/photos", connections: int = 4) -> S3Settings:
    return S3Settings(url=url, endpoint_url=endpoint, connections=connections)


def scanned(endpoint: str, folder: Path) -> Record:
    with open_index(folder / "index.db") as index:
        return scan(Bucket(settings(endpoint)), folder / "raw", index, "code")[0]


@pytest.mark.parametrize("url", ["s3://pictures/photos", "s3://pictures/photos/"])
def test_every_picture_below_the_prefix_is_listed_and_read(endpoint: str, url: str):
    source = Bucket(settings(endpoint, url))
    listed = source.list().entries
    assert [entry.name for entry in listed] == [f"deep/{number}.png" for number in range(8)]
    for entry in listed:
        content = picture(int(Path(entry.name).stem))
        assert source.read(entry.name) == content
        assert (entry.size, entry.origin) == (len(content), f"s3://pictures/photos/{entry.name}")
        assert entry.stamp == hashlib.md5(content).hexdigest()  # S3's ETag of what was put at once


def test_endpoint_from_the_environment(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert len(Bucket(settings(None, "s3://pictures/photos-2")).list().entries) == 1


def test_a_key_that_is_no_relative_path_is_rejected(endpoint: str):
    listing = Bucket(settings(endpoint, "s3://pictures")).list()
    (rejected,) = listing.rejected
    assert (rejected.source, rejected.reason) == (
        "unsafe/../up.png",
        "its key is no relative path; rename the object",
    )
    assert len(listing.entries) == 10


def test_what_a_folder_leaves_out_is_left_out_here_too(endpoint: str):
    client = boto3.client("s3", endpoint_url=endpoint)
    for key in ("._1.png", ".thumbnails/1.png", "1.png", "notes.txt"):
        client.put_object(Bucket="pictures", Key=f"hidden/.own/{key}", Body=picture(1))
    listing = Bucket(settings(endpoint, "s3://pictures/hidden/.own")).list()
    assert [each.name for each in listing.entries] == ["1.png"]
    assert listing.left_out == "left out: 2 hidden (._1.png, 1.png); 1 of other suffixes (notes.txt)"


def test_an_object_that_cannot_be_read_is_named(endpoint: str, tmp_path: Path):
    client = boto3.client("s3", endpoint_url=endpoint)
    for number in range(2):
        client.put_object(Bucket="pictures", Key=f"fading/{number}.png", Body=picture(number))
    source = Bucket(settings(endpoint, "s3://pictures/fading"))
    listing = source.list()
    client.delete_object(Bucket="pictures", Key="fading/0.png")
    source.list = lambda: listing  # deleted since
    with open_index(tmp_path / "index.db") as index:
        record, _ = scan(source, tmp_path / "raw", index, "code")
    assert [(each.source, each.reason) for each in record.rejected] == [("0.png", "is gone")]
    client.put_object(Bucket="pictures", Key="fading/1.png", Body=picture(1), StorageClass="GLACIER")
    with pytest.raises(
        UserError, match=r"^data\.s3\.url: s3://pictures/fading/1\.png: is archived \(InvalidObjectState"
    ):
        source.read("1.png")


def test_only_what_changed_is_transferred(proxied, endpoint: str, tmp_path: Path):
    proxy = proxied(lambda path, nth: None)
    client = boto3.client("s3", endpoint_url=endpoint)
    for number in range(3):
        client.put_object(Bucket="pictures", Key=f"changing/{number}.png", Body=picture(number))
    source = Bucket(settings(proxy.url, "s3://pictures/changing"))
    with open_index(tmp_path / "index.db") as index:
        scan(source, tmp_path / "raw", index, "code")
        client.delete_object(Bucket="pictures", Key="changing/0.png")
        client.put_object(Bucket="pictures", Key="changing/1.png", Body=picture(7))
        client.put_object(Bucket="pictures", Key="changing/3.png", Body=b"damaged")
        proxy.seen.clear()
        record, found = scan(source, tmp_path / "raw", index, "code")
    assert str(found) == "+1, -1, 1 changed"
    assert [each.name for each in record.photographs] == ["1.png", "2.png"]
    assert [each.source for each in record.rejected] == ["3.png"]
    transferred = {path.rpartition("/")[2] for path in proxy.seen if path.startswith("GET /pictures/")}
    assert transferred == {"1.png", "3.png"}


def test_refusals_in_one_line(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def message(*arguments: str | None) -> str:
        with pytest.raises(UserError) as caught:
            Bucket(settings(*arguments)).list()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "holds no picture (.avif, .bmp," in message(endpoint, "s3://pictures/nothing")
    assert "no bucket 'absent' at" in message(endpoint, "s3://absent/photos")
    assert message("no-scheme:9000").endswith("must look like https://host:port")
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE" in message(endpoint)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "profile (nobody) could not be found" in message(endpoint)


def test_missing_boto3_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(UserError, match=r"needs boto3; run `pip install 'arbiscale\[s3\]'`"):
        Bucket(settings("http://127.0.0.1:1")).list()


class Proxy(ThreadingHTTPServer):
    """Passes requests on, unless `before(path, nth request)` gives (status, error code), "cut" or "alter"."""

    def __init__(self, target: str, before) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.before = target, before
        self.seen: Counter[str] = Counter()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        self.server.seen[f"{self.command} {self.path}"] += 1
        refusal = self.server.before(self.path, self.server.seen[f"{self.command} {self.path}"])
        if isinstance(refusal, tuple):
            status, code = refusal
            body = f"<Error><Code>{code}</Code><Message>said the store</Message></Error>".encode()
            headers = {}
        else:
            request = urllib.request.Request(f"{self.server.target}{self.path}", method=self.command)
            for name in self.headers:
                if name.lower() == "authorization" or name.lower().startswith("x-amz-"):
                    request.add_header(name, self.headers[name])
            with urllib.request.urlopen(request) as response:
                status, body, headers = response.status, response.read(), dict(response.headers)
        self.send_response(status)
        for name in headers:
            if name.lower() in ("content-type", "etag", "last-modified") or name.lower().startswith("x-amz-"):
                self.send_header(name, headers[name])
        self.send_header("Content-Length", headers.get("Content-Length", str(len(body))))
        self.end_headers()
        if refusal == "alter":
            body = bytes([body[0] ^ 1]) + body[1:]
        if self.command == "GET":
            self.wfile.write(body[: len(body) // 2] if refusal == "cut" else body)

    do_HEAD = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def proxied(endpoint: str) -> Iterator:
    """Start a proxy before the store."""
    proxies = []

    def start(before) -> Proxy:
        proxies.append(Proxy(endpoint, before))
        threading.Thread(target=proxies[-1].serve_forever, daemon=True).start()
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.shutdown()
        proxy.server_close()


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)


@pytest.mark.usefixtures("_no_pauses")
def test_passing_failures_are_retried(proxied, tmp_path: Path):
    proxy = proxied(lambda path, nth: (503, "SlowDown") if nth <= 2 else None)
    assert len(scanned(proxy.url, tmp_path).photographs) == 8
    assert max(proxy.seen.values()) == 3


@pytest.mark.parametrize("fault", ["cut", "alter"])
def test_what_is_cut_or_altered_is_fetched_again_alone(proxied, tmp_path: Path, fault: str):
    def spoil(path: str, nth: int) -> str | None:
        return fault if "deep/5.png" in path and nth == 1 else None

    proxy = proxied(spoil)
    assert Bucket(settings(proxy.url)).read("deep/5.png") == picture(5)
    assert scanned(proxy.url, tmp_path).rejected == []
    assert [count for path, count in proxy.seen.items() if path.endswith("deep/4.png")] == [1, 1]
    always = proxied(lambda path, nth: fault if "deep/5.png" in path else None)
    with pytest.raises(UserError, match=r"^data\.s3\.url: s3://pictures/photos/deep/5\.png: ") as caught:
        Bucket(settings(always.url)).read("deep/5.png")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("_no_pauses")
def test_lasting_failures_are_reported(proxied, tmp_path: Path):
    def fail_on_objects(path: str, nth: int):
        return (503, "SlowDown") if "5.png" in path else None

    with pytest.raises(
        UserError, match=r"data\.s3\.url: s3://pictures/photos/deep/5\.png: .* refuses \(503"
    ) as caught:
        scanned(proxied(fail_on_objects).url, tmp_path)
    assert "\n" not in str(caught.value)
    denied = proxied(lambda path, nth: (403, "AccessDenied"))
    with pytest.raises(UserError, match=r"access denied \(AccessDenied: said the store\); s3:ListBucket"):
        scanned(denied.url, tmp_path)
    unknown = proxied(lambda path, nth: (403, "InvalidAccessKeyId"))
    with pytest.raises(UserError, match=r"does not accept the credentials .*; renew them"):
        scanned(unknown.url, tmp_path)


@pytest.mark.usefixtures("_no_pauses")
def test_unreachable_store(proxied, tmp_path: Path):
    closed = proxied(None)
    closed.shutdown()
    closed.server_close()
    with pytest.raises(UnavailableError, match=rf"data\.s3\.endpoint_url: {closed.url}: cannot be reached"):
        scanned(closed.url, tmp_path)


def test_downloads_run_at_the_same_time(proxied, tmp_path: Path):
    together = threading.Barrier(4, timeout=10)

    def wait_for_the_others(path: str, nth: int) -> None:
        if path.startswith("/pictures/photos/") and nth == 1:
            together.wait()  # breaks, and the download with it, unless four are under way

    assert len(scanned(proxied(wait_for_the_others).url, tmp_path).photographs) == 8
