#!/usr/bin/env bash
# Row R12: one rank of a job was told, holds or is something else than the others: one error line that says what,
# before the first step, at 2, 3 and 4 ranks, the odd one being the last, the middle and the first.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 600 60 50
small_shards other 600 60 50 9
small_teacher data
distil 1 data start --train.epochs 1 --train.global_batch 64
must 1 cache --data.folder "$WORK/data" --teacher.file "$WORK/teacher.safetensors" --out "$WORK/cache" --top 3
must 1 cache --data.folder "$WORK/data" --teacher.file "$WORK/teacher.safetensors" --out "$WORK/other_cache"

# What every rank but one finds in its folder, and what that one does.
mkdir "$WORK/here" "$WORK/there"
for folder in here there; do
  ln -s "$WORK/data" "$WORK/$folder/data"
  cp -r "$WORK/teacher.safetensors" "$WORK/cache" "$WORK/start" "$WORK/$folder"
  printf '[train]\nrate = 0.1\n' >"$WORK/$folder/recipe.cfg"
  python3 "$SOURCE/tests/whole/small_images.py" images "$WORK/data.idx" "$WORK/$folder/images"
done
there=$WORK/there
rm "$there/images/0007.png"
printf '[train]\nrate = 0.2\n' >"$there/recipe.cfg"

base=(--data.folder data --teacher.file teacher.safetensors --run.folder "$WORK/run" --quant.method uniform
  "${student[@]}" "${small[@]}" --train.epochs 2 --train.global_batch 64)
kinds=0

# odd NAME CODE PATTERN COMMAND...: $odd_words are the odd rank's further ones; $odd_start what it starts with.
odd_words=() odd_start=("$BITSTILL")
odd() {
  local name=$1 code=$2 pattern=$3 at ranks got start seconds lines
  shift 3
  for ranks in 2 3 4; do
    case $ranks in 2) at=1 ;; 3) at=1 ;; 4) at=0 ;; esac
    local usual=(-wdir "$WORK/here" "$BITSTILL" "$@") strange=(-n 1 -wdir "$there" "${odd_start[@]}" "$@" "${odd_words[@]}")
    local job=("${strange[@]}")
    [ $at -eq 0 ] || job=(-n $at "${usual[@]}" : "${job[@]}")
    [ $((ranks - at - 1)) -eq 0 ] || job=("${job[@]}" : -n $((ranks - at - 1)) "${usual[@]}")
    start=$(date +%s)
    timeout -s KILL 60 "${mpi[@]}" "${job[@]}" >"$WORK/out" 2>"$WORK/err" </dev/null
    got=$? seconds=$(($(date +%s) - start)) lines=$(grep '^error:' "$WORK/err")
    kinds=$((kinds + 1))
    [ $got -eq "$code" ] && [[ $lines =~ ^error:\ [^$'\n']*$ && $lines =~ $pattern && $lines == *"rank "* ]] &&
      [ $seconds -le 10 ] && [ ! -e "$WORK/run/run.jsonl" ] && continue
    fail "$name, rank $at of $ranks: exit $got after $seconds s (expected $code, '$pattern'):"
    cat "$WORK/err"
    rm -rf "$WORK/run"
  done
  odd_words=() odd_start=("$BITSTILL")
}

odd_start=(bash -c "exec '$BITSTILL' train \"\${@:2}\"" -)
odd "another command" 2 'the command differs' distill "${base[@]}"
odd_words=(--train.rate 0.2)
odd "another rate" 2 'train\.rate differs' distill "${base[@]}"
odd_words=(--run.seed 5)
odd "another seed" 2 'run\.seed differs' distill "${base[@]}"
odd "another recipe under one name" 2 'train\.rate differs' distill "${base[@]}" --config recipe.cfg
odd_start=(env ATEN_CPU_CAPABILITY=default "$BITSTILL")
odd "other instructions" 8 "the processor's instructions .*differs" distill "${base[@]}"
commit=$("$BITSTILL" --version | sed -n 's/.*"commit": "\([0-9a-f]*\).*/\1/p')
sed "s/$commit/$(tr '0-9a-f' '1-9a-f0' <<<"$commit")/g" "$BITSTILL" >"$WORK/other_build" && chmod +x "$WORK/other_build"
odd_start=("$WORK/other_build")
odd "another build" 8 'the build differs' distill "${base[@]}"
python3 - "$there/teacher.safetensors" "$there/start/student.safetensors" <<'END'
import sys
for path in sys.argv[1:]:
    content = bytearray(open(path, "rb").read())
    content[-1] ^= 1
    open(path, "wb").write(content.replace(b"bitstill_sha256", b"bitstill_sha255"))
END
odd "another teacher" 4 'SHA-256 of teacher\.safetensors differs' distill "${base[@]}"
odd "another start of the student" 4 'SHA-256 of start/student\.safetensors differs' train --data.folder data \
  --run.folder "$WORK/run" --student.init start/student.safetensors "${student[@]}" "${small[@]}"
cp "$WORK/teacher.safetensors" "$there"
rm "$there/data" && ln -s "$WORK/other" "$there/data"
odd "other shards" 3 'another data\.folder than rank|index' distill "${base[@]}"
rm "$there/data" && ln -s "$WORK/data" "$there/data"
rm -r "$there/cache" && cp -r "$WORK/other_cache" "$there/cache"
odd "another cache" 3 'the index of teacher\.cache differs' distill --data.folder data --teacher.cache cache \
  --run.folder "$WORK/run" --quant.method uniform "${student[@]}" "${small[@]}"
odd "another model that is measured" 4 'start/student\.safetensors differs' evaluate --data.folder data \
  --model.file start/student.safetensors
cp "$WORK/start/student.safetensors" "$there/start"
odd "other pictures" 3 'the list of images differs' predict images --model.file start/student.safetensors
finish "$kinds mismatches of 12 kinds: refused before the first step, by one line"
