"""Hooks of the documentation build: a reference page for every public module, and formulas without a script."""

from __future__ import annotations

import ast
import html
import logging
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

log = logging.getLogger("mkdocs.hooks.undertow")  # below mkdocs, so that --strict counts its warnings

# What the extension pymdownx.arithmatex leaves in a page for $...$ and $$...$$.
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add one page for every public module, in a folder for every room, and all of them to the navigation."""
    source = Path(config.config_file_path).parent / "src"
    sections: dict[tuple[str, ...], list] = {}  # what stands in the navigation under a folder
    for path in sorted((source / "undertow").rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        if any(part.startswith("_") and part != "__init__" for part in parts):
            continue
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        page = "/".join(["reference", *parts[1:-1], "index.md" if is_package else f"{parts[-1]}.md"])
        title = module.rpartition(".")[2]  # the folder names the room already; the heading names the module in full
        content = f"---\ntitle: {title}\n---\n\n# `{module}`\n\n::: {module}\n"
        stub = path.with_suffix(".pyi")
        if module == "undertow" or (is_package and stub.exists()):
            content += names_of(stub if stub.exists() else path)
        files.append(File.generated(config, page, content=content))
        folder = parts[1:-1]
        section = sections.setdefault(folder, [])
        if is_package:
            section.insert(0, page)  # the section's own page
            if folder:
                sections.setdefault(folder[:-1], []).append({folder[-1]: section})
        else:
            section.append(page)
    if config.nav is not None:
        config.nav.append({"Reference": sections[()]})
    return files


def names_of(path: Path) -> str:
    """Where the names of a package are described: those of private modules here, the others in their modules."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [
        node for node in tree.body if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("undertow.")
    ]
    homes = {alias.name: str(node.module) for node in imports for alias in node.names}
    private = [name for name, home in homes.items() if home.rpartition(".")[2].startswith("_")]
    rows = [f"| `{name}` | [`{home}`][{home}] |" for name, home in homes.items() if name not in private]
    options = f"    options:\n      members: {private}\n"
    return "\n".join([options, "| name | described in |", "|---|---|", *sorted(rows, key=str.lower)]) + "\n"


def on_page_content(text: str, page: Page, **_: object) -> str:
    """Formulas as MathML, which browsers draw by themselves: no script, no font, nothing to fetch."""

    def mathml(match: re.Match[str]) -> str:
        formula = html.unescape(match[2]).strip()
        try:
            return convert(formula, display="block" if match[1] == "div" else "inline")
        except Exception as error:  # the converter raises many kinds; any of them is a formula to be corrected
            log.warning(f"{page.file.src_uri}: cannot read the formula {formula!r}: {error!r}")
            return match[0]

    return FORMULA.sub(mathml, text)
