// The training step of a network of sentences, timed by the processor's seconds.
#pragma once

#include <cstdint>
#include <string>

#include "bitstill/base/words.hpp"
#include "bitstill/comm/world.hpp"
#include "bitstill/train/options.hpp"

namespace bitstill {

struct BenchSentencesOptions {
  std::string folder, methods = "none";
  TrainPrecision precision = TrainPrecision::automatic;
  int64_t layers = 1, size = 256, pieces = 0;
  int64_t teacher_layers = 0, teacher_size = 512;
  double dropout = 0.3;
  int64_t bits = 4, bucket = 256, tokens = 2048, slice_rows = DistillOptions().slice_rows;
  int64_t warmup = 5, steps = 20, rounds = 1, threads = 1;
};
template <ConstOr<BenchSentencesOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("folder", options.folder, "of token shards");
  visit("methods", options.methods, "quant.method of each arm, taken in turn: uniform,none");
  visit("precision", options.precision, "of the student and the teacher");
  visit("layers", options.layers, "");
  visit("size", options.size, "");
  visit("pieces", options.pieces, "of each side's vocabulary; 0: the shards'");
  visit("teacher.layers", options.teacher_layers, "0: no teacher, cross-entropy");
  visit("teacher.size", options.teacher_size, "");
  visit("dropout", options.dropout, "");
  visit("bits", options.bits, "");
  visit("bucket", options.bucket, "");
  visit("tokens", options.tokens, "of a step, padding included, in one micro-batch");
  visit("slice_rows", options.slice_rows, "distill.slice_rows");
  visit("warmup", options.warmup, "steps of each arm before the first round");
  visit("steps", options.steps, "timed steps of each arm a round");
  visit("rounds", options.rounds, "");
  visit("threads", options.threads, "");
}

/// Prints a JSON line a method: target tokens a CPU second of this process, round by round, which
/// reading, packing and the whole update are part of; peak memory, and what of it the model takes
/// (masters, shadows, gradients, the optimizer's state, the teacher's weights). Error(settings) on
/// several ranks.
void bench_sentences(World& world, const BenchSentencesOptions& options);

}  // namespace bitstill
