#!/usr/bin/env bash
# launch/setup.sh without root: names all that is missing at once; with all there it is content.
set -euo pipefail

unprivileged=()
[ "$(id -u)" -ne 0 ] || unprivileged=(setpriv --reuid=65534 --regid=65534 --clear-groups)
if ! "${unprivileged[@]}" test -r "$SOURCE/launch/setup.sh"; then
  echo "SKIP: another user cannot read the checkout"
  exit 77
fi
mkdir -p "$WORK/tree/launch" "$WORK/bin"
cp "$SOURCE"/launch/*.sh "$SOURCE"/launch/requirements-*.txt "$WORK/tree/launch"

# A machine of which the package manager knows nothing and that lacks a few things.
for tool in awk bash cat cmp comm cp dirname env g++ as grep head id mkdir mv printf \
  pkg-config python3 readlink rm sed sort tr uname wc; do
  ln -sf "$(command -v "$tool")" "$WORK/bin/$tool"
done
ln -sf /usr/bin/python3 "$WORK/bin/python3"
cat >"$WORK/bin/c++" <<'END'
#!/bin/bash
source=$(cat)
case $source in *hdf5.h* | *hwy/*) exit 1 ;; esac
exec g++ "$@" <<<"$source"
END
chmod +x "$WORK/bin/c++"
code=0
"${unprivileged[@]}" env PATH="$WORK/bin" "$WORK/tree/launch/setup.sh" >"$WORK/out" 2>&1 || code=$?
cat "$WORK/out"
[ "$code" -eq 8 ]
[ "$(grep -c '^error:' "$WORK/out")" -eq 1 ]
for name in CMake Ninja MPI HDF5 Highway; do grep -q "^  $name.*module load.*spack install" "$WORK/out"; done
for name in Boost GoogleTest JSON OpenSSL libpng zlib compiler; do
  if grep -q "^  .*$name" "$WORK/out"; then
    echo "named $name, which is there"
    exit 1
  fi
done
[ ! -e "$WORK/tree/build" ]

# With nothing missing (whatever brought it), the check passes on to the wheels.
code=0
"${unprivileged[@]}" "$WORK/tree/launch/setup.sh" --check >"$WORK/out" 2>&1 || code=$?
cat "$WORK/out"
[ "$code" -eq 8 ] && grep -q '^error: .*build/deps/python is missing' "$WORK/out"

code=0
"$SOURCE/launch/setup.sh" --nonsense 2>"$WORK/out" || code=$?
[ "$code" -eq 2 ] && grep -q '^error: unknown option --nonsense' "$WORK/out"

# What apt-get says goes to the log, and to the screen when it fails. nvcc and NCCL come for tests
# alone.
mkdir -p "$WORK/stubs" "$WORK/torch"
echo "__version__ = '2.11.0'" >"$WORK/torch/version.py"
echo '[ "$1" = -n ] && shift; exec "$@"' | sed '1i #!/bin/bash' >"$WORK/stubs/sudo"
printf '#!/bin/bash\n' >"$WORK/stubs/dpkg-query"  # nothing is installed
printf '#!/bin/bash\necho "Get: 1 noise"\n[[ "$*" != *"$REFUSES"* ]]\n' >"$WORK/stubs/apt-get"
chmod +x "$WORK"/stubs/*
# with_apt CODE REFUSED OPTION...: setup.sh where apt-get fails at the word REFUSED
with_apt() {
  local code=0 wanted=$1 refused=$2
  shift 2
  PATH=$WORK/stubs:/usr/bin:/bin REFUSES=$refused CUDA_HOME=/none BITSTILL_TORCH=$WORK/torch \
    "$WORK/tree/launch/setup.sh" "$@" >"$WORK/out" 2>&1 || code=$?
  cat "$WORK/out"
  [ "$code" -eq "$wanted" ]
}
with_apt 0 never
if grep -q noise "$WORK/out" || grep -q cuda "$WORK/out"; then exit 1; fi
[ "$(grep -c noise "$WORK/tree/build/setup.log")" -eq 2 ]
with_apt 8 install
grep -q noise "$WORK/out" && grep -q '^error: apt-get could not install' "$WORK/out"
rm "$WORK"/stubs/{dpkg-query,apt-get}
with_apt 8 never --check --tests
grep -q '^error: .*build/deps/cuda is missing' "$WORK/out"
with_apt 0 never --check

# pip knows the options that it is given, where they stand.
read -ra options <<<"$(grep -A3 -e '-m pip --no-cache-dir' "$SOURCE/launch/setup.sh" | tr -d '\\\n' |
  sed 's/.*-m pip//; s/ --target.*//')"
[[ " ${options[*]} " == *" install "*" --require-hashes "* ]]
for python in /usr/bin/python3 python3; do
  "$python" -m pip --version >/dev/null 2>&1 || continue
  "$python" -m pip "${options[@]}" --help >/dev/null
done
