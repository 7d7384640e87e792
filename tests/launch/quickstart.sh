#!/usr/bin/env bash
# launch/quickstart.sh, quickstart_vision.sh and quickstart_translation.sh delete only what they made, build the program alone, and say what
# comes next. Set-up, cmake and bitstill are stand-ins that write down how they were called. The digits in colours.
. "$SOURCE/tests/strangers/rows.bash"
tree=$WORK/tree
mkdir -p "$tree"/{launch,build/release,shards/{digits,digits_colour,phrases}} "$WORK"/{bin,home}
cp "$SOURCE"/launch/quickstart* "$tree/launch"
touch "$tree"/shards/{digits,digits_colour,phrases}/index.json "$tree/build/phrases_unseen.tsv"
export CALLS=$WORK/calls
for name in "$tree/launch/setup.sh" "$tree/launch/run.sh" "$tree/build/release/bitstill" "$WORK/bin/cmake"
do
  printf '#!/bin/bash\necho "%s $*" >>"$CALLS"\n' "$(basename "$name")" >"$name"
  chmod +x "$name"
done
cat >>"$tree/launch/run.sh" <<'END'
[[ "$*" =~ --run.folder\ ([^ ]+) ]] && mkdir -p "${BASH_REMATCH[1]}" && touch "${BASH_REMATCH[1]}"/{run.jsonl,student.safetensors}
END
script=quickstart.sh
quickstart() { row "$1" "$2" "$3" env PATH="$WORK/bin:$PATH" RUNS="$4" "$tree/launch/$script"; }

# first_start JOBS: into a folder of its own, which has not been there.
echo mine >"$WORK/home/letter"
first_start() {
  rm -f "$CALLS"
  quickstart 2.9 2 '^error: .*home is not empty, and not made by quickstart' "$WORK/home"
  holds 2.9 [ "$(cat "$WORK/home/letter")" = mine ]
  holds 2.9 [ ! -e "$CALLS" ]

  quickstart 6.4 0 'export PATH=".*build/release:\$PATH"' "$WORK/new.$script"
  holds 6.4 grep -qx 'cmake --build --preset release --target bitstill' "$CALLS"
  holds 6.4 grep -qx 'setup.sh ' "$CALLS"
  holds 6.4 [ "$(sed -n '/^Next:/,$p' "$WORK/said" | grep -cE '^  (bitstill|launch/run.sh)')" -eq 3 ]
  holds 6.4 [ "$(grep -c '^run.sh' "$CALLS")" -eq "$1" ]
  echo mine >"$WORK/new.$script/notes"
}
first_start 7
new=$WORK/new.$script
rm "$new/teacher/run.jsonl" && touch "$new/teacher/old"
quickstart 2.9 0 'Next:' "$new"
holds 2.9 [ "$(cat "$new/notes")" = mine ]
holds 2.9 [ ! -e "$new/teacher/old" ]

script=quickstart_vision.sh
first_start 5
new=$WORK/new.$script
touch "$new/teacher/old"
quickstart 2.9 0 'Next:' "$new"
holds 2.9 [ -e "$new/teacher/old" ]
holds 2.9 [ "$(grep -c '^run.sh.* --resume=auto' "$CALLS")" -eq 10 ]

script=quickstart_translation.sh
first_start 5
touch "$WORK/new.$script/teacher/old"
quickstart 2.9 0 'Ten phrases' "$WORK/new.$script"
holds 2.9 [ -e "$WORK/new.$script/teacher/old" ]

# Digits of one stroke each, in another column.
python3 - "$WORK/digits.csv.gz" <<'END' || fail "no digits"
import gzip, sys
lines = [",".join(["255" if x == 4 + 2 * digit and 4 <= y < 24 else "0" for y in range(28) for x in range(28)] + [str(digit)])
         for digit in range(10) for _ in range(3)]
with gzip.open(sys.argv[1], "wt") as file:
    file.write("\n".join(lines) + "\n")
END
"$SOURCE/datasets/digits/colour.py" "$WORK/digits.csv.gz" "$WORK/colour" || fail "no pictures"
row 10.1 0 '10 classes, JPEG .*30 from PNG.*10 train / 10 validation / 10 test' "$BITSTILL" shard --source "$WORK/colour" \
  --store jpeg --out "$WORK/shards"
row 10.1 0 '64x64|3x64x64' "$BITSTILL" shard --source "$WORK/colour" --out "$WORK/raw"
holds 10.1 [ "$(sha256sum "$WORK"/colour/*/*.png | cut -c1-64 | sort -u | wc -l)" -eq 30 ]
finish "what the quickstarts delete, keep, build and say; digits in colours"
