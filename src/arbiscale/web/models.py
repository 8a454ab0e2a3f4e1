"""Which models draw: the one that is served, found anew when its alias moves, and others beside it."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from arbiscale.errors import first_line
from arbiscale.inference.model import Model
from arbiscale.inference.origin import find_origin
from arbiscale.tracking.versions import SCHEME
from arbiscale.web.refusals import UnknownError

_OTHERS = 2  # that stay loaded
_LOG = logging.getLogger(__name__)

Load = Callable[[str], Model]


@dataclass(frozen=True)
class Choice:
    """A model that may be drawn with.

    Attributes:
        name: that requests ask for it by.
        where: as `load_model` takes it.
        aliases: that point at it.
    """

    name: str
    where: str
    aliases: tuple[str, ...] = ()


class Models:
    """The served model, and those that it is compared with, which are loaded when first asked for.

    Args:
        where: the served model: a folder, `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `pretrained`.
        load: opens a model.
        others: names of further ones.
    """

    def __init__(self, where: str, load: Load, others: Sequence[str] = ()) -> None:
        self.where = where
        self.moves = 0  # how often the alias has moved
        self._load = load
        self._named = [Choice(name, name) for name in others]
        self._kept: OrderedDict[str, Model] = OrderedDict()
        self._loading = threading.Lock()
        self._kept_as_is = ""  # why the alias is not followed now
        self._served = load(where)

    @property
    def served(self) -> Model:
        """The model that draws where no other is named."""
        return self._served

    @property
    def label(self) -> str:
        """The served model, for people: its name, and of an alias the version."""
        origin = self.served.origin
        return f"{self.where}, version {origin.version}" if origin and "@" in self.where else self.where

    def choices(self) -> list[Choice]:
        """What may be drawn with beside the served model: the registry's versions, and those named.

        Raises:
            UserError: the registry does not answer.
        """
        if not self.where.startswith(SCHEME):
            return self._named
        from arbiscale.tracking.address import configured_uri
        from arbiscale.tracking.store import open_store
        from arbiscale.tracking.versions import versions_of

        assert self.served.origin is not None
        versions = versions_of(open_store(configured_uri()), self.served.origin.name)
        return [*self._named, *(Choice(f"{each.number}", each.uri, each.aliases) for each in versions)]

    def named(self, name: str | None) -> Model:
        """The model of a name; None = the served one.

        Raises:
            UnknownError: there is none of that name.
        """
        if name is None:
            return self.served
        with self._loading:
            if name not in self._kept:
                choice = next((each for each in self.choices() if each.name == name), None)
                if choice is None:
                    raise UnknownError(f"model {name!r}: is none of those served; /models lists them")
                self._kept[name] = self._load(choice.where)
            self._kept.move_to_end(name)
            while len(self._kept) > _OTHERS:
                self._kept.popitem(last=False)
            return self._kept[name]

    def refresh(self) -> bool:
        """Load the model anew if the alias points at another version; whether it does.

        A registry that does not answer, or a version that cannot be loaded for whatever reason, leaves the
        model as it is; the log says so once.
        """
        if "@" not in self.where:
            return False
        try:
            found, present = find_origin(self.where), self.served.origin
            moved = present is None or (found.name, found.version) != (present.name, present.version)
            if moved:
                self._served = self._load(self.where)
        except Exception as error:  # also of what loads: no room beside the present model
            if (why := first_line(error)) != self._kept_as_is:
                _LOG.warning("%s: stays as it is (%s)", self.where, why)
            self._kept_as_is = why
            return False
        self._kept_as_is = ""
        self.moves += moved
        return moved
