"""One image of a plan becomes the pictures that are written. Decodes and computes; writes nothing."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_tui.dataset.buckets import Size
from lora_tui.dataset.prepare.geometry import Fitted, crop_box
from lora_tui.dataset.prepare.options import RANDOM, Options, colour
from lora_tui.dataset.prepare.pixels import Source, in_srgb, open_source
from lora_tui.dataset.prepare.plan import Item, Piece
from lora_tui.dataset.prepare.subject import Face, best_place
from lora_tui.keyed import keyed_seed

if TYPE_CHECKING:
    from PIL.Image import Image

GAP = 3.0
"""Pictures that are shrunk more than this many times are first averaged down to it: less than a quarter of a grey level
apart from doing without, and several times quicker."""
PNG_LEVEL = 4
"""Files one in a hundred larger than at Pillow's own level, in half the time."""
FULL_COLOUR_FROM = 90
"""Quality from which JPEG keeps colour in full resolution."""
SUBJECT_SIDE = 512
"""A picture that a neural network looks at is decoded with this many px on its longer side, or more."""

Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Tools:
    """Neural networks that help, each optional.

    Attributes:
        subject: from an RGB picture to how much of the subject each pixel is (L, the same size).
        faces: from an RGB picture to the faces in it.
    """

    subject: Callable[[Image], Image] | None = None
    faces: Callable[[Image], Sequence[Face]] | None = None


NO_TOOLS = Tools()


@dataclass(frozen=True)
class Made:
    """A picture that is to be written: RGB of its place's size, its mask if any (L), and what of the image it shows.

    ``box`` are the corners, px of the image as it is shown; ``ground`` is the colour below transparent pixels.
    """

    piece: Piece
    picture: Image
    mask: Image | None
    box: Corners
    ground: tuple[int, int, int]


def make(item: Item, options: Options, tools: Tools = NO_TOOLS) -> Iterator[Made]:
    """The pictures of an item, in the order of its pieces.

    Raises:
        UserError: the image or its mask cannot be decoded, or is another one than when the plan was made.
    """
    from PIL.Image import Transpose

    facts = item.image.facts
    source = open_source(item.image.path, at_least=_enough(item, options), planned=facts)
    ground = ground_of(item.key, options)
    found, faces = _look(source, tools, wanted=_seeks_subject(item, options))
    masks = None if item.mask is None else _open_mask(item)
    picture: Image | None = None
    mask: Image | None = None
    box: Corners = (0, 0, 0, 0)
    for piece in item.pieces:
        if not piece.flipped or picture is None:
            box = _box(found, piece.fitted, faces, options)
            picture = render(found, piece.fitted, box, options, ground)
            mask = None if masks is None else render_mask(masks, piece.fitted, box)
        if piece.flipped:
            side = Transpose.FLIP_LEFT_RIGHT
            yield Made(piece, picture.transpose(side), mask and mask.transpose(side), box, ground)
        else:
            yield Made(piece, picture, mask, box, ground)


def render(source: Source, fitted: Fitted, box: Corners, options: Options, ground: tuple[int, int, int]) -> Image:
    """The part ``box`` of a picture in its place: RGB."""
    from PIL import Image

    content = in_srgb(_scaled(source, fitted.content, box, Image.Resampling.LANCZOS), source.profile)
    if content.mode == "RGBA":
        below = Image.new("RGBA", content.size, (*ground, 255))
        content = Image.alpha_composite(below, content).convert("RGB")
    if fitted.content == fitted.size:
        return content
    return _padded(content, fitted, options.pad, ground)


def render_mask(source: Source, fitted: Fitted, box: Corners) -> Image:
    """The same part of a mask in its place, L; what is padded is not masked in."""
    from PIL import Image

    content = _scaled(source, fitted.content, box, Image.Resampling.BILINEAR).convert("L")
    if fitted.content == fitted.size:
        return content
    place = Image.new("L", (fitted.size.width, fitted.size.height), 0)
    place.paste(content, (fitted.left, fitted.top))
    return place


def encode(picture: Image, options: Options) -> bytes:
    """The bytes of a picture's file, without any metadata: what a decoder has noted would be written along."""
    buffer = io.BytesIO()
    picture.info = {}
    if options.format == "jpeg":
        colours = 0 if options.quality >= FULL_COLOUR_FROM else 2
        picture.save(buffer, "JPEG", quality=options.quality, subsampling=colours)
    elif options.format == "webp":
        picture.save(buffer, "WEBP", quality=options.quality, lossless=options.quality == 100, method=4)
    else:
        picture.save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()


def encode_mask(mask: Image) -> bytes:
    """The bytes of a mask's file."""
    buffer = io.BytesIO()
    mask.info = {}
    mask.save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()


def ground_of(key: str, options: Options) -> tuple[int, int, int]:
    """The colour below the transparent pixels of the image ``key``; a random one is always the same for it."""
    if options.background != RANDOM:
        return colour(options.background)
    drawn = keyed_seed("background", options.seed, key)
    return drawn & 255, drawn >> 8 & 255, drawn >> 16 & 255


def _enough(item: Item, options: Options) -> Size:
    """The size, of the whole image as it is shown, at which every piece is shrunk or as it is."""
    facts = item.image.facts
    across = max(piece.fitted.content.width / piece.fitted.kept[0] for piece in item.pieces)
    down = max(piece.fitted.content.height / piece.fitted.kept[1] for piece in item.pieces)
    scale = max(across, down)
    if options.heavy:
        scale = max(scale, SUBJECT_SIDE / max(facts.width, facts.height))
    return Size(int(facts.width * scale) + 1, int(facts.height * scale) + 1)


def _seeks_subject(item: Item, options: Options) -> bool:
    return options.at == "subject" and any(piece.fitted.free for piece in item.pieces)


def _look(source: Source, tools: Tools, *, wanted: bool) -> tuple[Source, Sequence[Face]]:
    """The picture without its background, if that is asked for, and the faces in it, px of the decoded picture."""
    from PIL import ImageChops

    image = source.image
    faces: Sequence[Face] = ()
    if tools.subject is not None:
        rgb = image.convert("RGB")
        alpha = tools.subject(rgb)
        if image.mode in ("RGBA", "LA"):
            alpha = ImageChops.multiply(alpha, image.getchannel("A"))
        image = rgb.copy() if rgb is image else rgb
        image.putalpha(alpha)
    if tools.faces is not None and wanted:
        faces = tuple(tools.faces(source.image.convert("RGB")))
    profile = source.profile if tools.subject is None or source.image.mode.startswith("RGB") else b""
    return Source(image, profile, source.across, source.down), faces


def _open_mask(item: Item) -> Source:
    assert item.mask is not None
    largest = Size(item.image.facts.width, item.image.facts.height)
    opened = open_source(item.mask.path, at_least=largest)
    across, down = opened.image.width / largest.width, opened.image.height / largest.height
    return Source(opened.image, b"", across, down)


def _box(source: Source, fitted: Fitted, faces: Sequence[Face], options: Options) -> Corners:
    if options.at == "centre" or not fitted.free:
        return crop_box(fitted)
    part = fitted.part
    corners = _inside(source, (part.left, part.top, part.right, part.bottom))
    view = source.image.crop(tuple(round(corner) for corner in corners))  # type: ignore[arg-type]
    alpha = view.getchannel("A") if view.mode in ("RGBA", "LA") else None
    kept = min(fitted.kept[0] * source.across, view.width), min(fitted.kept[1] * source.down, view.height)
    x, y = corners[:2]
    here = [Face(one.left - x, one.top - y, one.right - x, one.bottom - y, one.score) for one in faces]
    left, top = best_place(view.convert("RGB"), kept, alpha=alpha, faces=here)
    return crop_box(fitted, part.left + left / source.across, part.top + top / source.down)


def _scaled(source: Source, size: Size, box: Corners, window: int) -> Image:
    """The part ``box`` (px of the file) of a picture at ``size``; as it is where nothing has to be scaled."""
    corners = _inside(source, box)
    whole = tuple(round(corner) for corner in corners)
    exact = all(abs(corner - near) < 1e-6 for corner, near in zip(corners, whole, strict=True))
    if exact and (whole[2] - whole[0], whole[3] - whole[1]) == (size.width, size.height):
        return source.image.crop(whole)  # type: ignore[arg-type]
    return source.image.resize((size.width, size.height), window, box=corners, reducing_gap=GAP)


def _inside(source: Source, box: Corners) -> Corners:
    """Corners in the decoded picture, never beyond its edges."""
    width, height = source.image.size
    left, top = min(box[0] * source.across, width - 1), min(box[1] * source.down, height - 1)
    right, bottom = min(box[2] * source.across, width), min(box[3] * source.down, height)
    return left, top, right, bottom


def _padded(content: Image, fitted: Fitted, pad: str, ground: tuple[int, int, int]) -> Image:
    from PIL import Image, ImageFilter

    size = fitted.size.width, fitted.size.height
    if pad == "blur":
        cover = max(size[0] / content.width, size[1] / content.height)
        wide, high = size[0] / cover, size[1] / cover
        left, top = (content.width - wide) / 2, (content.height - high) / 2
        behind = content.resize(size, Image.Resampling.BILINEAR, box=(left, top, left + wide, top + high))
        place = behind.filter(ImageFilter.GaussianBlur(max(size) / 24))
    elif pad == "edge":
        return _stretched(content, fitted)
    else:
        place = Image.new("RGB", size, ground if pad == "background" else colour(pad, "pad"))
    place.paste(content, (fitted.left, fitted.top))
    return place


def _stretched(content: Image, fitted: Fitted) -> Image:
    """The picture with its outermost pixels repeated to the edges of the place."""
    from PIL import Image

    width, height = content.size
    wide, high = fitted.size.width, fitted.size.height
    right, bottom = fitted.left + width, fitted.top + height
    band = Image.new("RGB", (wide, height))
    band.paste(content, (fitted.left, 0))
    if fitted.left:
        band.paste(content.crop((0, 0, 1, height)).resize((fitted.left, height)), (0, 0))
    if right < wide:
        band.paste(content.crop((width - 1, 0, width, height)).resize((wide - right, height)), (right, 0))
    place = Image.new("RGB", (wide, high))
    place.paste(band, (0, fitted.top))
    if fitted.top:
        place.paste(band.crop((0, 0, wide, 1)).resize((wide, fitted.top)), (0, 0))
    if bottom < high:
        place.paste(band.crop((0, height - 1, wide, height)).resize((wide, high - bottom)), (0, bottom))
    return place
