#!/usr/bin/env bash
# A study asks one teacher in slices, read once for all of its runs; each leaves what it leaves alone.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 600 60 50
small_teacher data
cat >"$WORK/study.cfg" <<END
[study]
folder = $WORK/study
arms = fp32_distilled,qd
bits = 2
seeds = 1,2
start_epochs = 2
epochs = 1
[data]
folder = $WORK/data
[teacher]
file = $WORK/teacher.safetensors
sharding = gather
[model]
kind = convnet
widths = 4
kernels = 3
pools = 1
hidden = 8
[run]
threads = 1
[train]
global_batch = 32
micro_batch = 16
precision = fp32
END
must 2 study "$WORK/study.cfg"
runs=(fp32_distilled_s1 qd_2bit_s1 fp32_distilled_s2 qd_2bit_s2)
[ "$(grep -c '^teacher: in slices over 2 ranks' "$WORK/err")" -eq 1 ] &&
  [ "$(grep -c '^teacher, kept from the run before: in slices over 2 ranks' "$WORK/err")" -eq 3 ] ||
  { fail "the teacher was not read once:"; grep '^teacher' "$WORK/err"; }
for run in "${runs[@]}"; do
  must 2 distill --config "$WORK/study/$run/recipe.cfg" --run.folder "$WORK/$run"
  same_weights "study/$run" "$run"
done
finish "four runs of a study with one teacher in slices, their weights those of runs alone"
