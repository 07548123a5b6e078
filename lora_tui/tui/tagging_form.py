"""The form of a tagging without its widgets: its rows, what they say, and what an edit does to the request.

Rows that mean nothing for the chosen models are not there: thresholds are for models that give scores, a server's
settings for a server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lora_tui.errors import UserError
from lora_tui.tagging.known import KnownModel
from lora_tui.tagging.request import DETAILS, EXISTING, ModelChoice, Request
from lora_tui.tagging.rules import split
from lora_tui.text import N_, _, bytes_text, count, ngettext, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.widgets.form import FieldRow

KIND_WORDS = {
    "wd14": N_("WD tagger"),
    "onnx": N_("ONNX tagger by its description"),
    "florence2": N_("Florence-2, sentences"),
    "blip": N_("BLIP, sentences"),
    "endpoint": N_("server, OpenAI's protocol"),
}

EXISTING_WORDS = {
    "skip": (N_("leave alone"), N_("images that have a caption are not tagged")),
    "replace": (N_("replace"), N_("what the models say takes its place")),
    "prepend": (N_("add in front"), N_("what is missing goes to the front")),
    "append": (N_("add at the end"), N_("what is missing goes to the end")),
    "merge": (N_("merge"), N_("your own tags first, then the models' in their order")),
}

WHICH: tuple[str, ...] = ("marked", "shown", "bare", "all")
WHICH_WORDS = {
    "marked": N_("marked"),
    "shown": N_("in the list"),
    "bare": N_("without a caption"),
    "all": N_("all"),
}

Kind = Literal["head", "model", "add", "which", "choice", "bool", "text", "number", "path"]


@dataclass(frozen=True)
class Field:
    """A setting: where it is in the request, its words, and of which values it is.

    Attributes:
        path: attribute names with dots; of the row of images and of models a word of their own.
        note: what stands beside it.
        choices: value to words.
        group: rows are shown where a model of this group is chosen: ``tags``, ``sentences``, ``server`` or empty.
    """

    path: str
    kind: Kind
    title: str
    note: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    group: str = ""


def _number(path: str, title: str, note: str, group: str = "tags") -> Field:
    return Field(path, "number", title, note, group=group)


_PLACES = {"off": N_("off"), "first": N_("in front"), "last": N_("at the end")}
_COMBINE = {
    "union": N_("of any model"),
    "intersection": N_("of every model"),
    "vote": N_("of most models"),
}

FIELDS: tuple[Field, ...] = (
    Field("", "head", N_("IMAGES")),
    Field("which", "which", N_("which images")),
    Field(
        "existing", "choice", N_("existing captions"),
        choices={name: words for name, (words, _note) in EXISTING_WORDS.items()},
    ),
    Field("trigger", "text", N_("trigger word"), N_("first in every caption that is written; empty for none")),
    Field("", "head", N_("THRESHOLDS"), N_("tuned afterwards, too, without the model"), group="tags"),
    _number("rules.thresholds.general", N_("general tags"), N_("least score, 0 to 1; above 1 they are left out")),
    _number("rules.thresholds.character", N_("names of characters"), N_("their least score")),
    _number("rules.thresholds.other", N_("other categories"), N_("copyright, artist, meta; empty: as general tags")),
    Field("rules.mcut", "bool", N_("greatest gap (MCut)"), N_("a threshold for each image where its scores part"),
          group="tags"),
    Field("rules.rating", "choice", N_("rating"), N_("the likeliest rating as a tag"), _PLACES, "tags"),
    _number("rules.thresholds.rating", N_("least score of it"), N_("of the likeliest rating")),
    Field("", "head", N_("TAGS"), group="tags"),
    Field("rules.first", "text", N_("always first"), N_("tags that go to the front where they are found"),
          group="tags"),
    Field("rules.undesired", "text", N_("never written"), N_("tags, with commas; * and ? are wild"), group="tags"),
    Field("rules.replace", "text", N_("replaced"), N_("old = new; other = ; semicolons between them"), group="tags"),
    Field(
        "rules.order", "choice", N_("order"), "",
        {"confidence": N_("surest first"), "vocabulary": N_("as the model lists them")}, "tags",
    ),
    Field("rules.character_first", "bool", N_("characters first"), "", group="tags"),
    Field("rules.expand_characters", "bool", N_("series, too"), N_("behind name_(series) also the series"),
          group="tags"),
    Field("rules.underscores", "bool", N_("keep underscores"), N_("else they become blanks, but in faces such as ^_^"),
          group="tags"),
    Field("rules.escape", "bool", N_("escape brackets"), N_("\\( and \\), as prompts of A1111 need them"),
          group="tags"),
    Field("", "head", N_("SENTENCES"), group="sentences"),
    Field(
        "prose.detail", "choice", N_("how much is told"), N_("task of Florence-2"),
        dict(zip(DETAILS, (N_("caption"), N_("detailed"), N_("more detailed")), strict=True)), "florence2",
    ),
    Field("prose.begin", "text", N_("begins with"), N_("first words of BLIP's caption"), group="blip"),
    _number("prose.beams", N_("beams"), N_("1 to 32; more search longer for likelier words"), "sentences"),
    _number("prose.words", N_("tokens at most"), N_("that the model may write"), "sentences"),
    _number("prose.longest", N_("characters at most"), N_("a longer answer is cut at a sentence"), "prose"),
    Field("", "head", N_("SERVER"), group="server"),
    Field("endpoint.url", "text", N_("address"), N_("such as http://localhost:8000/v1"), group="server"),
    Field("endpoint.key_variable", "text", N_("key from variable"), N_("name of an environment variable"),
          group="server"),
    Field("endpoint.key_file", "path", N_("key from file"), N_("a file that you alone may read"), group="server"),
    Field("endpoint.prompt", "text", N_("what is asked"), N_("{tags}, {name} and {trigger} are filled in"),
          group="server"),
    _number("endpoint.parallel", N_("at a time"), N_("requests"), "server"),
    _number("endpoint.side", N_("longer side"), N_("px of the picture that is sent"), "server"),
    _number("endpoint.tokens", N_("tokens at most"), N_("of an answer"), "server"),
    _number("endpoint.temperature", N_("temperature"), N_("0 to 2; 0 takes the likeliest words"), "server"),
    _number("endpoint.timeout", N_("timeout"), N_("seconds for an answer"), "server"),
    _number("endpoint.retries", N_("retries"), N_("after failures that may pass"), "server"),
    _number("endpoint.wait", N_("first pause"), N_("seconds before them, then doubled"), "server"),
    Field("", "head", N_("MACHINE")),
    Field("device", "text", N_("device"), N_("auto, cpu, cuda or cuda:1")),
    _number("batch", N_("batch"), N_("images at once; 0 for what suits"), ""),
    _number("threads", N_("threads"), N_("of the calculation; 0 for what suits"), ""),
    Field("again", "bool", N_("ask again"), N_("even where answers are kept")),
)  # fmt: skip
"""The rows behind those of the models, in their order."""

MODELS = Field("", "head", N_("MODELS"))
COMBINE = Field("combine", "choice", N_("tags"), N_("which of them are written"), _COMBINE)
VOTES = _number("votes", N_("votes"), N_("models that are enough; 0 for more than half"))


def where_words(model: KnownModel | None) -> str:
    """Whether a model of the hub is on this machine, and how large it is."""
    size = bytes_text(model.size) if model is not None and model.size else ""
    if model is not None and model.here:
        return _("here, {size}").format(size=bytes_text(model.size))
    return _("to fetch, about {size}").format(size=size) if size else _("to fetch")


@dataclass(frozen=True)
class Line:
    """One row: its field, and of rows about a model its number."""

    field: Field
    model: int = -1


class TaggingForm:
    """A request being made.

    Attributes:
        request: as it is now.
        which: the images, one of :data:`WHICH`.
        numbers: how many images each of them means; those that mean none are not offered.
        known: what is known of models, by their names on the hub.
    """

    def __init__(self, request: Request, numbers: Mapping[str, int], which: str = "all") -> None:
        self.request = request
        self.numbers = {name: number for name, number in numbers.items() if number or name == "all"}
        self.which = which if which in self.numbers else "all"
        self.known: Mapping[str, KnownModel] = {}

    # -- rows

    def rows(self) -> list[Line]:
        """What is shown, in order."""
        models = self.request.models
        rows = [Line(MODELS)]
        for number, model in enumerate(models):
            rows.append(Line(Field("model", "model", N_("model")), number))
            if len(models) > 1 and model.kind in ("wd14", "onnx"):
                rows.append(Line(_number("own", N_("  its own threshold"), N_("empty: as general tags")), number))
        rows.append(Line(Field("add", "add", N_("add a model"), N_("what several models say is put together"))))
        groups = self._groups()
        if len(models) > 1 and "tags" in groups:
            rows.append(Line(COMBINE))
            if self.request.combine == "vote":
                rows.append(Line(VOTES))
        return rows + [Line(one) for one in FIELDS if one.group in groups]

    def _groups(self) -> set[str]:
        kinds = {model.kind for model in self.request.models}
        found = {"", *kinds}
        if kinds & {"wd14", "onnx", "auto"}:
            found.add("tags")
        if kinds & {"florence2", "blip"}:
            found |= {"sentences", "prose"}
        if "endpoint" in kinds:
            found |= {"server", "prose"}
        return found

    def row(self, line: Line, off: str = "") -> FieldRow:
        """A row as it is drawn; ``off`` stands for what is empty."""
        one = line.field
        if one.kind == "head":
            return FieldRow(Cell(_(one.title), "strong"), Cell(""), Cell(_(one.note) if one.note else "", "muted"))
        note = _(one.note) if one.note else ""
        if one.kind == "model":
            model = self.request.models[line.model]
            words = _(KIND_WORDS.get(model.kind, N_("found out by its files")))
            if "/" in model.name and not model.name.startswith(("/", ".", "~")) and model.kind != "endpoint":
                words = where_words(self.known.get(model.name)) + _(", ") + words
            return FieldRow(Cell(_(one.title)), Cell(plain(model.name) or off, "strong"), Cell(words, "muted"))
        if one.path == "existing":
            note = _(EXISTING_WORDS[self.request.existing][1])
        return FieldRow(Cell(_(one.title)), Cell(self.shown(line) or off), Cell(note, "muted"))

    def shown(self, line: Line) -> str:
        """A row's value for a person."""
        one = line.field
        if one.kind == "add":
            return ""
        if one.kind == "which":
            number = self.numbers.get(self.which, 0)
            images = ngettext("{count} image", "{count} images", number).format(count=count(number))
            return _("{which}: {images}").format(which=_(WHICH_WORDS[self.which]), images=images)
        if one.kind == "bool":
            return _("on") if self._get(one.path) else _("off")
        if one.kind == "choice":
            return _(one.choices[str(self._get(one.path))])
        return plain(self.text(line))

    def text(self, line: Line) -> str:
        """A row's value as it is edited."""
        path = line.field.path
        if path == "own":
            own = self.request.models[line.model].threshold
            return "" if own is None else f"{own:g}"
        value = self._get(path)
        if path == "rules.replace":
            return "; ".join(f"{old} = {new}" for old, new in value)
        if isinstance(value, tuple):
            return ", ".join(value)
        if value is None:
            return ""
        return f"{value:g}" if isinstance(value, float) else str(value)

    # -- edits

    def set(self, line: Line, text: str) -> None:
        """Take a value.

        Raises:
            UserError: it is not allowed.
        """
        one = line.field
        if one.path == "own":
            value = self._parsed_number(text) if text.strip() else None
            models = list(self.request.models)
            models[line.model] = replace(models[line.model], threshold=value)
            self._take(lambda: replace(self.request, models=tuple(models)))
        elif one.kind == "which":
            self.which = text
        else:
            self._put(one.path, self._parsed(one, text))

    def turn(self, line: Line, by: int) -> bool:
        """To the next value of a row that has few; false for any other."""
        one = line.field
        if one.kind == "bool":
            self._put(one.path, not self._get(one.path))
        elif one.kind == "which":
            self.which = _next(list(self.numbers), self.which, by)
        elif one.kind == "choice":
            values = EXISTING if one.path == "existing" else tuple(one.choices)
            self._put(one.path, _next(list(values), str(self._get(one.path)), by))
        elif one.path.startswith("rules.thresholds.") and self._get(one.path) is not None:
            self._put(one.path, min(max(round(self._get(one.path) + by / 100, 2), 0.0), 1.0))
        else:
            return False
        return True

    def put_model(self, number: int, model: ModelChoice | None) -> None:
        """Another model in the place of one, behind all where there is none at ``number``; none takes it away."""
        models = list(self.request.models)
        if model is None:
            if len(models) > 1:
                del models[number]
        elif number < len(models):
            models[number] = model
        else:
            models.append(model)
        self.request = replace(self.request, models=tuple(models), votes=min(self.request.votes, len(models)))

    def _get(self, path: str) -> Any:
        value: Any = self.request
        for name in path.split("."):
            value = getattr(value, name)
        return value

    def _put(self, path: str, value: Any) -> None:
        self._take(lambda: _replaced(self.request, path.split("."), value))

    def _take(self, make: Callable[[], Request]) -> None:
        self.request = make().checked()

    def _parsed(self, one: Field, text: str) -> Any:
        if one.kind == "number":
            if not text.strip() and one.path == "rules.thresholds.other":
                return None
            number = self._parsed_number(text)
            if isinstance(self._get(one.path), int) and not isinstance(self._get(one.path), bool):
                if number != int(number):
                    raise UserError(_("A whole number is wanted."), code="tagger.request")
                return int(number)
            return number
        if one.path in ("rules.first", "rules.undesired"):
            return split(text)
        if one.path == "rules.replace":
            return _pairs(text)
        return text.strip()

    def _parsed_number(self, text: str) -> float:
        try:
            return float(text.strip().replace(",", "."))
        except ValueError:
            raise UserError(_("A number is wanted."), code="tagger.request") from None


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    found = []
    for part in filter(str.strip, text.split(";")):
        old, sign, new = part.partition("=")
        if not (sign and old.strip()):
            raise UserError(_("Write “old = new”, with a semicolon before the next."), code="tagger.request")
        found.append((old.strip(), new.strip()))
    return tuple(found)


def _next(values: Sequence[str], value: str, by: int) -> str:
    return values[(values.index(value) + by) % len(values)] if value in values else values[0]


def _replaced(data: Any, names: Sequence[str], value: Any) -> Any:
    """A frozen value with one part of it, however deep, replaced."""
    if len(names) > 1:
        value = _replaced(getattr(data, names[0]), names[1:], value)
    return replace(data, **{names[0]: value})
