#!/usr/bin/env bash
# Four hosts of one rank are four ranks of one host, byte for byte, also where a link is slow; and what leaves a
# host is what the exchange says it sends.
. "$SOURCE/tests/whole/jobs.bash"
. "$SOURCE/tests/hosts/hosts.bash"
hosts_up 4
shape 200mbit
small_shards data 600 60 50
small_teacher data

# 20,000 parameters: messages that a ring or its equal sends in pieces, 2 (N - 1) / N of their bytes from each rank.
job=(distill --data.folder "$WORK/data" --teacher.file "$WORK/teacher.safetensors" --quant.method uniform
  --quant.bits 4 --model.kind convnet --model.widths 4 --model.kernels 3 --model.pools 1 --model.hidden 256
  "${small[@]}" --train.global_batch 64 --run.log_steps 1)

must_on_hosts() {
  on_hosts "$@" && return
  echo "FAILED: exit $?: on $1 hosts bitstill ${*:2} said:"
  cat "$WORK/err"
  exit 1
}

for order in fixed fast; do
  must 4 "${job[@]}" --exchange.order $order --train.epochs 3 --run.folder "$WORK/one.$order"
  must_on_hosts 4 "${job[@]}" --exchange.order $order --train.epochs 3 --run.folder "$WORK/four.$order"
  same_weights one.$order four.$order
  same_losses one.$order four.$order
done
grep -q '"host":"'"${host_name[1]}"'"' "$WORK/four.fixed/run.jsonl" || fail "the run was not on ${host_name[1]}"

# Of two runs the longer one: start, validation and end cost the same in both.
epochs=(2 12)
for n in 0 1; do
  for i in 1 2 3 4; do before[i]=$(sent_by $i); done
  must_on_hosts 4 "${job[@]}" --train.epochs ${epochs[n]} --train.schedule constant --run.folder "$WORK/bytes.$n"
  for i in 1 2 3 4; do sent[n * 4 + i]=$(($(sent_by $i) - before[i])); done
done
steps=$(($(grep -c '"type":"step"' "$WORK/bytes.1/run.jsonl") - $(grep -c '"type":"step"' "$WORK/bytes.0/run.jsonl")))
[ $steps -eq 100 ] || fail "$steps steps more where 100 were expected"
payload=$(python3 "$compare" get "$WORK/bytes.1/run.jsonl" step bytes gradients)
expected=$((${payload%.*} * 2 * 3 / 4 * steps))
for i in 1 2 3 4; do
  more=$((sent[4 + i] - sent[i]))
  # Headers of packets, acknowledgements, validation and the watchdog: at most 8 %.
  [ $more -ge $expected ] && [ $more -le $((expected * 108 / 100)) ] ||
    fail "host $i sent $more bytes in $steps steps, the ring $expected"
  echo "host $i: $more bytes left it, $expected of them gradients"
done

shape 20mbit 3
must_on_hosts 4 "${job[@]}" --exchange.order fast --train.epochs 3 --run.folder "$WORK/slow"
same_weights one.fast slow
finish "4 hosts are one: masters, students, losses; bytes of the links; a link ten times slower"
