#!/usr/bin/env bash
# Set-up, build and all tests of the release build. --fast: unit tests only. Other arguments go to
# ctest (-R name, -L label, ...). BITSTILL_NO_SKIP=hosts,ranks: tests of these labels fail where they skip.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ "${1:-}" = --fast ]; then
  shift
  set -- -L unit "$@"
fi
launch/setup.sh --tests
cmake --preset release
cmake --build --preset release
ctest --preset release "$@"
