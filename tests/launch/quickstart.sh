#!/usr/bin/env bash
# launch/quickstart.sh deletes only what it made, builds the program alone, and says what comes next.
# Its set-up, cmake and bitstill are stand-ins that write down how they were called.
. "$SOURCE/tests/strangers/rows.bash"
tree=$WORK/tree
mkdir -p "$tree"/{launch,build/release,shards/digits} "$WORK"/{bin,home}
cp "$SOURCE/launch/quickstart.sh" "$tree/launch"
touch "$tree/shards/digits/index.json"
export CALLS=$WORK/calls
for name in "$tree/launch/setup.sh" "$tree/launch/run.sh" "$tree/build/release/bitstill" "$WORK/bin/cmake"
do
  printf '#!/bin/bash\necho "%s $*" >>"$CALLS"\n' "$(basename "$name")" >"$name"
  chmod +x "$name"
done
cat >>"$tree/launch/run.sh" <<'END'
[[ "$*" =~ --run.folder\ ([^ ]+) ]] && mkdir -p "${BASH_REMATCH[1]}" && touch "${BASH_REMATCH[1]}"/{run.jsonl,student.safetensors}
END
quickstart() { row "$1" "$2" "$3" env PATH="$WORK/bin:$PATH" RUNS="$4" "$tree/launch/quickstart.sh"; }

echo mine >"$WORK/home/letter"
quickstart 2.9 2 '^error: .*home is not empty, and not made by quickstart' "$WORK/home"
holds 2.9 [ "$(cat "$WORK/home/letter")" = mine ]
holds 2.9 [ ! -e "$CALLS" ]

quickstart 6.4 0 'export PATH=".*build/release:\$PATH"' "$WORK/new"
holds 6.4 grep -qx 'cmake --build --preset release --target bitstill' "$CALLS"
holds 6.4 grep -qx 'setup.sh ' "$CALLS"
holds 6.4 [ "$(sed -n '/^Next:/,$p' "$WORK/said" | grep -cE '^  (bitstill|launch/run.sh)')" -eq 3 ]
holds 6.4 [ "$(grep -c '^run.sh' "$CALLS")" -eq 7 ]

echo mine >"$WORK/new/notes"
rm "$WORK/new/teacher/run.jsonl" && touch "$WORK/new/teacher/old"
quickstart 2.9 0 'Next:' "$WORK/new"
holds 2.9 [ "$(cat "$WORK/new/notes")" = mine ]
holds 2.9 [ ! -e "$WORK/new/teacher/old" ]
finish "what quickstart deletes, builds and says"
