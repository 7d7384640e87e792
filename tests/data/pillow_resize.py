# Writes pillow_resize.hpp: what Pillow makes of small pictures. python pillow_resize.py > FILE
import PIL
from PIL import Image

CASES = [  # height, width, channels; box: left, top, width, height; to: height, width
    (37, 53, 3, (5, 3, 40, 30), (16, 24)),
    (37, 53, 3, (0, 0, 53, 37), (16, 16)),
    (9, 7, 3, (1, 2, 5, 6), (17, 16)),
    (64, 20, 1, (0, 0, 20, 64), (8, 31)),
    (5, 200, 1, (3, 1, 190, 4), (5, 4)),
]


def picture(height, width, channels):
    """Smooth in part, and rough: the low bits of a sequence that the test makes as well."""
    state, values = 1, bytearray()
    for i in range(height * width * channels):
        state = (state * 1103515245 + 12345) % 2**31
        values.append((i // channels % width * 3 + (state >> 16) % 128) % 256)
    return Image.frombytes("L" if channels == 1 else "RGB", (width, height), bytes(values))


print(f"// Made by pillow_resize.py, Pillow {PIL.__version__}.")
print("#pragma once\n\n#include <cstdint>\n#include <vector>\n")
print("namespace bitstill {\n")
print("struct PillowResize {")
print("  int64_t height, width, channels, left, top, box_width, box_height, rows, columns;")
print("  std::vector<uint8_t> pixels;  // [rows, columns, channels]\n};\n")
print("// clang-format off\ninline const std::vector<PillowResize> kPillowResizes = {")
for height, width, channels, box, (rows, columns) in CASES:
    left, top, w, h = box
    part = picture(height, width, channels).crop((left, top, left + w, top + h))
    pixels = part.resize((columns, rows), Image.Resampling.BILINEAR).tobytes()
    print(f"    {{{height}, {width}, {channels}, {left}, {top}, {w}, {h}, {rows}, {columns}, {{")
    for at in range(0, len(pixels), 24):
        print("      " + ", ".join(map(str, pixels[at : at + 24])) + ",")
    print("    }},")
print("};\n// clang-format on\n\n}  // namespace bitstill")
