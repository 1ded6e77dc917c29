"""Open PDF files and load the characters of their pages."""

from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from ....core.errors import UnsupportedMediaError


def open_document(data: bytes) -> pypdfium2.PdfDocument:
    """Open a PDF file; UnsupportedMediaError if it is encrypted or damaged."""
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as exc:
        if "password" in str(exc).lower():
            raise UnsupportedMediaError("it is encrypted; save it without a password") from exc
        raise UnsupportedMediaError(f"it is damaged: {exc}") from exc


def load_codes(text: Any, count: int, start: int = 0) -> list[int]:
    """Return the UTF-16 code units of a text page."""
    return [pdfium.FPDFText_GetUnicode(text, index) for index in range(start, start + count)]
