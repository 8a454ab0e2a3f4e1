"""Concurrent clients of the page's server: no wrong picture, and memory that does not grow.

    python -m benchmarks.clients --clients 8 --seconds 60

Starts a server of the shipped model. Every client keeps a photograph and asks for views of it at random
places and scales. Each view is held against what the model draws in this process.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import random
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from arbiscale import load_model
from arbiscale.imaging.coordinates import Region, Size
from arbiscale.inference.drawing import Drawing

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")
SIDE_PX, VIEW_PX, SCALES = 160, 96, (1.5, 2.7, 4.0, 9.3, 33.0)
START_SECONDS = 120.0
Asked = tuple[str, Size, Region]  # photograph, size of the whole, part


class Clients:
    """What all clients share.

    Attributes:
        port: of the server.
        until: when they stop, of `time.monotonic`.
        answers: what was asked for, and the pixels that came.
        seconds: that each answer took.
    """

    def __init__(self, port: int, seconds: float) -> None:
        self.port = port
        self.until = time.monotonic() + seconds
        self.answers: list[tuple[Asked, NDArray[np.uint8]]] = []
        self.seconds: list[float] = []
        self.failures: list[str] = []

    def run(self, number: int) -> None:
        """One client."""
        try:
            self._ask_on(random.Random(number), PHOTOGRAPHS[number % len(PHOTOGRAPHS)])
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(repr(error))

    def _ask_on(self, chance: random.Random, name: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        kept = json.loads(self._ask(connection, "POST", "/pictures", _png(_photograph(name))))
        while time.monotonic() < self.until:
            side = round(SIDE_PX * chance.choice(SCALES))
            part = (chance.randrange(side - VIEW_PX), chance.randrange(side - VIEW_PX), VIEW_PX, VIEW_PX)
            path = f"/pictures/{kept['picture']}/view?height={side}&width={side}"
            path += "&top={}&left={}&rows={}&columns={}".format(*part)
            began = time.monotonic()
            found = self._ask(connection, "GET", path)
            self.seconds.append(time.monotonic() - began)
            self.answers.append(((name, (side, side), part), np.asarray(Image.open(io.BytesIO(found)))))

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None
    ) -> bytes:
        connection.request(method, path, body)
        answer = connection.getresponse()
        found = answer.read()
        if answer.status >= 300:
            self.failures.append(f"{path}: {answer.status} {found[:200]!r}")
        return found


def _photograph(name: str) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = getattr(data, name)()[:SIDE_PX, :SIDE_PX, :3]
    return pixels


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _start() -> tuple[subprocess.Popen[str], int]:
    """A server, and its port."""
    command = [sys.executable, "-c", "from arbiscale.cli.app import main; main()", "page", "--port", "0"]
    command += ["--no-browser", "--model", "pretrained"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().split()[0]
    port = int(address.rpartition(":")[2])
    patience = time.monotonic() + START_SECONDS
    while time.monotonic() < patience:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
            connection.request("GET", "/health")
            connection.getresponse().read()
            return process, port
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("the server does not start")


def wrong(answers: list[tuple[Asked, NDArray[np.uint8]]]) -> int:
    """How many of the answers differ from what the model draws, in any bit."""
    model = load_model("pretrained", "cpu")
    drawings: dict[str, Drawing] = {}
    count = 0
    for (name, size, part), found in answers:
        if name not in drawings:
            drawings[name] = model.sample(_photograph(name), latent=False)
            drawings[name].hold()
        count += not np.array_equal(drawings[name].region(size, part), found)
    return count


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    process, port = _start()
    try:
        clients = Clients(port, options.seconds)
        threads = [threading.Thread(target=clients.run, args=(number,)) for number in range(options.clients)]
        for thread in threads:
            thread.start()
        memory = []
        while any(thread.is_alive() for thread in threads):
            time.sleep(options.seconds / 12)
            memory.append(round(psutil.Process(process.pid).memory_info().rss / 2**20))
    finally:
        process.terminate()
        process.wait()
    print(f"{options.clients} clients, {options.seconds:g} s: {len(clients.answers)} views")
    print(f"memory: {', '.join(map(str, memory))} MiB")
    if clients.seconds:
        middle, worst = np.percentile(clients.seconds, [50, 100])
        print(f"seconds a view: median {middle:.2f}, longest {worst:.2f}")
    print(f"failures: {len(clients.failures)} {clients.failures[:3]}")
    print(f"wrong pictures: {wrong(clients.answers)}")


if __name__ == "__main__":
    main()
