"""A screenshot as a PNG of 256 colours, a third of the size; the browser counts them."""

import struct
import zlib
from base64 import b64decode, b64encode

from playwright.sync_api import Page

_COUNT = """async (png) => {
    const bitmap = await createImageBitmap(await (await fetch("data:image/png;base64," + png)).blob());
    const {width, height} = bitmap;
    const canvas = new OffscreenCanvas(width, height).getContext("2d");
    canvas.drawImage(bitmap, 0, 0);
    const {data} = canvas.getImageData(0, 0, width, height);
    const pixels = Uint32Array.from({length: width * height}, (_, at) =>
        (data[4 * at] << 16) | (data[4 * at + 1] << 8) | data[4 * at + 2]);
    const counts = new Map();
    for (const colour of pixels) counts.set(colour, (counts.get(colour) ?? 0) + 1);
    const common = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, 256);
    const palette = common.map(([colour]) => colour);
    const part = (colour, shift) => (colour >> shift) & 255;
    const far = (a, b) => [16, 8, 0].reduce((sum, shift) => sum + (part(a, shift) - part(b, shift)) ** 2, 0);
    const nearest = (colour) => palette.reduce(
        (best, each, at) => far(colour, each) < far(colour, palette[best]) ? at : best, 0);
    const index = new Map([...counts.keys()].map((colour) => [colour, nearest(colour)]));
    let text = "";
    for (const colour of pixels) text += String.fromCharCode(index.get(colour));
    return {width, height, palette, pixels: btoa(text)};
}"""


def with_palette(png: bytes, page: Page) -> bytes:
    """Of the 256 most common colours, and for any other the nearest of them; `page` is any blank one."""
    counted = page.evaluate(_COUNT, b64encode(png).decode())
    width, height, pixels = counted["width"], counted["height"], b64decode(counted["pixels"])
    rows = b"".join(b"\0" + pixels[at : at + width] for at in range(0, len(pixels), width))
    colours = b"".join(colour.to_bytes(3, "big") for colour in counted["palette"])
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"PLTE", colours), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*each) for each in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
