#!/usr/bin/env bash
# A run folder has one owner and one run, and loses nothing; all ranks decide alike.
. "$SOURCE/tests/strangers/rows.bash"
small_shards data 400 60 50
small_teacher data
cp -r "$WORK/data" "$WORK/moved"
small_shards others 400 60 50 7

base=(--data.folder "$WORK/data" --teacher.file "$WORK/teacher.safetensors" "${student[@]}"
  --run.threads 1 --train.precision fp32 --train.global_batch 32)
micro=(--train.micro_batch 16)
# job RANKS RUN SETTING...: the command line of a distillation
job() {
  local ranks=$1 run=$2
  shift 2
  line=("${mpi[@]}" -n "$ranks" "$BITSTILL" distill "${base[@]}" --run.folder "$WORK/$run" "$@")
}
# try ID CODE PATTERN RANKS RUN SETTING...
try() {
  local id=$1 code=$2 pattern=$3
  shift 3
  job "$@"
  row "$id" "$code" "$pattern" "${line[@]}"
}
sum() { sha256sum "$@" 2>/dev/null | sha256sum; }
first=("${micro[@]}" --quant.bits 2 --train.epochs 2)
try 2.0 0 'test [0-9]' 1 run "${first[@]}"

# 2.1 A folder that holds a run, or something else
before=$(sum "$WORK"/run/*.* "$WORK"/run/checkpoints/*)
try 2.1 2 'run holds a run .*--resume.*--overwrite' 1 run "${micro[@]}" --quant.bits 8 --train.epochs 1
holds 2.1b [ "$(sum "$WORK"/run/*.* "$WORK"/run/checkpoints/*)" = "$before" ]
mkdir "$WORK/home" && echo mine >"$WORK/home/thesis.tex"
try 2.2 2 'home holds thesis.tex and no run' 1 home "${first[@]}"
try 2.2b 2 'home holds thesis.tex and no run' 1 home "${first[@]}" --overwrite
holds 2.2c [ "$(ls "$WORK/home")" = thesis.tex ]
mkdir "$WORK/logs" && touch "$WORK"/logs/{slurm-1.txt,job.out,job.err}
try 2.3 0 'test [0-9]' 1 logs "${micro[@]}" --train.epochs 0
cp -r "$WORK/run" "$WORK/twice" && echo mine >"$WORK/twice/notes.txt"
mkdir "$WORK/twice.1"
try 2.4 0 'twice is now .*twice\.2$' 1 twice "${micro[@]}" --quant.bits 8 --train.epochs 1 --overwrite
holds 2.4b cmp "$WORK/run/student.safetensors" "$WORK/twice.2/student.safetensors"
holds 2.4c [ -e "$WORK/twice/notes.txt" -a ! -e "$WORK/twice.2/notes.txt" ]

# 2.5 --resume without a checkpoint
try 2.5 4 'nowhere holds no run; --resume=auto' 1 nowhere "${first[@]}" --resume
holds 2.5b [ ! -e "$WORK/nowhere" ]
cp -r "$WORK/run" "$WORK/log" && rm -r "$WORK"/log/{checkpoints,*.safetensors}
try 2.5c 4 'log holds no checkpoint' 1 log "${first[@]}" --resume
try 2.5d 0 'log holds no checkpoint, the run starts anew' 1 log "${first[@]}" --resume=auto
holds 2.5e cmp "$WORK/run/student.safetensors" "$WORK/log/student.safetensors"
try 2.5f 0 'starts anew' 1 fresh "${first[@]}" --resume=auto

# What a kill leaves, and what is no run's log
rm -r "$WORK"/log/{*.safetensors,checkpoints} && mkdir "$WORK/log/checkpoints"
touch "$WORK"/log/{recipe.cfg.partial.1,.writable.x,checkpoints/step-000000004.partial.2}
try 2.5g 0 'starts anew' 1 log "${first[@]}" --resume=auto
mkdir "$WORK/lone" && cp "$WORK/run/master.safetensors" "$WORK/lone"
try 2.5h 4 'lone holds no checkpoint.*--overwrite' 1 lone "${first[@]}" --resume=auto
try 2.5i 0 'test [0-9]' 1 post "${micro[@]}" --train.epochs 0
try 2.5j 0 'post is finished' 1 post "${micro[@]}" --train.epochs 0 --resume

# 2.6 What may change when a run goes on, and what not
number=0
for change in "run.seed 2" "train.rate .01" "train.global_batch 64" "distill.temperature 4" \
  "quant.bits 4" "quant.method points" "data.shift 1" "train.micro_batch 8" "train.schedule constant"; do
  number=$((number + 1))
  # shellcheck disable=SC2086
  try 2.6.$number 2 "${change%% *} was .* and is .* now" 1 run "${first[@]}" --$change --resume
done
try 2.6.data 2 'index of data.folder was' 1 run "${first[@]}" --data.folder "$WORK/others" --resume
cp "$WORK/run/master.safetensors" "$WORK/other_teacher.safetensors"
try 2.6.teacher 2 'bytes of teacher.file was' 1 run "${first[@]}" \
  --teacher.file "$WORK/other_teacher.safetensors" --resume
cp "$WORK/teacher.safetensors" "$WORK/same_teacher.safetensors"
before=$(sum "$WORK"/run/*.safetensors)
try 2.7 0 'run is finished' 1 run "${first[@]}" --resume --run.log_steps 7 --data.folder "$WORK/moved" \
  --teacher.file "$WORK/same_teacher.safetensors"
holds 2.7b [ "$(sum "$WORK"/run/*.safetensors)" = "$before" ]
try 2.8 0 'rate by epoch: 1: ' 1 run "${first[@]}" --train.epochs 3 --resume
holds 2.8b grep -q '"changed":{"train.epochs":\["2","3"\]}' "$WORK/run/run.jsonl"
before=$(sum "$WORK"/run/*.*)
try 2.8c 2 'train.epochs = 1, but .* stands after epoch 3' 1 run "${first[@]}" --train.epochs 1 --resume
holds 2.8d [ "$(sum "$WORK"/run/*.*)" = "$before" ]
try 2.9 0 'test [0-9]' 1 local --train.epochs 1
try 2.9b 2 'number of ranks was 1 and is 2 now.*micro_batch' 2 local --train.epochs 2 --resume
try 2.9c 0 'test [0-9]' 2 run "${first[@]}" --train.epochs 4 --resume
# A run that stopped early and is resumed: it ships what it shipped
patient=("${micro[@]}" --train.epochs 9 --train.patience 1 --train.rate 1e-9)
try 2.10 0 'stopping early' 1 patient "${patient[@]}"
cp "$WORK/patient/student.safetensors" "$WORK/shipped"
try 2.10b 0 'is finished' 1 patient "${patient[@]}" --resume
sed -i '$d' "$WORK/patient/run.jsonl"  # killed before its last word
try 2.10c 0 'test [0-9]' 1 patient "${patient[@]}" --resume
holds 2.10d cmp "$WORK/patient/student.safetensors" "$WORK/shipped"

# 2.11 Two jobs in one folder
"$BITSTILL" distill "${base[@]}" --run.folder "$WORK/shared" "${micro[@]}" --train.epochs 100000 \
  >"$WORK/long.log" 2>&1 &
long=$!
for _ in $(seq 100); do [ -s "$WORK/shared/run.jsonl" ] && break; sleep 0.1; done
try 2.11 2 "shared is in use by process $long on .* since" 1 shared "${micro[@]}" --resume=auto
try 2.11b 2 'is in use by' 1 shared "${micro[@]}" --train.epochs 1 --overwrite
holds 2.11c kill -KILL $long
wait $long 2>/dev/null
try 2.11d 0 'shared is now .*shared\.1' 1 shared "${micro[@]}" --train.epochs 1 --overwrite

# 3.1 Ranks that were started differently
short=("${first[@]}" --train.epochs 0)
mixed() {  # mixed ID CODE PATTERN [-x ENV] COMMAND : COMMAND (on the first and on the last of two ranks)
  local id=$1 code=$2 pattern=$3
  shift 3
  row "$id" "$code" "$pattern" "${mpi[@]}" "$@"
}
mixed 3.1 2 'the command differs: .*train on rank 0, .*distill on rank 1|the command differs: .*distill on rank 1, train on rank 0' \
  -n 1 "$BITSTILL" train "${base[@]}" "${short[@]}" --run.folder "$WORK/m1" : \
  -n 1 "$BITSTILL" distill "${base[@]}" "${short[@]}" --run.folder "$WORK/m1"
mixed 3.2 2 'the command differs' -n 1 "$BITSTILL" distill "${base[@]}" "${short[@]}" --run.folder "$WORK/m2" : \
  -n 1 "$BITSTILL" evaluate --model.file "$WORK/run/student.safetensors" --data.folder "$WORK/data"
mixed 3.3 8 "the processor's instructions .* differs: .* on rank 0, DEFAULT.* on rank 1" -n 1 "$BITSTILL" distill "${base[@]}" "${short[@]}" \
  --run.folder "$WORK/m3" : -n 1 env ATEN_CPU_CAPABILITY=default "$BITSTILL" distill "${base[@]}" \
  "${short[@]}" --run.folder "$WORK/m3"
# Folders of one name that each rank sees for itself: relative paths from two working folders
mkdir "$WORK/here" "$WORK/there"
cp "$WORK/teacher.safetensors" "$WORK/here/t.safetensors"
cp "$WORK/run/master.safetensors" "$WORK/there/t.safetensors"
apart=("$BITSTILL" distill "${base[@]}" "${short[@]}")
mixed 3.4 4 'SHA-256 of t.safetensors differs' \
  -n 1 -wdir "$WORK/here" "${apart[@]}" --teacher.file t.safetensors --run.folder "$WORK/m4" : \
  -n 1 -wdir "$WORK/there" "${apart[@]}" --teacher.file t.safetensors --run.folder "$WORK/m4"
model=(evaluate --data.folder "$WORK/data" --model.file t.safetensors)
mixed 3.6 4 't.safetensors differs' -n 1 -wdir "$WORK/here" "$BITSTILL" "${model[@]}" : \
  -n 1 -wdir "$WORK/there" "$BITSTILL" "${model[@]}"
mixed 3.7 2 'against differs' -n 1 -wdir "$WORK/here" "$BITSTILL" "${model[@]}" : \
  -n 1 -wdir "$WORK/here" "$BITSTILL" "${model[@]}" --against t.safetensors
row_seconds=90
mixed 3.5 7 'rank 1: run.folder = mine on .* is not the folder that rank 0 writes into' \
  -n 1 -wdir "$WORK/here" "${apart[@]}" --run.folder mine : \
  -n 1 -wdir "$WORK/there" "${apart[@]}" --run.folder mine
finish "run folders, what a resumed run may change, locks, ranks that were started differently"
