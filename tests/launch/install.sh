#!/usr/bin/env bash
# cmake --install: the program runs from PATH, wherever the prefix is moved, and needs nothing of the
# checkout; another project finds and links the libraries. Other compilers' warnings are no errors.
. "$SOURCE/tests/strangers/rows.bash"
row_seconds=300
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

# ---- what the program writes about itself ----
completed() {  # completed WORD...: what Bash offers for the last of them
  bash -c '. "$0"; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _bitstill bitstill "${@: -1}" "${@: -2:1}"
    echo "${COMPREPLY[*]}"' "$prefix/share/bash-completion/completions/bitstill" "$@"
}
holds 6.16 [ "$(completed bitstill st)" = study ]
holds 6.16 [ "$(completed bitstill train --train.opt)" = --train.optimizer ]
holds 6.16 [ "$(completed bitstill distill --train.optimizer ad)" = 'adam adamw' ]
holds 6.16 [ -z "$(completed bitstill train --config a)" ]
manual=$prefix/share/man/man1/bitstill.1
for command in $(completed bitstill ''); do holds 6.16 grep -qx ".SS $command" "$manual"; done
for command in inspect train; do
  holds 6.16 [ "$(sed -n "/^.SS $command\$/,/^.S/{s/\\\\-/-/g; s/^\\\\fB\(--.*\)\\\\fR/\1/p}" "$manual")" = \
    "$(bitstill $command --help | grep -oE '^  --[^ ]+' | tr -d ' ')" ]
done

# ---- the libraries ----
row 6.2 0 'Linking CXX executable consumer' bash -c '
  cmake -S "$0/tests/launch/consumer" -B consumer -G Ninja -DCMAKE_PREFIX_PATH="$1" &&
    cmake --build consumer' "$SOURCE" "$prefix"
row 6.2 0 '^10 classes in [0-9]+ bytes' consumer/consumer run/student.safetensors
holds 6.2 bash -c '! grep -rF "$0" "$1/lib/cmake"' "$SOURCE" "$prefix"

# ---- warnings ----
errors_of_warnings='cmake -S "$0" -B plain -G Ninja -DBUILD_TESTING=OFF "$@" &&
  grep -c -e "-Wall.*-Werror" plain/compile_commands.json'
row 6.3 1 '^0$' bash -c "$errors_of_warnings" "$SOURCE"
row 6.3 0 '^[1-9][0-9]*$' bash -c "$errors_of_warnings" "$SOURCE" -DBITSTILL_WERROR=ON
finish "the installed program, its libraries for others, and whose warnings are errors"
