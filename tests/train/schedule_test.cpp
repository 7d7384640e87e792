#include "bitstill/train/schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <vector>

#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

TrainOptions options_of(RateSchedule schedule) {
  TrainOptions options;
  options.schedule = schedule;
  options.rate = 0.4;
  options.epochs = 10;
  return options;
}

/// The rate of a step where each epoch has 7.
double rate_at(const Schedule& schedule, int64_t step) {
  return schedule.rate({step, step / 7, step % 7, 7});
}

TEST(Schedule, ConstantAndStep) {
  const Schedule constant(options_of(RateSchedule::constant));
  for (const int64_t step : {0, 1, 69, 1000}) EXPECT_DOUBLE_EQ(rate_at(constant, step), 0.4);

  TrainOptions options = options_of(RateSchedule::step);
  options.step_epochs = {3, 6};
  options.rate_factor = 0.2;
  const Schedule step(options);
  for (int64_t i = 0; i < 70; ++i) {
    const int64_t epoch = i / 7;
    const double expected = epoch < 3 ? 0.4 : epoch < 6 ? 0.4 * 0.2 : 0.4 * 0.2 * 0.2;
    EXPECT_DOUBLE_EQ(rate_at(step, i), expected) << i;
  }
}

TEST(Schedule, CosineFallsToZero) {
  const Schedule cosine(options_of(RateSchedule::cosine));
  for (int64_t i = 0; i <= 70; ++i) {
    const double expected =
        0.4 * (1 + std::cos(3.14159265358979324 * static_cast<double>(i) / 70)) / 2;
    EXPECT_NEAR(rate_at(cosine, i), expected, 1e-12) << i;
  }
  EXPECT_NEAR(rate_at(cosine, 70), 0, 1e-15);
  EXPECT_NEAR(rate_at(cosine, 1000), 0, 1e-15);
}

TEST(Schedule, PolynomialFallsToZero) {
  TrainOptions options = options_of(RateSchedule::polynomial);
  for (const double power : {1.0, 2.0, 0.5}) {
    options.power = power;
    const Schedule polynomial(options);
    for (int64_t i = 0; i <= 70; ++i) {
      EXPECT_NEAR(rate_at(polynomial, i), 0.4 * std::pow(1 - static_cast<double>(i) / 70, power),
                  1e-12);
    }
    EXPECT_EQ(rate_at(polynomial, 1000), 0);
  }
}

TEST(Schedule, TheRateGrowsWithTheBatch) {
  TrainOptions options = options_of(RateSchedule::constant);
  options.global_batch = 1024;
  options.base_batch = 256;
  EXPECT_DOUBLE_EQ(rate_at(Schedule(options), 3), 1.6);
  options.base_batch = 0;
  EXPECT_DOUBLE_EQ(rate_at(Schedule(options), 3), 0.4);
}

TEST(Schedule, WarmUpGrowsLinearlyThenTheScheduleBegins) {
  for (const double epochs : {2.0, 0.5, 1.3}) {
    TrainOptions options = options_of(RateSchedule::cosine);
    options.warmup_epochs = epochs;
    const Schedule cosine(options);
    const auto length = static_cast<int64_t>(std::ceil(epochs * 7));
    for (int64_t i = 0; i < length; ++i) {
      EXPECT_NEAR(rate_at(cosine, i),
                  0.4 * static_cast<double>(i + 1) / static_cast<double>(length), 1e-12);
    }
    const double done = (static_cast<double>(length) - epochs * 7) / (70 - epochs * 7);
    EXPECT_NEAR(rate_at(cosine, length), 0.4 * (1 + std::cos(3.14159265358979324 * done)) / 2,
                1e-12);
    EXPECT_NEAR(rate_at(cosine, 70), 0, 1e-15);
  }
  TrainOptions all = options_of(RateSchedule::cosine);
  all.warmup_epochs = 10;  // nothing is left for the cosine
  for (int64_t i = 0; i < 70; ++i) EXPECT_TRUE(std::isfinite(rate_at(Schedule(all), i)));
}

/// What the rate of a step was when all epochs had `steps`.
double rate_of_equal_epochs(const TrainOptions& o, int64_t step, int64_t steps) {
  const double epoch = static_cast<double>(step) / static_cast<double>(steps);
  double rate = o.rate;
  if (o.warmup_epochs > 0 && epoch < o.warmup_epochs) {
    return rate * static_cast<double>(step + 1) /
           std::ceil(o.warmup_epochs * static_cast<double>(steps));
  }
  const double length = static_cast<double>(o.epochs) - o.warmup_epochs;
  const double done = std::clamp((epoch - o.warmup_epochs) / length, 0.0, 1.0);
  if (o.schedule == RateSchedule::cosine) rate *= 0.5 * (1 + std::cos(std::numbers::pi * done));
  if (o.schedule == RateSchedule::polynomial) rate *= std::pow(1 - done, o.power);
  for (const int64_t cut : o.step_epochs) {
    if (epoch >= static_cast<double>(cut)) rate *= o.rate_factor;
  }
  return rate;
}

TEST(Schedule, EqualEpochsHaveTheRatesToTheBit) {
  for (const RateSchedule kind : {RateSchedule::constant, RateSchedule::step, RateSchedule::cosine,
                                  RateSchedule::polynomial}) {
    for (const double warmup : {0.0, 0.7, 3.0}) {
      for (const int64_t steps : {1, 7, 313}) {
        TrainOptions options = options_of(kind);
        options.warmup_epochs = warmup;
        options.rate_factor = 0.3;
        if (kind == RateSchedule::step) options.step_epochs = {2, 3, 9};
        const Schedule schedule(options);
        for (int64_t i = 0; i < 10 * steps; ++i) {
          ASSERT_EQ(schedule.rate({i, i / steps, i % steps, steps}),
                    rate_of_equal_epochs(options, i, steps))
              << kind << ", warm-up " << warmup << ", step " << i << " of " << steps;
        }
      }
    }
  }
}

/// The rates of epochs that have so many steps.
std::vector<std::vector<double>> rates_of(const TrainOptions& options,
                                          const std::vector<int64_t>& steps) {
  const Schedule schedule(options);
  std::vector<std::vector<double>> rates(steps.size());
  int64_t step = 0;
  for (std::size_t epoch = 0; epoch < steps.size(); ++epoch) {
    for (int64_t within = 0; within < steps[epoch]; ++within, ++step) {
      rates[epoch].push_back(
          schedule.rate({step, static_cast<int64_t>(epoch), within, steps[epoch]}));
    }
  }
  return rates;
}

TEST(Schedule, EpochsOfUnequalStepsCountByTheirShare) {
  TrainOptions options = options_of(RateSchedule::cosine);
  options.epochs = 4;
  const std::vector<int64_t> steps = {5, 8, 3, 6};
  for (const double warmup : {0.0, 1.5}) {
    options.warmup_epochs = warmup;
    const auto rates = rates_of(options, steps);
    double before = warmup > 0 ? 0 : 1;
    for (std::size_t epoch = 0; epoch < steps.size(); ++epoch) {
      for (std::size_t i = 0; i < rates[epoch].size(); ++i) {
        const double at =
            static_cast<double>(epoch) + static_cast<double>(i) / static_cast<double>(steps[epoch]);
        if (at < warmup) {
          const double share = 1 / static_cast<double>(steps[epoch]);  // of a step
          EXPECT_GT(rates[epoch][i], 0.4 * at / warmup);
          EXPECT_LE(rates[epoch][i], 0.4 * (at + share) / warmup + 1e-12);
          EXPECT_GT(rates[epoch][i], before);
        } else {
          const double done = (at - warmup) / (4 - warmup);
          EXPECT_NEAR(rates[epoch][i], 0.2 * (1 + std::cos(3.14159265358979324 * done)), 1e-12);
        }
        before = rates[epoch][i];
      }
    }
  }
  options = options_of(RateSchedule::step);
  options.step_epochs = {1, 3};
  const std::vector<std::vector<double>> expected = {std::vector(5, 0.4), std::vector(8, 0.2),
                                                     std::vector(3, 0.2), std::vector(6, 0.1)};
  EXPECT_EQ(rates_of(options, steps), expected);
}

TEST(Schedule, HalveCutsInEachEpochFromOneOn) {
  TrainOptions options = options_of(RateSchedule::halve);
  options.step_epochs = {2};
  const std::vector<std::vector<double>> halves = {std::vector(3, 0.4), std::vector(1, 0.4),
                                                   std::vector(4, 0.2), std::vector(2, 0.1),
                                                   std::vector(2, 0.05)};
  EXPECT_EQ(rates_of(options, {3, 1, 4, 2, 2}), halves);
  options.rate_factor = 0.7;
  options.step_epochs = {0};  // in the first epoch, too
  double expected = 0.4;
  for (const auto& epoch : rates_of(options, {2, 2, 2})) {
    expected *= 0.7;
    for (const double rate : epoch) EXPECT_DOUBLE_EQ(rate, expected);
  }
  options.warmup_epochs = 1;  // it has the first epoch
  options.step_epochs = {1};
  EXPECT_DOUBLE_EQ(rates_of(options, {2, 2})[0][0], 0.2);
  EXPECT_DOUBLE_EQ(rates_of(options, {2, 2})[1][0], 0.4 * 0.7);
}

TEST(Schedule, InverseSqrtIsTheTransformers) {
  // The paper's, of size 512: 512^-0.5 min(s^-0.5, s 4000^-1.5); its peak is given as train.rate.
  TrainOptions options = options_of(RateSchedule::inverse_sqrt);
  options.warmup_steps = 4000;
  options.rate = 1 / std::sqrt(512.0 * 4000);
  const Schedule schedule(options);
  for (const int64_t s : {1, 2, 1000, 3999, 4000, 4001, 16000, 300000}) {
    const auto at = static_cast<double>(s);
    const double paper =
        std::pow(512, -0.5) * std::min(std::pow(at, -0.5), at * std::pow(4000, -1.5));
    EXPECT_NEAR(schedule.rate({s - 1, 3, 5, 9}) / paper, 1, 1e-12) << s;
  }
  EXPECT_DOUBLE_EQ(schedule.rate({3999, 0, 0, 1}), options.rate);
  EXPECT_DOUBLE_EQ(schedule.rate({15999, 0, 0, 1}), options.rate / 2);
}

TEST(Schedule, PlateauCutsAfterEpochsWithoutAnImprovement) {
  TrainOptions options = options_of(RateSchedule::plateau);
  options.plateau_epochs = 3;
  options.plateau_points = 0.1;
  options.rate_factor = 0.5;
  Schedule plateau(options);
  const double errors[] = {10, 9, 8.95, 8.92, 8.91, 8.5, 8.5, 8.41, 8.45, 8.39, 8.4, 8.4, 8.4};
  // None of the three after 9 is better by 0.1: a cut. Nor are the three after 8.5; 8.39 is.
  const double rates[] = {.4, .4, .4, .4, .2, .2, .2, .2, .1, .1, .1, .1, .05};
  for (int i = 0; i < 13; ++i) {
    plateau.observe(errors[i]);
    EXPECT_DOUBLE_EQ(rate_at(plateau, 7 * (i + 1)), rates[i]) << i;
  }
}

TEST(Schedule, StateContinues) {
  TrainOptions options = options_of(RateSchedule::plateau);
  options.plateau_epochs = 2;
  Schedule whole(options), first(options), second(options);
  const double errors[] = {5, 5, 5, 4, 4, 4.2, 4.1, 3};
  for (int i = 0; i < 8; ++i) {
    whole.observe(errors[i]);
    (i < 4 ? first : second).observe(errors[i]);
    if (i == 3) second.restore(Json::parse(first.state().dump()));
    EXPECT_EQ(rate_at(whole, i), rate_at(i < 3 ? first : second, i)) << i;
  }
  EXPECT_EQ(whole.state(), second.state());
  EXPECT_LT(rate_at(whole, 0), 0.4);
}

// Every check of options.hpp: one bad value each.

template <class Options>
struct Bad {
  const char* key;
  std::function<void(Options&)> spoil;
};

template <class... Arguments>
void expect_refusal(const char* key, const Arguments&... options) {
  try {
    check(options...);
    ADD_FAILURE() << key << " was accepted";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(error.code(), ExitCode::settings) << text;
    EXPECT_EQ(text.rfind(std::string(key) + " = ", 0), 0u) << key << ": " << text;
    EXPECT_EQ(text.find('\n'), std::string::npos);
  }
}

template <class Options>
void check_all(const std::vector<Bad<Options>>& list) {
  EXPECT_NO_THROW(check(Options{}));
  for (const auto& bad : list) {
    Options options;
    bad.spoil(options);
    expect_refusal(bad.key, options);
  }
}

TEST(Options, EveryBadValueIsNamed) {
  using T = TrainOptions;
  check_all<T>({
      {"train.epochs", [](T& o) { o.epochs = -1; }},
      {"train.global_batch", [](T& o) { o.global_batch = 1; }},
      {"train.micro_batch", [](T& o) { o.micro_batch = 1; }},
      {"train.micro_batch", [](T& o) { o.micro_batch = -2; }},
      {"train.rate", [](T& o) { o.rate = 0; }},
      {"train.rate", [](T& o) { o.rate = NAN; }},
      {"train.rate", [](T& o) { o.rate = INFINITY; }},
      {"train.momentum", [](T& o) { o.momentum = 1; }},
      {"train.momentum", [](T& o) { o.momentum = -0.1; }},
      {"train.nesterov", [](T& o) { o.momentum = 0; }},
      {"train.weight_decay", [](T& o) { o.weight_decay = -1e-4; }},
      {"train.clip_norm", [](T& o) { o.clip_norm = -1; }},
      {"train.schedule", [](T& o) { o.schedule = RateSchedule::step; }},  // without step_epochs
      {"train.schedule", [](T& o) { o.schedule = RateSchedule::halve; }},
      {"train.schedule",
       [](T& o) {
         o.schedule = RateSchedule::halve;
         o.step_epochs = {4, 5};
       }},
      {"train.schedule", [](T& o) { o.schedule = RateSchedule::inverse_sqrt; }},
      {"train.warmup_steps",
       [](T& o) {
         o.schedule = RateSchedule::inverse_sqrt;
         o.warmup_steps = 10;
         o.warmup_epochs = 1;
       }},
      {"train.warmup_steps", [](T& o) { o.warmup_steps = 10; }},  // of cosine
      {"train.micro_tokens", [](T& o) { o.micro_tokens = -1; }},
      {"train.micro_tokens", [](T& o) { o.micro_tokens = o.micro_batch = 64; }},
      {"train.micro_tokens", [](T& o) { o.micro_tokens = o.global_tokens + 1; }},
      {"train.global_tokens", [](T& o) { o.global_tokens = 0; }},
      {"train.step_epochs",
       [](T& o) {
         o.step_epochs = {5, 3};
       }},
      {"train.warmup_epochs", [](T& o) { o.warmup_epochs = -1; }},
      {"train.rate_factor", [](T& o) { o.rate_factor = 0; }},
      {"train.rate_factor", [](T& o) { o.rate_factor = 1.5; }},
      {"train.plateau_epochs", [](T& o) { o.plateau_epochs = 0; }},
      {"train.plateau_points", [](T& o) { o.plateau_points = -1; }},
      {"train.patience", [](T& o) { o.patience = -1; }},
      {"train.batch_norm_momentum", [](T& o) { o.batch_norm_momentum = 0; }},
      {"train.reestimate_batches", [](T& o) { o.reestimate_batches = -1; }},
  });
  using D = DistillOptions;
  check_all<D>({{"distill.temperature", [](D& o) { o.temperature = 0; }},
                {"distill.soft_weight", [](D& o) { o.soft_weight = 1.1; }},
                {"distill.soft_weight", [](D& o) { o.soft_weight = -0.1; }}});
  using E = ExchangeOptions;
  check_all<E>({{"exchange.chunk_bytes", [](E& o) { o.chunk_bytes = 1000; }},
                {"exchange.chunk_bytes", [](E& o) { o.chunk_bytes = -1; }},
                {"exchange.codec", [](E& o) {
                   o.codec = Codec::bf16;
                   o.order = ExchangeOrder::fixed;
                 }}});
}

TEST(Options, ImagesAndSentencesHaveTheirOwn) {
  TrainingOptions images, sentences;
  images.train.micro_batch = 16;
  sentences.train.micro_tokens = 512;
  sentences.exchange.order = ExchangeOrder::fixed;
  EXPECT_NO_THROW(check(sentences.train, sentences.exchange));
  for (const Content content : {Content::images, Content::jpeg}) {
    EXPECT_NO_THROW(check(images, content));
    expect_refusal("train.micro_tokens", sentences, content);
  }
  EXPECT_NO_THROW(check(sentences, Content::tokens));
  expect_refusal("train.micro_batch", images, Content::tokens);
  TrainingOptions bad = sentences;
  bad.train.base_batch = 256;
  expect_refusal("train.base_batch", bad, Content::tokens);
  bad = sentences;
  bad.quant.redistribute = Redistribute::points;
  expect_refusal("quant.redistribute", bad, Content::tokens);
}

TEST(Options, FixedOrderNeedsMicroBatchesAndLocalStatistics) {
  TrainOptions train;
  ExchangeOptions exchange;
  EXPECT_NO_THROW(check(train, exchange));
  exchange.order = ExchangeOrder::fixed;
  expect_refusal("exchange.order", train, exchange);
  train.micro_batch = 16;
  EXPECT_NO_THROW(check(train, exchange));
  train.batch_norm = BatchNormSource::synced;
  expect_refusal("train.batch_norm", train, exchange);
  TrainOptions plain;  // momentum 0 is fine without Nesterov
  plain.momentum = 0;
  plain.nesterov = false;
  EXPECT_NO_THROW(check(plain));
}

}  // namespace
}  // namespace bitstill
