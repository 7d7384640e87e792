// The teacher of jobs that follow each other in one process.
#pragma once

#include <memory>
#include <string>

#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/world.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/teacher/teacher.hpp"

namespace bitstill {

class KeptTeacher {
 public:
  /// That of the call before, where all is as it was then that it hangs on: `file` (a hash of what
  /// teacher.file holds), the shards, the device, and of `settings`, all of the job's, those of
  /// teachers and micro-batches. Else a new one (load_teacher, sharded_teacher.hpp).
  /// Collective: every rank of world calls this.
  Teacher& get(World& world, const RunConfig& config, const NamedValues& settings,
               const std::string& file, const Dataset& dataset, const at::Device& device);

 private:
  std::string hangs_on_;
  std::unique_ptr<Teacher> teacher_;
};

}  // namespace bitstill
