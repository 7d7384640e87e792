// bitstill train, bitstill distill: one job each.
#include "bitstill/base/log.hpp"
#include "job.hpp"

namespace bitstill {
namespace {

int run_job(World& world, const Words& arguments, bool distill, const char* summary) {
  RunConfig config;
  if (distill) config.quant.method = QuantMethod::uniform;
  SettingTable table;
  add_settings(table, config);
  if (!read_settings(world, table, arguments, summary)) return 0;
  KeptTeacher teacher;
  if (Job(world, table, config, distill, teacher).run()) return 0;
  say("stopped by a signal; --resume continues from here");
  return static_cast<int>(ExitCode::stopped);
}

}  // namespace

int run_train(World& world, const Words& arguments) {
  return run_job(
      world, arguments, false,
      "bitstill train: trains a network with cross-entropy (teacher.* and distill.* are not "
      "used), its weights quantized as quant.* says");
}

int run_distill(World& world, const Words& arguments) {
  return run_job(
      world, arguments, true,
      "bitstill distill: trains a student, its weights quantized as quant.* says, from the "
      "soft targets of a teacher");
}

}  // namespace bitstill
