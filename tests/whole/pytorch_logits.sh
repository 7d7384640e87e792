#!/bin/bash
# A plain PyTorch script loads our safetensors, and we load its: logits are equal within 1e-5, gradients within 1e-3.
#   BITSTILL: the program, beside which pytorch_program lies; BITSTILL_PEER_PYTHON has torch and safetensors.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${BITSTILL_PEER_PYTHON:-}
if [[ -z $python ]]; then
  echo "SKIP: BITSTILL_PEER_PYTHON is not set"
  exit 77
fi
program=$(dirname "${BITSTILL:-$root/build/release/bitstill}")/pytorch_program
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for kind in student3 teacher resnet18 resnet34_narrow resnet50 wrn_16_2; do
  "$program" write $kind "$folder"
  "$python" "$root/tests/infer/pytorch_logits.py" check $kind "$folder"
  "$python" "$root/tests/infer/pytorch_logits.py" write $kind "$folder"
  "$python" "$root/launch/export_pytorch.py" "$folder/theirs.pt" "$folder/theirs.safetensors"
  "$program" check $kind "$folder"
done
