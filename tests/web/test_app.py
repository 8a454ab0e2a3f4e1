"""What a server answers, over a real socket."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbiscale.imaging.provenance import read_record
from arbiscale.imaging.reading import read_metadata
from arbiscale.inference.model import Model
from arbiscale.web.kept import Newest

from .conftest import PIXELS, Client, pixels, png

Serve = Callable[..., Client]


def test_a_picture_is_upscaled_by_two_factors(serve: Serve, upscaler: Model) -> None:
    client = serve(upscaler)
    status, data = client.ask("/upscale?scale=2.5x3.1&seed=3", png())
    assert status == 200
    np.testing.assert_array_equal(pixels(data), upscaler.upscale(PIXELS, scale=(2.5, 3.1), seed=3))


def test_an_answer_says_what_drew_it(serve: Serve, upscaler: Model, tmp_path: Path) -> None:
    headers = {"X-File-Name": "..%2F..%2Fetc%2Fz%C3%BCrich.png"}
    _, data = serve(upscaler).ask("/upscale?scale=2&steps=1&format=jpg", png(), **headers)
    (tmp_path / "out.jpg").write_bytes(data)
    record = read_record(read_metadata(tmp_path / "out.jpg"))
    assert (record["input"], record["size"], record["steps"]) == ("zürich.png", "18x24", "1")


def test_several_sizes_come_of_one_latent(
    serve: Serve, upscaler: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, sampled = serve(upscaler), []
    sample = upscaler.sample

    def counted(*arguments: object, **options: object) -> object:
        sampled.append(1)
        return sample(*arguments, **options)

    monkeypatch.setattr(upscaler, "sample", counted)
    kept = client.json("/pictures", png())
    assert (kept["height"], kept["width"]) == (9, 12)
    for scale in (2.0, 3.3, 0.5):
        _, data = client.ask(f"/pictures/{kept['picture']}?scale={scale}&seed=4")
        drawn = pixels(data)
        assert len(sampled) == 1
        np.testing.assert_array_equal(
            drawn, sample(PIXELS, seed=4).draw((round(9 * scale), round(12 * scale)))
        )


def test_a_view_is_that_part_of_the_whole(serve: Serve, upscaler: Model) -> None:
    client = serve(upscaler)
    where = f"/pictures/{client.json('/pictures', png())['picture']}"
    whole = pixels(client.ask(f"{where}?height=90&width=120")[1])
    view = pixels(client.ask(f"{where}/view?height=90&width=120&top=20&left=30&rows=40&columns=50")[1])
    np.testing.assert_array_equal(view, whole[20:60, 30:80])
    deep = f"{where}/view?height=900000&width=1200000&top=400000&left=500000&rows=4&columns=5"
    assert pixels(client.ask(deep)[1]).shape == (4, 5, 3)


def test_bicubic_is_a_model_to_compare_with(serve: Serve, upscaler: Model) -> None:
    client = serve(upscaler)
    where = f"/pictures/{client.json('/pictures', png())['picture']}"
    whole = pixels(client.ask(f"{where}?scale=1&model=bicubic")[1])
    np.testing.assert_array_equal(whole, PIXELS)
    assert client.refused("/pictures/9x12?scale=1&model=bicubic")[0] == 422


def test_pictures_are_generated(serve: Serve, generator: Model) -> None:
    client = serve(generator)
    ((expected,),) = generator.generate([(16, 24)], seed=14)
    for path in ("/generate?height=16&width=24&seed=14", "/pictures/16x24?scale=1&seed=14"):
        np.testing.assert_array_equal(pixels(client.ask(path)[1]), expected)
    view = "/pictures/16x24/view?height=32&width=48&top=4&left=5&rows=6&columns=7&seed=14"
    assert pixels(client.ask(view)[1]).shape == (6, 7, 3)
    assert "no scale" in client.refused("/generate?scale=2")[1]


def test_clients_of_mlflow_are_answered(serve: Serve, upscaler: Model) -> None:
    text = base64.b64encode(png()).decode()
    body = {"inputs": [text], "params": {"scale": 2.0, "seed": 1}}
    table = {"dataframe_split": {"columns": ["image"], "data": [[text]]}, "params": body["params"]}
    client = serve(upscaler)
    for given in (body, table):
        (drawn,) = client.json("/invocations", json.dumps(given).encode())["predictions"]
        expected = upscaler.upscale(PIXELS, scale=2.0, seed=1)
        np.testing.assert_array_equal(pixels(base64.b64decode(drawn)), expected)


def test_health_metrics_and_work(serve: Serve, upscaler: Model) -> None:
    client = serve(upscaler)
    assert client.json("/health")["status"] == "ok"
    assert client.json("/model")["task"] == "super_resolution"
    assert client.json("/work") == {"waiting": 0}
    client.ask("/upscale?scale=2", png())
    client.ask("/nothing")
    text = client.ask("/metrics")[1].decode()
    assert 'arbiscale_requests_total{path="/upscale",status="200"} 1.0' in text
    assert 'arbiscale_requests_total{path="none",status="404"} 1.0' in text
    assert "# TYPE arbiscale_drawn_pixels_total counter\narbiscale_drawn_pixels_total 432.0" in text
    assert "# TYPE arbiscale_waiting gauge\narbiscale_waiting 0.0" in text


def test_concurrent_clients_get_their_own_pictures(serve: Serve, upscaler: Model) -> None:
    client = serve(upscaler)
    sources = [np.roll(PIXELS, shift, axis=1) for shift in range(6)]
    expected = [upscaler.upscale(each, scale=2.0) for each in sources]
    with ThreadPoolExecutor(6) as pool:
        answers = pool.map(lambda index: client.ask("/upscale?scale=2", png(sources[index % 6])), range(24))
        for index, (status, data) in enumerate(answers):
            assert status == 200
            np.testing.assert_array_equal(pixels(data), expected[index % 6])


def held(client: Client) -> threading.Event:
    """Keeps the drawing thread busy until it is set."""
    free = threading.Event()
    client.service.worker._thread.submit(free.wait)
    return free


def test_equal_requests_are_drawn_once(serve: Serve, upscaler: Model) -> None:
    client = serve(upscaler)
    free = held(client)
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(client.ask, "/upscale?scale=2", png()) for _ in range(5)]
        while client.service.worker.shared < 4:
            time.sleep(0.01)
        free.set()
        assert len({answer.result() for answer in answers}) == 1
    assert client.service.pixels == 18 * 24


def test_a_full_queue_and_a_long_one_are_refused(serve: Serve, upscaler: Model) -> None:
    client = serve(upscaler, waiting=1, seconds=0.3)
    free = held(client)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.refused, "/upscale?scale=2", png())
        while not client.service.worker.jobs:
            time.sleep(0.01)
        assert client.refused("/upscale?scale=3", png())[0] == 429
        time.sleep(0.4)
        free.set()
        status, line = first.result()
    assert (status, line) == (429, "others came first for 0.3 s; try again later")
    assert client.ask("/upscale?scale=2", png())[0] == 200


def test_a_drawing_that_takes_too_long_is_ended(
    serve: Serve, upscaler: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(upscaler, seconds=0.2)
    sample = upscaler.sample
    monkeypatch.setattr(upscaler, "sample", lambda *a, **o: (time.sleep(0.3), sample(*a, **o))[1])
    assert (
        client.refused("/upscale?scale=2", png())[1]
        == "the drawing took too long; ask for fewer pixels or steps"
    )
    assert client.json("/health")["status"] == "ok"


def test_what_mlflows_clients_ask_for_is_ended_too(serve: Serve, upscaler: Model) -> None:
    client = serve(upscaler, seconds=0.2)
    body = {"inputs": [base64.b64encode(png()).decode()] * 16, "params": {"height": 2000, "width": 2000}}
    began = time.monotonic()
    assert "took too long" in client.refused("/invocations", json.dumps(body).encode())[1]
    assert time.monotonic() - began < 5
    assert 0 < client.service.pixels < 16 * 2000 * 2000


def test_a_client_that_goes_ends_its_drawing(serve: Serve, upscaler: Model) -> None:
    client = serve(upscaler)
    free = held(client)
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        body = png()
        head = f"POST /upscale?scale=2 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        while not client.service.worker.jobs:
            time.sleep(0.01)
    while client.service.worker.jobs:
        time.sleep(0.01)
    free.set()
    assert client.service.pixels == 0


def test_only_what_fits_is_kept(serve: Serve, upscaler: Model) -> None:
    client = serve(upscaler, kept_px=2 * 9 * 12)
    names = [client.json("/pictures", png(np.roll(PIXELS, shift, 1)))["picture"] for shift in range(3)]
    assert client.refused(f"/pictures/{names[0]}?scale=1") == (
        404,
        "no picture of that name is kept; send it to /pictures",
    )
    for name in names[1:]:
        assert client.ask(f"/pictures/{name}?scale=1")[0] == 200
    assert client.refused("/pictures", png(np.zeros((20, 20, 3), np.uint8)))[0] == 422


def test_metadata_count_as_what_is_kept(serve: Serve, upscaler: Model) -> None:
    """Pictures of a few pixels and 40 MB of XMP were all kept."""
    client = serve(upscaler, kept_px=10_000)
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "JPEG", comment=bytes(range(32, 127)) * 400)
    (heavy, plain) = (client.json("/pictures", data)["picture"] for data in (stream.getvalue(), png()))
    assert client.refused(f"/pictures/{heavy}?scale=1")[0] == 404
    assert client.ask(f"/pictures/{plain}?scale=1")[0] == 200


def test_ever_so_small_things_are_counted() -> None:
    kept: Newest[int] = Newest(10)
    for number in range(1100):
        kept.add(number, number, 0)
    assert len(kept) == 1000
    assert kept.get(99) is None
    assert kept.get(100) == 100


def test_other_models_are_drawn_with_by_name(
    serve: Serve, upscaler: Model, latent_model: Callable[..., Model]
) -> None:
    other = latent_model(steps=1)
    client = serve(upscaler, others=("other",), load=lambda name: other if name == "other" else upscaler)
    assert client.json("/models") == [{"name": "other", "aliases": []}]
    assert client.json("/model?model=other")["where"] == "other"
    assert client.refused("/model?model=another")[0] == 404
    drawn = pixels(client.ask("/upscale?scale=2&model=other", png())[1])
    np.testing.assert_array_equal(drawn, other.upscale(PIXELS, scale=2.0))


def test_views_of_a_picture_that_is_cut_into_tiles_are_those_of_the_whole(
    serve: Serve, upscaler: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiling = upscaler.tiling
    monkeypatch.setattr(upscaler, "tiling", lambda size, tile: tiling(size, 32))
    client = serve(upscaler)
    large = np.tile(PIXELS, (8, 8, 1))
    where = f"/pictures/{client.json('/pictures', png(large))['picture']}"
    views = {
        (top, left): pixels(
            client.ask(f"{where}/view?height=144&width=192&top={top}&left={left}&rows=20&columns=30")[1]
        )
        for top, left in ((110, 140), (0, 0), (60, 70))
    }
    whole = pixels(client.ask(f"{where}?scale=2")[1])
    for (top, left), view in views.items():
        np.testing.assert_array_equal(view, whole[top : top + 20, left : left + 30])
