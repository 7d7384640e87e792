#include "bitstill/train/average.hpp"

#include <algorithm>
#include <cmath>

#include "train_fixture.hpp"

namespace bitstill {
namespace {

TrainOptions averaged(Average average) {
  TrainOptions options;
  options.average = average;
  options.average_decay = 0.9;
  options.epochs = 7;
  options.average_epochs = 3;
  return options;
}

/// Other values after each step, the learned ones rising within their tensor.
void move(Student& student, int64_t step) {
  const auto at = [&](int64_t i) {
    return static_cast<float>(
        std::sin(0.3 * static_cast<double>(i) + 1.7 * static_cast<double>(step)));
  };
  for (const Segment& segment : student.segments()) {
    float* master = student.masters().data_ptr<float>() + segment.offset;
    for (int64_t i = 0; i < segment.count; ++i) master[i] = at(i + segment.offset);
  }
  float* running = student.running().data_ptr<float>();
  for (int64_t i = 0; i < student.running().numel(); ++i) running[i] = at(7 * i);
  if (student.quantizer() == nullptr) return;
  auto& learned = student.quantizer()->learned();
  for (std::size_t i = 0; i < learned.size(); ++i) learned[i] = at(static_cast<int64_t>(3 * i));
  for (const LearnedRun& run : student.quantizer()->learned_runs()) {
    std::sort(learned.begin() + run.offset, learned.begin() + run.offset + run.count);
  }
}

/// All that is averaged, in double.
std::vector<double> values_of(Student& student) {
  std::vector<double> values;
  const auto add = [&](const float* from, int64_t count) {
    values.insert(values.end(), from, from + count);
  };
  add(student.masters().const_data_ptr<float>(), student.masters().numel());
  add(student.running().const_data_ptr<float>(), student.running().numel());
  if (student.quantizer() != nullptr) {
    const auto& learned = student.quantizer()->learned();
    add(learned.data(), static_cast<int64_t>(learned.size()));
  }
  return values;
}

QuantOptions joint() {
  QuantOptions options = uniform(2, 16);
  options.method = QuantMethod::joint;
  return options;
}

void expect_near(const std::vector<double>& found, const std::vector<double>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 1e-6) << i;
}

TEST(Average, ExponentialOverSteps) {
  for (const QuantOptions& quant : {QuantOptions{}, joint()}) {
    Student student = small_student(6, quant);
    WeightAverage average(student, averaged(Average::ema));
    std::vector<double> expected;
    for (int64_t step = 0; step < 40; ++step) {
      move(student, step);
      average.after_step();
      average.after_epoch(step);  // has no part in it
      const std::vector<double> now = values_of(student);
      const auto n = static_cast<double>(step);
      const double decay = step == 0 ? 0 : std::min(0.9, (1 + n) / (10 + n));
      if (expected.empty()) expected = now;
      for (std::size_t i = 0; i < now.size(); ++i) {
        expected[i] = decay * expected[i] + (1 - decay) * now[i];
      }
    }
    const std::vector<double> before = values_of(student);
    {
      const AveragedStudent scope(average);
      expect_near(values_of(student), expected);
      if (student.quantizer() == nullptr) continue;
      const auto& learned = student.quantizer()->learned();
      for (const LearnedRun& run : student.quantizer()->learned_runs()) {
        EXPECT_TRUE(
            std::is_sorted(learned.begin() + run.offset, learned.begin() + run.offset + run.count));
      }
    }
    EXPECT_EQ(values_of(student), before);
  }
}

TEST(Average, MeanOfTheLastEpochsEnds) {
  Student student = small_student(6, joint());
  WeightAverage average(student, averaged(Average::last));
  std::vector<double> sum;
  for (int64_t epoch = 1; epoch <= 7; ++epoch) {
    move(student, epoch);
    average.after_step();  // has no part in it
    average.after_epoch(epoch);
    const std::vector<double> now = values_of(student);
    if (epoch <= 4) {
      const AveragedStudent none_yet(average);
      EXPECT_EQ(values_of(student), now);
      continue;
    }
    if (sum.empty()) sum.resize(now.size());
    for (std::size_t i = 0; i < now.size(); ++i) sum[i] += now[i] / 3;
  }
  average.swap();
  expect_near(values_of(student), sum);
}

TEST(Average, StateContinuesBitForBit) {
  for (const Average kind : {Average::ema, Average::last}) {
    Student whole = small_student(6, joint()), again = small_student(8, joint());
    WeightAverage whole_average(whole, averaged(kind)), again_average(again, averaged(kind));
    const auto train = [&](Student& student, WeightAverage& average, int64_t from, int64_t to) {
      for (int64_t epoch = from; epoch <= to; ++epoch) {
        move(student, epoch);
        average.after_step();
        average.after_epoch(epoch);
      }
    };
    train(whole, whole_average, 1, 6);
    again_average.restore(whole_average.state(), "a checkpoint");
    train(whole, whole_average, 7, 7);
    train(again, again_average, 7, 7);
    whole_average.swap();
    again_average.swap();
    EXPECT_EQ(values_of(whole), values_of(again));
    NamedTensors damaged = whole_average.state();
    damaged[0].second = damaged[0].second.narrow(0, 0, 3);
    EXPECT_NE(
        error_of(ExitCode::model, [&] { again_average.restore(damaged, "FILE"); }).find("FILE"),
        std::string::npos);
  }
}

}  // namespace
}  // namespace bitstill
