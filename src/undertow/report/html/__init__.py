"""A run as one HTML page that needs nothing else: data made here, drawn by the scripts in `assets/`."""

from undertow.report.html.page import Section, render_page

__all__ = ["Section", "render_page"]
