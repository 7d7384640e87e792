#include "bitstill/train/run_state.hpp"

#include "bitstill/base/text.hpp"

namespace bitstill {

void RunState::end_epoch() {
  ++epoch;
  epoch_first = step;
}

void RunState::complete(int64_t steps) {
  if (epoch_first < 0) epoch_first = epoch * steps;
  if (best_step < 0) best_step = best_epoch * steps;
}

bool RunState::note_validation(double accuracy) {
  last_accuracy = accuracy;
  if (best_epoch > 0 && accuracy <= best_accuracy) return false;
  best_accuracy = accuracy;
  best_epoch = epoch;
  best_step = step;
  return true;
}

bool RunState::out_of_patience(int64_t patience) const {
  return patience > 0 && epoch - best_epoch >= patience;
}

Json to_json(const RunState& state) {
  const Tally& tally = state.tally;
  return {{"epoch", state.epoch},
          {"step", state.step},
          {"epoch_first", state.epoch_first},
          {"tally",
           {{"steps", tally.steps},
            {"samples", tally.samples},
            {"soft", tally.soft},
            {"hard", tally.hard},
            {"correct", tally.correct},
            {"gradient_norm", tally.gradient_norm}}},
          {"skipped", state.skipped},
          {"best_epoch", state.best_epoch},
          {"best_step", state.best_step},
          {"best_accuracy", state.best_accuracy},
          {"last_accuracy", state.last_accuracy}};
}

RunState run_state_from_json(const Json& json, const std::string& where) {
  RunState state;
  try {
    json.at("epoch").get_to(state.epoch);
    json.at("step").get_to(state.step);
    json.at("best_epoch").get_to(state.best_epoch);
    json.at("best_accuracy").get_to(state.best_accuracy);
    json.at("last_accuracy").get_to(state.last_accuracy);
    state.epoch_first = json.value("epoch_first", int64_t{-1});
    state.best_step = json.value("best_step", int64_t{-1});
    // Checkpoints of version 0.1 before these were kept stand at an epoch's end.
    if (json.contains("tally")) {
      const Json& tally = json["tally"];
      tally.at("steps").get_to(state.tally.steps);
      tally.at("samples").get_to(state.tally.samples);
      tally.at("soft").get_to(state.tally.soft);
      tally.at("hard").get_to(state.tally.hard);
      tally.at("correct").get_to(state.tally.correct);
      tally.at("gradient_norm").get_to(state.tally.gradient_norm);
      json.at("skipped").get_to(state.skipped);
    }
  } catch (const Json::exception&) {
    throw Error(ExitCode::model,
                concat(where, " is no checkpoint of a run; start without --resume"));
  }
  if (state.epoch < 0 || state.step < 0 || state.best_epoch < 0 || state.best_epoch > state.epoch ||
      state.epoch_first > state.step || state.best_step > state.step) {
    throw Error(ExitCode::model, concat(where, " says that ", state.epoch, " epochs and ",
                                        state.step, " steps are done, the best epoch ",
                                        state.best_epoch, "; start without --resume"));
  }
  return state;
}

}  // namespace bitstill
