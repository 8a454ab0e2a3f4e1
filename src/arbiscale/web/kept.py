"""What is kept between requests: pictures that clients sent, and drawings whose latents are ready."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from arbiscale.errors import UserError
from arbiscale.imaging.picture import Picture
from arbiscale.inference.drawing import Drawing
from arbiscale.inference.features import KEPT_BYTES
from arbiscale.inference.model import Model
from arbiscale.inference.requests import Request, Subject, sample
from arbiscale.web.refusals import UnknownError
from arbiscale.web.resized import BICUBIC, Resized

_SIDES = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})", re.ASCII)

_MOST_THINGS = 1000  # however small
_FILE_BYTES = 3  # of a pixel: metadata of as many count as one
_IMAGE_BYTES = 14  # of a pixel: three float32, and whether it is flat

Thing = TypeVar("Thing")


class Newest(Generic[Thing]):
    """The things that were asked for last: as many as a sum of sizes allows, 1,000 at most, one at least."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._things: OrderedDict[Hashable, tuple[Thing, int]] = OrderedDict()

    def get(self, key: Hashable) -> Thing | None:
        """The thing of a key, which becomes the newest."""
        if key not in self._things:
            return None
        self._things.move_to_end(key)
        return self._things[key][0]

    def add(self, key: Hashable, thing: Thing, size: int) -> None:
        """Keep a thing, and forget the oldest ones that leave no room for it."""
        self._things[key] = (thing, size)
        self._things.move_to_end(key)
        while len(self._things) > 1 and (self.size > self._budget or len(self) > _MOST_THINGS):
            self._things.popitem(last=False)

    @property
    def size(self) -> int:
        """The sum."""
        return sum(size for _, size in self._things.values())

    def __len__(self) -> int:
        return len(self._things)


class Gallery:
    """Pictures and drawings; drawings belong to the thread that draws.

    Args:
        kept_px: pixels of the pictures that are kept; their metadata count, too.
        kept_bytes: of what is held to draw them: images, latents, features.
    """

    def __init__(self, kept_px: int, kept_bytes: int) -> None:
        self._subjects: Newest[Subject] = Newest(kept_px)
        self.drawings: Newest[Drawing | Resized] = Newest(kept_bytes)

    def add(self, subject: Subject) -> str:
        """Keep a picture; the name that it is asked for by: its file's sha256."""
        assert subject.source is not None
        assert subject.picture is not None
        identity = subject.source.sha256
        pixels = subject.size[0] * subject.size[1] + _metadata_bytes(subject.picture) // _FILE_BYTES
        self._subjects.add(identity, subject, pixels)
        return identity

    def subject(self, identity: str) -> Subject:
        """A picture by its sha256, or `HEIGHTxWIDTH`, the proportions of a generated one.

        Raises:
            UnknownError: it is not kept.
        """
        sides = _SIDES.fullmatch(identity)
        if sides:
            return Subject((int(sides[1]), int(sides[2])))
        found = self._subjects.get(identity)
        if found is None:
            raise UnknownError("no picture of that name is kept; send it to /pictures")
        return found

    def drawing(self, model: Model, identity: str, subject: Subject, request: Request) -> Drawing:
        """A subject whose latent is sampled once, and whose features are held once they are computed.

        Args:
            model: that draws it.
            identity: of the subject.
            subject: what is drawn.
            request: how.
        """
        needed = model.share_of_branch(request.fidelity) < 1
        sampled = (request.seed, request.steps, request.sampler) if needed and model.timesteps else ()
        key = (model, identity, needed, sampled)
        drawing = self.drawings.get(key)
        if not isinstance(drawing, Drawing):
            drawing = sample(model, subject, request)
            drawing.hold()
            self.drawings.add(key, drawing, _bytes(model, drawing))
        drawing.seed = request.seed
        return drawing

    def resized(self, identity: str, subject: Subject) -> Resized:
        """A picture that is resized as bicubic interpolation does.

        Raises:
            UserError: it is a generated one, of which there is none to resize.
        """
        if subject.picture is None:
            raise UserError(f"{BICUBIC}: a generated picture has no original to resize")
        found = self.drawings.get(identity)
        if not isinstance(found, Resized):
            found = Resized(subject.picture)
            self.drawings.add(identity, found, _IMAGE_BYTES * subject.size[0] * subject.size[1])
        return found


def _metadata_bytes(picture: Picture) -> int:
    metadata = picture.metadata
    parts = [metadata.exif, metadata.icc_profile or b"", metadata.xmp, metadata.iptc, metadata.comment]
    return sum(map(len, (*parts, *metadata.text, *metadata.text.values())))


def _bytes(model: Model, drawing: Drawing) -> int:
    """About what a drawing comes to hold: image, latent, and the features of one or two drawings."""
    held, read = 0, 0
    if drawing.picture is not None:
        read = drawing.picture.size[0] * drawing.picture.size[1]
        held = _IMAGE_BYTES * read + _metadata_bytes(drawing.picture)
    if drawing.latent is not None:
        read = drawing.latent.shape[-2] * drawing.latent.shape[-1]
        held += drawing.latent.nbytes
    sources = 1 + (model.has_branch and drawing.latent is not None)
    return held + sources * min(KEPT_BYTES, 4 * model.head.features * read)
