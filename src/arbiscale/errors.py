"""Errors that a user can cause and fix: shown as one line, with exit code 2, never as a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = {  # of pyproject.toml, with the modules that their packages bring
    "train": [
        "albumentations",
        "cv2",
        "dvc",
        "imagehash",
        "jinja2",
        "lpips",
        "markupsafe",
        "matplotlib",
        "mlflow",
        "pandas",
        "pyarrow",
        "pynvml",
        "pytorch_lightning",
        "scipy",
        "skimage",
        "sklearn",
        "torch_fidelity",
        "torchmetrics",
        "torchvision",
    ],
    "lsun": ["lmdb"],
    "s3": ["boto3", "botocore", "dvc_s3", "s3fs"],
    "film": ["imageio_ffmpeg"],
    "peers": ["spandrel"],
    "ray": ["ray"],
    "no-reference": ["piq"],
    "serve": ["fastapi", "prometheus_client", "starlette", "uvicorn"],
}


class UserError(Exception):
    """What went wrong and what to do about it, in one line naming the file or key."""

    def __init__(self, message: str = "") -> None:
        """One from a data loader's process comes as torch tells it: at the end of a traceback."""
        own = type(self)
        super().__init__(message.rpartition(f"{own.__module__}.{own.__qualname__}: ")[2].rstrip("\n"))


class UnavailableError(UserError):
    """Something outside the project (network weights, a server, a package) is not available now."""


class StateMismatchError(UserError):
    """A paused state holds tensors of other names or shapes than the networks that it should continue."""


@contextmanager
def extras_named() -> Iterator[None]:
    """Turn the failed import of an optional package into a message that names the extra.

    Raises:
        UserError: a package of an extra is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        for extra, modules in EXTRAS.items():
            if package in modules:
                raise UserError(f"this needs {package}; run `pip install 'arbiscale[{extra}]'`") from None
        raise


def first_line(error: BaseException) -> str:
    """Of an error's message; its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
