#!/bin/bash
# Row S5: a plain PyTorch script loads our safetensors, and we load its: logits equal within 1e-5.
#   BITSTILL: the program, beside which s5_program lies; BITSTILL_PEER_PYTHON has torch and safetensors.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${BITSTILL_PEER_PYTHON:-}
if [[ -z $python ]]; then
  echo "SKIP: BITSTILL_PEER_PYTHON is not set"
  exit 77
fi
program=$(dirname "${BITSTILL:-$root/build/release/bitstill}")/s5_program
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for kind in student3 teacher; do
  "$program" write $kind "$folder"
  "$python" "$root/tests/infer/s5_pytorch.py" check $kind "$folder"
  "$python" "$root/tests/infer/s5_pytorch.py" write $kind "$folder"
  "$python" "$root/launch/export_pytorch.py" "$folder/theirs.pt" "$folder/theirs.safetensors"
  "$program" check $kind "$folder"
done
