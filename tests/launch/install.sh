#!/usr/bin/env bash
# cmake --install: the program runs from PATH, wherever the prefix is moved, and needs nothing of the
# checkout; another project finds and links the libraries. Other compilers' warnings are no errors.
. "$SOURCE/tests/strangers/rows.bash"
prefix=$WORK/prefix
build=$(dirname "$BITSTILL")

cmake --install "$build" --prefix "$WORK/first" >"$WORK/log" || { cat "$WORK/log"; exit 1; }
mv "$WORK/first" "$prefix"
PATH=$prefix/bin:$PATH
hash -r

# ---- the program ----
loaded_from_elsewhere() { ldd "$prefix/bin/bitstill" | grep -F "$SOURCE/build"; }
holds 6.1 [ -z "$(loaded_from_elsewhere)" ]
holds 6.1 [ "$(command -v bitstill)" = "$prefix/bin/bitstill" ]
row 6.1 0 '"torch"' bitstill --version
small_shards data 128 32 32
cp -r "$prefix/share/bitstill/launch" "$WORK/launch"
cd "$WORK" || exit 1
row 6.1 0 'test' bitstill-run -n 2 bitstill train --config launch/recipes/digits_student.cfg \
  --data.folder data --run.folder run --train.epochs 1
holds 6.1 [ -s run/student.safetensors ]

# ---- the libraries ----
row 6.2 0 'Linking CXX executable consumer' bash -c '
  cmake -S "$0/tests/launch/consumer" -B consumer -G Ninja -DCMAKE_PREFIX_PATH="$1" &&
    cmake --build consumer' "$SOURCE" "$prefix"
row 6.2 0 '^10 classes in [0-9]+ bytes' consumer/consumer run/student.safetensors
holds 6.2 bash -c '! grep -rF "$0" "$1/lib/cmake"' "$SOURCE" "$prefix"

# ---- warnings ----
errors_of_warnings='cmake -S "$0" -B plain -G Ninja -DBUILD_TESTING=OFF -DBITSTILL_TORCH_FREE=ON "$@" &&
  grep -c -e "-Wall.*-Werror" plain/compile_commands.json'
row 6.3 1 '^0$' bash -c "$errors_of_warnings" "$SOURCE"
row 6.3 0 '^[1-9][0-9]*$' bash -c "$errors_of_warnings" "$SOURCE" -DBITSTILL_WERROR=ON
finish "the installed program, its libraries for others, and whose warnings are errors"
