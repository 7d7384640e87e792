// Student and teacher each see pixels as their own files say, whatever the shards' normalization.
#include "bitstill/model/input.hpp"

#include <ATen/autocast_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/nll_loss.h>

#include <numeric>

#include "../base/scratch_folder.hpp"
#include "bitstill/comm/solo.hpp"
#include "bitstill/data/shard_writer.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/train/checkpoint.hpp"
#include "bitstill/train/step.hpp"
#include "train_fixture.hpp"

namespace bitstill {
namespace {

constexpr int64_t kRows = 8;

class SoloWorld : public World {
 public:
  const Place& place() const override { return place_; }
  Communicator& control() override { return *control_; }
  bool threads_allowed() const override { return true; }
  std::string library() const override { return "none"; }
  void fatal(ExitCode, const std::string& message) override {
    ADD_FAILURE() << message;
    std::abort();
  }

 private:
  Place place_;
  std::unique_ptr<Communicator> control_ = make_solo_communicator(Traffic::control);
};

/// Notes what it is shown, and under which precision.
class NotingTeacher : public Teacher {
 public:
  explicit NotingTeacher(const Normalization& normalization)
      : Teacher({normalization, InferencePrecision::fp32, false}) {}
  std::vector<Answer> answer(std::span<const Question> questions, bool /*more*/) override {
    std::vector<Answer> answers;
    for (const Question& question : questions) {
      seen = question.x;
      autocast = at::autocast::is_autocast_enabled(at::kCPU);
      answers.emplace_back(seen.flatten(1).narrow(1, 0, 4).contiguous());
    }
    return answers;
  }
  at::Tensor seen;
  bool autocast = false;
};

class InputTest : public testing::Test {
 protected:
  InputTest() {
    ShardWriter writer({folder_ / "set", small_spec().input, 4, {kRows, 0, 0}, 0});
    std::vector<uint8_t> pixels(static_cast<std::size_t>(small_spec().input.pixels()));
    for (int64_t row = 0; row < kRows; ++row) {
      for (std::size_t i = 0; i < pixels.size(); ++i) {
        pixels[i] = static_cast<uint8_t>(37 * i + 101 * static_cast<std::size_t>(row));
      }
      writer.add(Split::train, pixels.data(), row % 4);
    }
    ShardIndex description;
    description.summary.classes = {"a", "b", "c", "d"};
    writer.finish(description);
    dataset_ = std::make_unique<Dataset>(folder_ / "set");
  }

  /// All rows, in order.
  Batch batch() const {
    std::vector<int64_t> rows(kRows);
    std::iota(rows.begin(), rows.end(), 0);
    return read_batch(*dataset_, Split::train, std::move(rows));
  }

  at::Tensor input(const Normalization& normalization) const {
    return to_input(batch(), small_spec().input, normalization, at::kCPU, true);
  }

  StepTotals step(Student& student, Teacher* teacher, bool bf16) {
    SoloWorld world;
    Watchdog watchdog(world, 0);
    MasterOptimizer optimizer(student, {}, {});
    LearnedOptimizer learned(student, {}, {});
    GradientExchange exchange(student, 0, 1, {},
                              make_inline_channel(make_solo_communicator(Traffic::gradients)));
    StepSettings settings;
    settings.bf16 = bf16;
    settings.shape = small_spec().input;
    settings.wishes = [] { return StepWishes{}; };
    TrainingStep training(
        {student, teacher, exchange, optimizer, learned, watchdog, world.control(), nullptr},
        settings);
    const BatchPlan once = [](int64_t n, std::vector<int64_t>* rows, int64_t* epoch) {
      rows->resize(kRows);
      std::iota(rows->begin(), rows->end(), 0);
      *epoch = 0;
      return n < 1;
    };
    Prefetcher prefetcher(*dataset_, Split::train, once, dataset_->decoder(), 1);
    return training.run(0, EpochPlan(kRows, kRows, 0, 1).step(0), prefetcher, 0.1).totals;
  }

  ScratchFolder folder_;
  std::unique_ptr<Dataset> dataset_;
};

TEST_F(InputTest, EachNetworkOfAStepSeesItsOwnNormalization) {
  Student student = small_student(3);
  const Normalization own = student.network().spec().normalization;
  ASSERT_FALSE(own == dataset_->index().normalization);
  for (const Normalization& its : {own, Normalization{{.2f, .9f}, {.3f, .4f}}}) {
    NotingTeacher teacher(its);
    ForwardMode mode;
    mode.training = true;
    const at::Tensor logits = small_student(3).network().forward(input(own), mode).detach();
    const at::Tensor loss =
        at::nll_loss(at::log_softmax(logits, 1), to_labels(batch(), at::kCPU).own);
    Student fresh = small_student(3);
    EXPECT_NEAR(step(fresh, &teacher, false).hard, loss.item<double>(), 1e-5);
    EXPECT_TRUE(at::equal(teacher.seen, input(its)));
  }
}

TEST_F(InputTest, TheTeacherIsAskedOutsideTheStudentsPrecision) {
  Student student = small_student(3);
  NotingTeacher teacher(student.network().spec().normalization);
  step(student, &teacher, true);
  EXPECT_FALSE(teacher.autocast);
  EXPECT_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
}

TEST_F(InputTest, ARunGoesOnWithTheInputThatItBeganWith) {
  const auto trained_by_shards = [&](NetworkSpec spec) {
    spec.normalization = dataset_->index().normalization;
    return Student(make_network(spec), {}, 1, at::kCPU);
  };
  Student began = small_student(3), goes_on = trained_by_shards(small_spec());
  MasterOptimizer optimizer(began, {}, {});
  LearnedOptimizer learned(began, {}, {});
  WeightAverage average(began, {});
  Schedule schedule(TrainOptions{});
  const std::string path = folder_ / "last.safetensors";
  const Json about = describe_model("weights", small_spec(), dataset_->index().classes);
  write_model_file(path,
                   checkpoint_state(about, {}, began, optimizer, learned, average, schedule, {}));
  EXPECT_NO_THROW(load_checkpoint(path, began, optimizer, learned, average, schedule));
  const std::string text = error_of(ExitCode::settings, [&] {
    load_checkpoint(path, goes_on, optimizer, learned, average, schedule);
  });
  for (const auto& one : {small_spec().normalization, dataset_->index().normalization}) {
    EXPECT_NE(text.find(to_text(one)), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace bitstill
