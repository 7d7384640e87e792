// Where a run stands: all that a checkpoint holds beside tensors and the schedule, and all that a
// resumed run goes on from.
#pragma once

#include <string>

#include "bitstill/base/json.hpp"
#include "bitstill/train/run_records.hpp"

namespace bitstill {

/// Equal on all ranks.
struct RunState {
  int64_t epoch = 0;          // completed
  int64_t step = 0;           // completed since the run's start, those of the epoch under way too
  int64_t epoch_first = 0;    // `step` when the epoch under way began
  Tally tally;                // of the epoch under way
  int64_t skipped = 0;        // steps in a row whose numbers were not finite
  int64_t best_epoch = 0;     // 1-based; 0: none yet
  int64_t best_step = 0;      // `step` at its end
  double best_accuracy = -1;  // on validation
  double last_accuracy = -1;  // on validation, after `epoch`

  /// The epoch under way is done.
  void end_epoch();
  int64_t within() const { return step - epoch_first; }  // steps of the epoch under way
  /// What a checkpoint of version 0.1 does not say (-1), of epochs that all have so many steps.
  void complete(int64_t steps);
  /// After an epoch's validation; whether it is the best so far.
  bool note_validation(double accuracy);
  /// train.patience epochs have passed without a better one.
  bool out_of_patience(int64_t patience) const;
};

Json to_json(const RunState& state);
/// Error(model) naming `where` when it is none, or counts what cannot be.
RunState run_state_from_json(const Json& json, const std::string& where);

}  // namespace bitstill
