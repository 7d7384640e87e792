#!/usr/bin/env bash
# Brings what building bitstill needs: Debian packages (as root or with sudo), and LibTorch into
# build/deps. Writes nothing else outside this checkout. A second start does nothing.
set -euo pipefail

usage() {
  cat <<'END'
launch/setup.sh [--gpu] [--tests] [--dev] [--check]
  --gpu    LibTorch with CUDA (3 GB) instead of its CPU half (0.6 GB), nvcc and NCCL (0.3 GB)
  --tests  also nvcc and NCCL, to compile what needs a GPU to run (tests/run.sh)
  --dev    the same, clang-format, clang-tidy, clang's sanitizers and coverage, MPICH, numpy for a test (.ci/run)
  --check  install nothing; say what is missing, exit 8 if anything is
What apt-get and pip say goes to build/setup.log.
Environment: BITSTILL_TORCH=<site-packages>/torch uses a torch 2.11.0 that is already installed.
             CXX, CMAKE_PREFIX_PATH, CPATH: where to look without root (modules, Spack).
END
}

packages=(build-essential cmake ninja-build ccache pkg-config git python3 python3-pip
  libopenmpi-dev openmpi-bin libhdf5-dev libboost-program-options-dev libgtest-dev
  nlohmann-json3-dev libhwy-dev libjpeg-dev libpng-dev zlib1g-dev libssl-dev
  libzstd-dev libsentencepiece-dev)
test_packages=(iproute2 libsimgrid-dev)  # several hosts as network namespaces; simulated ones
# MPICH beside Open MPI, which stays Debian's default (mpirun, mpicxx) by its higher priority.
dev_packages=(clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev llvm-14 mpich libmpich-dev python3-numpy)

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=$root/build/deps
log=$root/build/setup.log
torch_set=cpu
with_nvcc=false
check_only=false
for argument in "$@"; do
  case $argument in
    --gpu) torch_set=gpu with_nvcc=true ;;
    --tests) packages+=("${test_packages[@]}") with_nvcc=true ;;
    --dev) packages+=("${test_packages[@]}" "${dev_packages[@]}") with_nvcc=true ;;
    --check) check_only=true ;;
    --help | -h) usage; exit 0 ;;
    *) echo "error: unknown option $argument (launch/setup.sh --help)" >&2; exit 2 ;;
  esac
done

say() { echo "setup: $*"; }
fail() { echo "error: $*" >&2; exit 8; }

# logged COMMAND...: its words go to the log; when it fails the last of them are shown.
logged() {
  mkdir -p "$root/build"
  { echo "== $*"; "$@"; } >>"$log" 2>&1 || { tail -n 15 "$log" >&2; return 1; }
}

# ---- system packages ---------------------------------------------------------------------------

missing_packages() {
  comm -23 <(printf '%s\n' "${packages[@]}" | sort -u) \
    <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null |
      sed -n 's/ installed$//p' | sort -u)
}

compiles() {  # compiles HEADER: does a C++20 source that includes it pass the compiler's front end?
  local flags=() folder prefixes=${CMAKE_PREFIX_PATH:-}
  for folder in ${prefixes//[:;]/ } ${HDF5_ROOT:-} ${HDF5_DIR:-} ${BOOST_ROOT:-}; do
    flags+=(-I "$folder/include")
  done
  [ -d /usr/include/hdf5/serial ] && flags+=(-I /usr/include/hdf5/serial)
  echo "#include <$1>" | "${CXX:-c++}" -std=c++20 -fsyntax-only -x c++ "${flags[@]}" - 2>/dev/null
}

# Without root: everything that is missing, at once, with the names clusters know it by.
check_tools() {
  local lacking=() name test module spack
  while IFS='|' read -r name test module spack; do
    eval "$test" >/dev/null 2>&1 || lacking+=("$(printf '  %-26s module load %-12s or  spack install %s' \
      "$name" "$module" "$spack")")
  done <<'END'
C++20 compiler|compiles span|gcc|gcc@12:
CMake 3.22|cmake_is_new_enough|cmake|cmake@3.22:
Ninja|command -v ninja|ninja|ninja
pkg-config|command -v pkg-config|pkgconf|pkgconf
MPI (mpicxx, mpirun)|command -v mpicxx && command -v mpirun|openmpi|openmpi
HDF5 (hdf5.h)|compiles hdf5.h|hdf5|hdf5
Boost program_options|compiles boost/program_options.hpp|boost|boost+program_options
GoogleTest (gtest)|compiles gtest/gtest.h|googletest|googletest
nlohmann JSON 3.11|compiles nlohmann/json.hpp|nlohmann-json|nlohmann-json
OpenSSL 3 (openssl/sha.h)|compiles openssl/evp.h|openssl|openssl
libjpeg-turbo (jerror.h)|compiles jerror.h|libjpeg-turbo|libjpeg-turbo
libpng (png.h)|compiles png.h|libpng|libpng
zlib (zlib.h)|compiles zlib.h|zlib|zlib
zstd (zstd.h)|compiles zstd.h|zstd|zstd
SentencePiece|compiles sentencepiece_trainer.h|sentencepiece|sentencepiece
Highway (hwy/highway.h)|compiles hwy/highway.h|highway|highway
Python 3 with pip|find_pip|python|py-pip
END
  [ ${#lacking[@]} -eq 0 ] && return
  {
    echo "error: ${#lacking[@]} of the things that bitstill is built with are missing here:"
    printf '%s\n' "${lacking[@]}"
    echo "Load or install them and start again, or start once as root (Debian 12): launch/setup.sh"
  } >&2
  exit 8
}

cmake_is_new_enough() {
  [ "$(printf '%s\n' 3.22 "$(cmake --version | awk 'NR == 1 {print $3}')" | sort -V | head -1)" = 3.22 ]
}

install_packages() {
  local missing sudo=()
  missing=$(command -v dpkg-query >/dev/null && missing_packages || echo all)
  if [ -z "$missing" ]; then
    say "system packages: all there"
    return
  fi
  [ "$(id -u)" -eq 0 ] || sudo=(sudo -n)
  if $check_only || ! command -v apt-get >/dev/null ||
    { [ ${#sudo[@]} -gt 0 ] && ! sudo -n true 2>/dev/null; }; then
    check_tools
    say "system packages: all that is needed is there (not by apt)"
    return
  fi
  say "installing $(wc -w <<<"$missing") packages (build/setup.log): ${missing//$'\n'/ }"
  local apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q)
  logged "${apt[@]}" update || fail "apt-get update failed: its last words stand above"
  # shellcheck disable=SC2086
  logged "${apt[@]}" install -y --no-install-recommends $missing ||
    fail "apt-get could not install the packages; bitstill is tested on Debian 12"
}

# ---- wheels ------------------------------------------------------------------------------------

find_pip() {
  local python
  for python in /usr/bin/python3 python3; do
    "$python" -m pip --version >/dev/null 2>&1 && echo "$python" && return
  done
  return 1
}

# install_wheels FOLDER LIST: exactly the pinned files, into a new folder that then takes the place
# of the old one. The stamp is the list itself, so that a changed list installs anew.
install_wheels() {
  local folder=$deps/$1 list=$root/launch/requirements-$2.txt python
  if cmp -s "$list" "$folder/installed.txt"; then
    say "$folder: up to date"
    return
  fi
  $check_only && fail "$folder is missing or old: run this without --check"
  python=$(find_pip) || fail "no Python 3 with pip: install python3-pip"
  say "downloading the wheels of launch/requirements-$2.txt (build/setup.log)"
  rm -rf "$folder.new"
  mkdir -p "$deps/tmp"
  # The wheels are those of Python 3.11 whatever Python runs pip: only their libraries are used.
  logged env PIP_ROOT_USER_ACTION=ignore TMPDIR="$deps/tmp" "$python" -m pip --no-cache-dir \
    --disable-pip-version-check install --progress-bar off \
    --no-warn-conflicts --no-compile --no-deps --require-hashes --only-binary=:all: \
    --python-version 3.11 --implementation cp --target "$folder.new" -r "$list" ||
    fail "pip could not install launch/requirements-$2.txt (network? disk? glibc older than 2.28?)"
  cp "$list" "$folder.new/installed.txt"
  rm -rf "$folder" "$deps/tmp"
  mv "$folder.new" "$folder"
}

# The same places as cmake/cuda.cmake looks in.
has_cuda_toolkit() {
  local nvcc folder
  nvcc=$(PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin command -v nvcc) || return 1
  nvcc=$(readlink -f "$nvcc")
  for folder in "${nvcc%/bin/nvcc}" "${NCCL_HOME:-/usr}" /usr /usr/local; do
    [ -e "$folder/include/nccl.h" ] && return
  done
  return 1
}

# ---- what is done, in order --------------------------------------------------------------------

[ "$(uname -sm)" = "Linux x86_64" ] ||
  fail "unsupported system $(uname -sm): LibTorch's pinned wheels are for Linux x86_64 (Debian 12)"
install_packages

if [ -n "${BITSTILL_TORCH:-}" ]; then
  grep -q "2\.11\.0" "$BITSTILL_TORCH/version.py" ||
    fail "BITSTILL_TORCH=$BITSTILL_TORCH is not a torch 2.11.0 package"
  say "LibTorch: taken from $BITSTILL_TORCH"
elif [ "$torch_set" = cpu ] && cmp -s "$root/launch/requirements-gpu.txt" "$deps/python/installed.txt"
then
  say "$deps/python: up to date (with CUDA)"
else
  install_wheels python "$torch_set"
fi
if has_cuda_toolkit; then
  say "CUDA toolkit: the system's"
elif $with_nvcc; then
  install_wheels cuda nvcc
fi
say "done"
