#!/usr/bin/env bash
# A word that a setting does not have is refused by every command, with the words there are.
. "$SOURCE/tests/strangers/rows.bash"

row 7.1 2 'run.device = gpu: give one of cpu, cuda and auto' "$BITSTILL" evaluate --run.device gpu
row 7.1 2 'run.device = gpu: give one of cpu, cuda and auto' "$BITSTILL" predict --run.device gpu
row 7.2 2 'precision = fp61: give one of fp32, bf16 and auto' "$BITSTILL" bench step \
  --precision fp61 --teacher none --student student3 --batch 2 --steps 1 --warmup 0
row 7.3 2 'one of none, uniform.*; did you mean uniform\?' "$BITSTILL" train --quant.method unifrom
row 7.3 2 'one of exact, fp32.*; did you mean bf16\?' "$BITSTILL" evaluate --precision bf61
row 7.3 2 'one of auto, digits.*; did you mean folder\?' "$BITSTILL" shard --format foldr
finish "words of settings"
