"""A small writer of PDF files, which sets the position of every line, and a decoder of their images."""

import struct
import zlib

PlacedText = tuple[float, float, float, str]
"""Left, bottom, size, text."""
TEXT_MATRICES = {0: "1 0 0 1 0 0", 90: "0 1 -1 0 800 0", 180: "-1 0 0 -1 600 800", 270: "0 -1 1 0 0 600"}
"""Page rotation in degrees to the text matrix that makes the text upright."""


def make_pdf(
    *pages: list[PlacedText],
    title: str = "",
    trailer: str = "",
    rotation: int = 0,
    to_unicode: str = "",
    crop_box: tuple[int, int, int, int] = (0, 0, 800, 800),
) -> bytes:
    """Return a PDF with these lines in Helvetica, upright on rotated pages; `to_unicode` is a character map."""
    crop = " ".join(map(str, crop_box))
    page_references = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{page_references}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding"
        f" /ToUnicode {4 + 2 * len(pages)} 0 R >>",
    ]
    for number, placed_texts in enumerate(pages):
        stream = "\n".join(f"BT /F1 {size} Tf {x} {y} Td ({text}) Tj ET" for x, y, size, text in placed_texts)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 800 800] /CropBox [{crop}] /Rotate {rotation}"
            f" /Contents {5 + 2 * number} 0 R /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        stream = f"{TEXT_MATRICES[rotation]} cm\n{stream}"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    objects.append(f"<< /Length {len(to_unicode)} >>\nstream\n{to_unicode}\nendstream")
    objects.append(f"<< /Title ({title}) >>")
    data, offsets = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{text}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R {trailer} >>"
    return (
        data + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{end}\nstartxref\n{len(data)}\n%%EOF".encode()
    )


def place_lines(*lines: str, top: float = 700, left: float = 50) -> list[PlacedText]:
    """Return the lines of a paragraph with their positions."""
    return [(left, top - 12 * number, 10, text) for number, text in enumerate(lines)]


def decode_grey_png(data: bytes) -> list[bytes]:
    """Return the rows of a PNG file that has one byte for a pixel and no filters."""
    width, height = struct.unpack(">II", data[16:24])
    position, compressed = 8, b""
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        if data[position + 4 : position + 8] == b"IDAT":
            compressed += data[position + 8 : position + 8 + length]
        position += 12 + length
    lines = zlib.decompress(compressed)
    assert len(lines) == height * (width + 1)
    rows = [lines[row * (width + 1) : (row + 1) * (width + 1)] for row in range(height)]
    assert all(row[0] == 0 for row in rows)
    return [row[1:] for row in rows]
