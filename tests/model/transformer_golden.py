#!/usr/bin/env python3
"""Writes transformer_golden.hpp: logits of OpenNMT-py 3.5's own Transformer, by its modules, for weights of
a formula and two padded pairs. pip: OpenNMT-py==3.5.1 (its imports of spacy and fasttext may be empty modules).

    python3 tests/model/transformer_golden.py > tests/model/transformer_golden.hpp
"""
import math
import sys
import types

for name in ("spacy", "fasttext"):
    sys.modules.setdefault(name, types.ModuleType(name))
import torch
from onmt.decoders.transformer import TransformerDecoder
from onmt.encoders.transformer import TransformerEncoder
from onmt.modules.embeddings import Embeddings

SIZE, HEADS, FILTER, LAYERS, DECODER_LAYERS, SOURCE, TARGET = 8, 2, 12, 2, 1, 11, 9
BEGIN, PAD = 1, 0
PAIRS = [([3, 10, 4, 7], [5, 8]), ([9, 2], [3, 4, 6])]


def embeddings(pieces):
    return Embeddings(SIZE, pieces, PAD, position_encoding=True, position_encoding_type="SinusoidalInterleaved")


class Whole(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = TransformerEncoder(LAYERS, SIZE, HEADS, FILTER, 0, 0, embeddings(SOURCE), 0, 0)
        self.decoder = TransformerDecoder(DECODER_LAYERS, SIZE, HEADS, FILTER, False, "scaled-dot", 0, 0,
                                          embeddings(TARGET), 0, 0, False, False, 0, 0)
        self.generator = torch.nn.Linear(SIZE, TARGET)


def padded(rows):
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows]).unsqueeze(2)


torch.set_default_dtype(torch.float64)
model = Whole().eval()
with torch.no_grad():
    for number, (name, value) in enumerate(sorted(model.named_parameters())):
        flat = torch.sin(torch.arange(value.numel()) * 1.7 + number)
        value.copy_((flat * 0.5 + (name.endswith("norm.weight") or ".layer_norm_" in name and
                                   name.endswith("weight"))).view(value.shape).float())
    source = padded([pair[0] for pair in PAIRS])
    target = padded([[BEGIN] + pair[1] for pair in PAIRS])
    lengths = torch.tensor([len(pair[0]) for pair in PAIRS])
    memory, _, lengths = model.encoder(source, lengths)
    model.decoder.init_state(source, memory, None)
    hidden, _ = model.decoder(target, memory, src_len=lengths)
    logits = model.generator(hidden)

print("""// Logits of OpenNMT-py 3.5.1, made by transformer_golden.py.
#pragma once

#include <vector>

namespace bitstill {

/// Of each pair's target positions, one behind the other.
inline const std::vector<std::vector<double>> kOpenNmtLogits = {""")
for pair, rows in zip(PAIRS, logits):
    for row in rows[: len(pair[1]) + 1]:
        text = ", ".join(f"{value:.6f}" for value in row.tolist())
        print(f"    {{{text}}},")
print("""};

}  // namespace bitstill""")
assert all(math.isfinite(value) for value in logits.flatten().tolist())
