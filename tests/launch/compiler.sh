#!/usr/bin/env bash
# A compiler that has no shared libstdc++ is refused before anything is built; another one is not.
set -euo pipefail

mkdir -p "$WORK/tree" "$WORK/torch/include/ATen/core" "$WORK/bin"
touch "$WORK/torch/include/ATen/core/Tensor.h"
cat >"$WORK/tree/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.22)
project(compiler LANGUAGES CXX)
list(APPEND CMAKE_MODULE_PATH "$SOURCE/cmake")
include(torch)
END
cat >"$WORK/bin/c++" <<'END'
#!/bin/bash
# GCC's answer where it finds none.
[ "$*" != -print-file-name=libstdc++.so ] || { echo libstdc++.so; exit; }
exec g++ "$@"
END
chmod +x "$WORK/bin/c++"

configure() {
  cmake -S "$WORK/tree" -B "$WORK/$1" -DCMAKE_CXX_COMPILER="$2" -DBITSTILL_TORCH="$WORK/torch" >"$WORK/$1.log" 2>&1
}
configure shared "$(command -v g++)" || { cat "$WORK/shared.log"; exit 1; }
if configure static "$WORK/bin/c++"; then
  echo "a compiler without a shared libstdc++ was taken"
  exit 1
fi
tr -s ' \n' ' ' <"$WORK/static.log" >"$WORK/line"
grep -q "$WORK/bin/c++ has no shared libstdc++ .* such as CXX=/usr/bin/g++" "$WORK/line" ||
  { cat "$WORK/static.log"; exit 1; }
echo "checked: a compiler without a shared libstdc++ is refused"
