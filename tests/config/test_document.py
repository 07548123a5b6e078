"""The generated page of all settings."""

import tomllib
from pathlib import Path

from lora_tui.config.document import EXAMPLE, document_text, main
from lora_tui.config.fields import fields
from lora_tui.config.load import parse_config
from lora_tui.config.presets import SHIPPED
from lora_tui.text import language, set_language

PAGE = Path(__file__).parents[2] / "docs" / "parameters.md"


def test_the_page_is_fresh():
    assert PAGE.read_text(encoding="utf-8") == document_text(), "run: python -m lora_tui.config.document"


def test_the_page_is_in_english_in_every_language_and_leaves_the_language_alone():
    english = document_text()
    set_language("zh_CN")
    try:
        assert document_text() == english
        assert language() == "zh_CN"
    finally:
        set_language("en")


def test_every_setting_and_preset_is_on_the_page():
    text = document_text()
    for spec in fields():
        assert f"| `{spec.name}`<br>{spec.option.title} |" in text
    for path in SHIPPED.glob("*.toml"):
        assert f"`{path.stem}`" in text


def test_the_example_is_a_configuration():
    config = parse_config(tomllib.loads(EXAMPLE))
    assert config.samples and config.datasets
    assert f"```toml\n{EXAMPLE}```" in document_text()


def test_the_command_writes_the_page_and_says_when_it_is_out_of_date(tmp_path):
    page = tmp_path / "page.md"
    assert main(["--check", "--output", str(page)]) == 1
    assert not page.exists()
    assert main(["--output", str(page)]) == 0
    assert page.read_text(encoding="utf-8") == document_text()
    assert main(["--check", "--output", str(page)]) == 0
    page.write_text("# Parameters\n")
    assert main(["--check", "--output", str(page)]) == 1
