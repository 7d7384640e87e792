// Under mpirun: one bit of one rank's weights or points flips in mid-training; within
// run.check_steps steps all ranks end with an error that names the tensor.
#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <filesystem>

#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/model/blocks.hpp"
#include "bitstill/train/trainer.hpp"
#include "random_shards.hpp"
#include "rank_main.hpp"
#include "train_fixture.hpp"

namespace bitstill {
namespace {

constexpr int64_t kRows = 96, kCheckSteps = 4, kFlipAt = 6;  // found after step 8

/// A folder that all ranks see, removed by rank 0.
class SharedFolder {
 public:
  SharedFolder() {
    std::vector<char> name(256);
    if (rank() == 0) {
      const std::string made =
          (std::filesystem::temp_directory_path() / "bitstill-divergence.XXXXXX").string();
      std::copy(made.begin(), made.end(), name.begin());
      if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    }
    rank_world().control().broadcast(name.data(), 256, ElementType::u8, 0);
    path_ = name.data();
  }
  ~SharedFolder() {
    rank_world().control().barrier();
    std::error_code ignored;
    if (rank() == 0) std::filesystem::remove_all(path_, ignored);
  }
  SharedFolder(const SharedFolder&) = delete;
  SharedFolder& operator=(const SharedFolder&) = delete;
  static int rank() { return rank_world().place().rank; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// The lowest bit of the mantissa, as a cosmic ray would.
void flip(float* value) {
  *value = std::bit_cast<float>(std::bit_cast<uint32_t>(*value) ^ 1u);
}

TrainingOptions options_for(const std::string& folder, const QuantOptions& quant) {
  TrainingOptions options;
  options.train.epochs = 2;
  options.train.global_batch = 8;
  options.train.micro_batch = 2;
  options.run.folder = folder;
  options.run.seed = 1;
  options.run.check_steps = kCheckSteps;
  options.quant = quant;
  return options;
}

/// FOLDER/shards and FOLDER/run, for all ranks.
void make_folders(const std::string& folder) {
  agree(rank_world().control(), [&] {
    if (rank_world().place().rank == 0) {
      write_random_shards(folder + "/shards", kRows);
      std::filesystem::create_directories(folder + "/run/checkpoints");
    }
  });
}

/// Trains; the last rank's `harm` happens in step kFlipAt.
void train(QuantMethod method, const std::function<void(Student&)>& harm) {
  const SharedFolder folder;
  World& world = rank_world();
  make_folders(folder.path());
  const Dataset dataset(folder.path() + "/shards");
  QuantOptions quant = uniform(2, 16);
  quant.method = method;
  Student student = small_student(3, quant);
  const TrainingOptions options = options_for(folder.path() + "/run", quant);
  int64_t steps = 0;
  RunStart start;
  start.stop_requested = [&] {
    if (steps++ == kFlipAt && world.place().rank == world.place().world - 1) harm(student);
    return false;
  };
  RunLog log;
  if (world.place().rank == 0) log = RunLog(folder.path() + "/run/run.jsonl", false);
  Watchdog watchdog(world, 0);
  const Json about = describe_model("weights", student.network().spec(), dataset.index().classes);
  run_training(world, watchdog, dataset, make_run_plan(dataset, options, world.control()), student,
               nullptr, options, start, about, log);
}

void expect_found(QuantMethod method, const std::string& tensor,
                  const std::function<void(Student&)>& harm) {
  if (rank_world().place().world == 1) {
    train(method, harm);  // nobody to differ from
    return;
  }
  const std::string error = error_of(ExitCode::numbers, [&] { train(method, harm); });
  EXPECT_EQ(error.find(concat(tensor, " after step 8 differs: ")), 0u) << error;
}

TEST(Divergence, AFlippedPointIsFound) {
  for (const QuantMethod method : {QuantMethod::points, QuantMethod::joint}) {
    expect_found(method, "quantizer.0.weight",
                 [](Student& student) { flip(&student.quantizer()->learned()[1]); });
  }
}

TEST(Divergence, AFlippedWeightIsFound) {
  expect_found(QuantMethod::uniform, "0.weight",
               [](Student& student) { flip(student.masters().mutable_data_ptr<float>()); });
}

TEST(Divergence, EqualRanksGoOn) {
  for (const QuantMethod method : {QuantMethod::points, QuantMethod::joint, QuantMethod::lsq}) {
    train(method, [](Student&) {});
  }
}

TEST(Reestimation, IsRefusedWithoutBatchNorm) {
  const SharedFolder folder;
  World& world = rank_world();
  make_folders(folder.path());
  const Dataset dataset(folder.path() + "/shards");
  const NetworkSpec spec = small_spec();
  std::vector<std::unique_ptr<Unit>> units;
  units.push_back(std::make_unique<LinearBlock>(
      LinearBlock::Options{spec.input.pixels(), spec.classes, false, true}, 0, 0));
  Student student(std::make_unique<Network>(spec, std::move(units)), {}, 1, at::kCPU);
  TrainingOptions options = options_for(folder.path() + "/run", {});
  options.train.reestimate_batches = 3;
  RunLog log;
  Watchdog watchdog(world, 0);
  EXPECT_HOLDS(error_of(ExitCode::settings,
                        [&] {
                          run_training(world, watchdog, dataset,
                                       make_run_plan(dataset, options, world.control()), student,
                                       nullptr, options, {}, {}, log);
                        }),
               "train.reestimate_batches = 3: the network has no batch norm");
}

}  // namespace
}  // namespace bitstill
