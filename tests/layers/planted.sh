#!/usr/bin/env bash
# The layer check must find what is planted: one forbidden include of each kind, in a copy.
# Environment: SOURCE, WORK.
set -euo pipefail

check() { cmake -DROOT="$WORK" -P "$SOURCE/cmake/layers.cmake" >"$WORK/out" 2>&1; }

# plant FILE INCLUDE: appends the include to FILE and expects the check to name file, line, header.
plant() {
  local file=$WORK/$1 header line
  mkdir -p "$(dirname "$file")"
  [ -e "$file" ] && cp "$file" "$WORK/original"
  echo "#include $2" >>"$file"
  line=$(wc -l <"$file")
  header=$(tr -d '<>"' <<<"$2")
  if check || ! grep -qF "$1:$line: $header" "$WORK/out"; then
    echo "planted $2 in $1 line $line, and the check said:"
    cat "$WORK/out"
    exit 1
  fi
  if [ -e "$WORK/original" ]; then mv "$WORK/original" "$file"; else rm "$file"; fi
}

cp -r "$SOURCE/include" "$SOURCE/src" "$WORK"
check || { cat "$WORK/out"; exit 1; }

# Project headers: upwards, sideways, into the program, out of the folder, in a header of no module.
plant include/bitstill/base/error.hpp '"bitstill/comm/world.hpp"'
plant src/comm/planted.cpp '<bitstill/data/dataset.hpp>'
plant src/codec/planted.cpp '"bitstill/metrics/accuracy.hpp"'
plant src/quant/planted.cpp '"bitstill/model/network.hpp"'
plant src/store/planted.cpp '"bitstill/comm/communicator.hpp"'
plant src/infer/planted.cpp '"bitstill/train/loss.hpp"'
plant src/report/planted.cpp '"bitstill/data/dataset.hpp"'
plant src/train/planted.cpp '"bitstill/config/run_config.hpp"'
plant src/bench/planted.cpp '"bitstill/config/run_config.hpp"'
plant src/base/planted.cpp '"../comm/mpi.hpp"'
plant include/bitstill/utils/planted.hpp '"bitstill/base/error.hpp"'
# Libraries away from home.
plant src/train/planted.cpp '<mpi.h>'
plant include/bitstill/comm/world.hpp '<mpi.h>'
plant src/comm/planted.cpp '<nccl.h>'
plant src/quant/planted.cpp '<cuda_runtime.h>'
plant src/data/planted.cpp '<hdf5.h>'
plant include/bitstill/data/dataset.hpp '<jpeglib.h>'
plant src/model/planted.cpp '<png.h>'
plant src/app/planted.cpp '<boost/program_options.hpp>'
plant src/store/planted.cpp '<nlohmann/json.hpp>'
plant src/codec/planted.cpp '<openssl/evp.h>'
plant src/base/planted.cpp '<hwy/highway.h>'
for module in base comm data codec metrics report; do
  plant "src/$module/planted.cpp" '<ATen/core/Tensor.h>'
done
plant src/train/planted.cpp '<torch/torch.h>'
plant src/quant/planted.cu '<mpi.h>'
plant src/base/planted.cpp '<zstd.h>'
plant src/base/planted.cpp PLANTED_MACRO
check
