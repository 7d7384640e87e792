// What one training step of a job consists of, so that it can be walked without computing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/base/json.hpp"
#include "bitstill/comm/gather_plan.hpp"
#include "bitstill/comm/plan.hpp"

namespace bitstill {

/// A unit of the student, in one pass over a micro-batch.
struct UnitProfile {
  std::string name;
  double forward_s = 0, backward_s = 0;
  std::vector<Range> gradients;  // of its parameters, elements of the gradient buffer
};

/// How the teacher lies in slices over ranks.
struct SlicesProfile {
  int64_t window = 0;               // bytes
  std::vector<GatherPiece> pieces;  // seconds: over all micro-batches of a step
};

/// Of one rank of a job whose ranks are alike.
struct StepProfile {
  std::vector<UnitProfile> units;  // in the order of the forward pass
  int64_t elements = 0;            // floats of the gradient buffer
  int64_t sums = 0;                // floats that travel with the last chunk
  int64_t chunk_bytes = kDefaultChunkBytes;
  int64_t micro_batches = 1;  // of a rank and step
  bool fixed = false;         // exchange.order
  bool overlap = true;        // messages travel under the passes
  double begin_s = 0;         // before the passes: quantizing
  double pass_s = 0;  // each pass besides the units: reading, a replicated teacher, the loss
  double update_s = 0;
  int64_t group = 0;  // ranks that share a teacher in slices; 0: it is replicated, or there is none
  SlicesProfile slices;  // where group > 0
  Json made_by;          // machine, versions, spread: for those who read it

  /// Of one pass.
  double forward_s() const;
  double backward_s() const;
  /// The units' gradients, ascending.
  std::vector<Range> segments() const;
};

Json to_json(const StepProfile& profile);
/// Error(settings) naming `where` and what is wrong: not finite, negative, ranges that overlap or
/// leave the buffer, a window below the largest piece.
StepProfile profile_from_json(const Json& json, const std::string& where);
/// Of a file that `bitstill bench step --profile` wrote. Error(settings).
StepProfile read_profile(const std::string& path);

}  // namespace bitstill
