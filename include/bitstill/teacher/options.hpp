// What the teacher's layout can be told.
#pragma once

#include <cstdint>
#include <string>

#include "bitstill/base/words.hpp"

namespace bitstill {

enum class Sharding { replicated, gather, hybrid, automatic };
template <>
struct WordsOf<Sharding> {
  using enum Sharding;
  static constexpr Word<Sharding> kTable[] = {
      {replicated, "replicated", "whole on every rank"},
      {gather, "gather", "in slices over the ranks, gathered piece by piece"},
      {hybrid, "hybrid", "the same within groups of teacher.group ranks"},
      {automatic, "auto", "the fastest within teacher.memory_mb"}};
};

/// teacher.*
struct TeacherLayout {
  Sharding sharding = Sharding::replicated;
  int64_t group = 0;
  int64_t window = 0;
  int64_t piece_bytes = 1 << 20;
  int64_t sweep_batches = 0;
  int64_t memory_mb = 0;
  int64_t memory_bytes() const { return memory_mb * 1'000'000; }
  std::string prefix = "teacher.";  // of the settings' names in messages
};
template <ConstOr<TeacherLayout> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("sharding", options.sharding, "");
  visit("group", options.group, "hybrid: ranks of a group; 0: those of a host");
  visit("window", options.window,
        "in slices: bytes of pieces on their way or in use; 0: chosen, within teacher.memory_mb "
        "or else 16 MiB or a sixteenth of the teacher, whichever is more");
  visit("piece_bytes", options.piece_bytes,
        "in slices: layers above it are cut into runs of output rows");
  visit("sweep_batches", options.sweep_batches,
        "in slices: micro-batches a rank asks about at once; 0: all of a step");
  visit("memory_mb", options.memory_mb,
        "auto, and a window that is chosen: MB of a rank for the teacher; 0: no bound");
}

/// Error(settings) naming the key, its value and what is allowed.
void check(const TeacherLayout& layout);

}  // namespace bitstill
