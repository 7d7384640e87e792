#include "bitstill/train/schedule.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

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

TEST(Schedule, ConstantAndStep) {
  const Schedule constant(options_of(RateSchedule::constant), 7);
  for (const int64_t step : {0, 1, 69, 1000}) EXPECT_DOUBLE_EQ(constant.rate(step), 0.4);

  TrainOptions options = options_of(RateSchedule::step);
  options.step_epochs = {3, 6};
  options.rate_factor = 0.2;
  const Schedule step(options, 7);
  for (int64_t i = 0; i < 70; ++i) {
    const int64_t epoch = i / 7;
    const double expected = epoch < 3 ? 0.4 : epoch < 6 ? 0.4 * 0.2 : 0.4 * 0.2 * 0.2;
    EXPECT_DOUBLE_EQ(step.rate(i), expected) << i;
  }
}

TEST(Schedule, CosineFallsToZero) {
  const Schedule cosine(options_of(RateSchedule::cosine), 7);
  for (int64_t i = 0; i <= 70; ++i) {
    const double expected =
        0.4 * (1 + std::cos(3.14159265358979324 * static_cast<double>(i) / 70)) / 2;
    EXPECT_NEAR(cosine.rate(i), expected, 1e-12) << i;
  }
  EXPECT_NEAR(cosine.rate(70), 0, 1e-15);
  EXPECT_NEAR(cosine.rate(1000), 0, 1e-15);
}

TEST(Schedule, PolynomialFallsToZero) {
  TrainOptions options = options_of(RateSchedule::polynomial);
  for (const double power : {1.0, 2.0, 0.5}) {
    options.power = power;
    const Schedule polynomial(options, 7);
    for (int64_t i = 0; i <= 70; ++i) {
      EXPECT_NEAR(polynomial.rate(i), 0.4 * std::pow(1 - static_cast<double>(i) / 70, power),
                  1e-12);
    }
    EXPECT_EQ(polynomial.rate(1000), 0);
  }
}

TEST(Schedule, TheRateGrowsWithTheBatch) {
  TrainOptions options = options_of(RateSchedule::constant);
  options.global_batch = 1024;
  options.base_batch = 256;
  EXPECT_DOUBLE_EQ(Schedule(options, 7).rate(3), 1.6);
  options.base_batch = 0;
  EXPECT_DOUBLE_EQ(Schedule(options, 7).rate(3), 0.4);
}

TEST(Schedule, WarmUpGrowsLinearlyThenTheScheduleBegins) {
  for (const double epochs : {2.0, 0.5, 1.3}) {
    TrainOptions options = options_of(RateSchedule::cosine);
    options.warmup_epochs = epochs;
    const Schedule cosine(options, 7);
    const auto length = static_cast<int64_t>(std::ceil(epochs * 7));
    for (int64_t i = 0; i < length; ++i) {
      EXPECT_NEAR(cosine.rate(i), 0.4 * static_cast<double>(i + 1) / static_cast<double>(length),
                  1e-12);
    }
    const double done = (static_cast<double>(length) - epochs * 7) / (70 - epochs * 7);
    EXPECT_NEAR(cosine.rate(length), 0.4 * (1 + std::cos(3.14159265358979324 * done)) / 2, 1e-12);
    EXPECT_NEAR(cosine.rate(70), 0, 1e-15);
  }
  TrainOptions all = options_of(RateSchedule::cosine);
  all.warmup_epochs = 10;  // nothing is left for the cosine
  for (int64_t i = 0; i < 70; ++i) EXPECT_TRUE(std::isfinite(Schedule(all, 7).rate(i)));
}

TEST(Schedule, PlateauCutsAfterEpochsWithoutAnImprovement) {
  TrainOptions options = options_of(RateSchedule::plateau);
  options.plateau_epochs = 3;
  options.plateau_points = 0.1;
  options.rate_factor = 0.5;
  Schedule plateau(options, 7);
  const double errors[] = {10, 9, 8.95, 8.92, 8.91, 8.5, 8.5, 8.41, 8.45, 8.39, 8.4, 8.4, 8.4};
  // None of the three after 9 is better by 0.1: a cut. Nor are the three after 8.5; 8.39 is.
  const double rates[] = {.4, .4, .4, .4, .2, .2, .2, .2, .1, .1, .1, .1, .05};
  for (int i = 0; i < 13; ++i) {
    plateau.observe(errors[i]);
    EXPECT_DOUBLE_EQ(plateau.rate(7 * (i + 1)), rates[i]) << i;
  }
}

TEST(Schedule, StateContinues) {
  TrainOptions options = options_of(RateSchedule::plateau);
  options.plateau_epochs = 2;
  Schedule whole(options, 3), first(options, 3), second(options, 3);
  const double errors[] = {5, 5, 5, 4, 4, 4.2, 4.1, 3};
  for (int i = 0; i < 8; ++i) {
    whole.observe(errors[i]);
    (i < 4 ? first : second).observe(errors[i]);
    if (i == 3) second.restore(Json::parse(first.state().dump()));
    EXPECT_EQ(whole.rate(i), (i < 3 ? first : second).rate(i)) << i;
  }
  EXPECT_EQ(whole.state(), second.state());
  EXPECT_LT(whole.rate(0), 0.4);
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
