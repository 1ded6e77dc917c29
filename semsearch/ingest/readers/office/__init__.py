"""Readers of office documents: docx, pptx, xlsx, OpenDocument."""
