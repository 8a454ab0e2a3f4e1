"""The chunks of a PNG file (ISO/IEC 15948): checked, what some say of its colours, and its texts."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from mmap import mmap

from arbiscale.imaging.formats.profiles import (
    LINEAR,
    REC_709,
    SRGB_CURVE,
    SRGB_PRIMARIES,
    Curve,
    make_profile,
)

_SIGNATURE_BYTES = 8
HEADER_BYTES = 33  # the signature, and the chunk that comes first
_PRIMARIES = {  # of cICP (ITU-T H.273, table 2): white, red, green, blue
    1: SRGB_PRIMARIES,
    9: ((0.3127, 0.329), (0.708, 0.292), (0.17, 0.797), (0.131, 0.046)),
    12: ((0.3127, 0.329), (0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
}
_CURVES: dict[int, Curve] = {1: REC_709, 6: REC_709, 8: LINEAR, 13: SRGB_CURVE, 14: REC_709, 15: REC_709}


def sound(data: bytes) -> tuple[bytes, list[str]]:
    """A PNG file without chunks that are damaged and not needed, and what was left out.

    Raises:
        ValueError: a chunk that is needed is damaged, or the end is missing.
    """
    kept, problems = [data[:_SIGNATURE_BYTES]], []
    ended = False
    for kind, body, whole in _chunks(data):
        if whole:
            kept.append(chunk(kind, body))
            ended = ended or kind == b"IEND"
            if kind == b"acTL":
                problems.append("is animated: only the first frame is read")
        elif kind[:1].isupper() or not kind.isalpha():
            raise ValueError(f"its chunk {kind.decode('latin-1')!r} is damaged; replace or remove it")
        else:
            problems.append(f"its chunk {kind.decode('latin-1')} is damaged and was left out")
    if not ended:
        raise ValueError("is truncated; replace or remove it")
    return b"".join(kept), problems


def colour_profile(data: bytes) -> bytes | None:
    """An ICC profile of what cICP, or gAMA and cHRM, say; None where they say sRGB, or iCCP or sRGB decide.

    Raises:
        ValueError: colours of high dynamic range, or other ones that have no such profile.
    """
    found = {kind: body for kind, body, _ in _chunks(data) if kind in _ABOUT_COLOUR}
    grey = data[25] in {0, 4}
    if len(body := found.get(b"cICP", b"")) == 4:
        primaries, transfer = _PRIMARIES.get(body[0]), _CURVES.get(body[1])
        if primaries is None or transfer is None:
            raise ValueError(
                f"colours of cICP {body[0]}/{body[1]}, such as HDR, are not read: save it as sRGB"
            )
        is_srgb = (body[0], body[1]) == (1, 13)
        return None if is_srgb else make_profile(primaries, transfer, grey=grey)
    if found.keys() & {b"iCCP", b"sRGB"} or len(found.get(b"gAMA", b"")) != 4:
        return None
    gamma = struct.unpack(">I", found[b"gAMA"])[0] / 100_000
    corners = SRGB_PRIMARIES
    if len(body := found.get(b"cHRM", b"")) == 32:
        numbers = [each / 100_000 for each in struct.unpack(">8I", body)]
        corners = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    near = all(
        abs(a - b) < 0.002
        for one, two in zip(corners, SRGB_PRIMARIES, strict=True)
        for a, b in zip(one, two, strict=True)
    )
    if not 0.05 <= gamma <= 5 or (abs(gamma - 1 / 2.2) < 0.01 and near):  # nonsense, or as good as sRGB
        return None
    curve = (1 / gamma, 1, 0, 0, 0)
    try:
        return make_profile(corners, curve, grey=grey)
    except ValueError:  # primaries that are none
        return make_profile(SRGB_PRIMARIES, curve, grey=grey)


_ABOUT_COLOUR = frozenset({b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP"})

_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_NO_TEXTS = (b"XML:com.adobe.xmp", b"Raw profile type ")  # the latter of the size and orientation of old
_TEXT_BYTES = 1 << 26  # of all together, unpacked; what is beyond them is left out
_LONGEST_KEY = 79


def texts(data: bytes | mmap) -> dict[str, str]:
    """What a PNG file says before its pixels, by keys."""
    found, left = dict[str, str](), _TEXT_BYTES
    for kind, body, whole in _chunks(data):
        if kind == b"IDAT":
            break
        key, _, rest = body.partition(b"\0")
        if whole and kind in _TEXTS and key and not key.startswith(_NO_TEXTS):
            with suppress(zlib.error):
                content = _unpacked(kind, rest, left)
                left -= len(content)
                found[key.decode("latin-1")] = _decoded(content)
    return found


def _unpacked(kind: bytes, rest: bytes, most: int) -> bytes:
    """The text behind a key; raises zlib.error where it is damaged, or of more bytes."""
    packed = rest[:1] == b"\1" if kind == b"iTXt" else kind == b"zTXt"
    content = rest[2:].split(b"\0", 2)[-1] if kind == b"iTXt" else rest[packed:]
    if packed:
        content = zlib.decompressobj().decompress(content, most + 1)
    if len(content) > most:
        raise zlib.error
    return content


def _decoded(content: bytes) -> str:
    """UTF-8, which some write where Latin-1 belongs, else that."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def text_chunk(key: str, text: str) -> bytes:
    """A text as a chunk, in UTF-8."""
    return chunk(b"iTXt", key.encode("latin-1", "replace")[:_LONGEST_KEY] + b"\0\0\0\0\0" + text.encode())


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _chunks(data: bytes | mmap) -> Iterator[tuple[bytes, bytes, bool]]:
    """Kind, content, and whether the checksum holds, of each chunk to the end of the picture."""
    start, kind = _SIGNATURE_BYTES, b""
    while start + 12 <= len(data) and kind != b"IEND":
        (length,) = struct.unpack_from(">I", data, start)
        kind, body = data[start + 4 : start + 8], data[start + 8 : start + 8 + length]
        if start + 12 + length > len(data):
            return
        check = data[start + 8 + length : start + 12 + length]
        yield kind, body, check == struct.pack(">I", zlib.crc32(kind + body))
        start += 12 + length
