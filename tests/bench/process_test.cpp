#include "bitstill/bench/process.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "../../src/bench/opennmt.hpp"
#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

using Numbers = std::vector<double>;

TEST(PeerOutput, TheNumberBeforeAUnitInLinesThatBeginSo) {
  const std::string text =
      "DALI 2.4 CPU /x/224.jpg 497 images/CPU-s\n"
      "  tensor backend        1151.5 images/CPU-s\n"
      "\n"
      "tensor backend, none here\n"
      "tensor backend of no images/CPU-s\n"
      "another tensor backend 3 images/CPU-s\n";
  EXPECT_EQ(numbers_before(" images/CPU-s", "DALI", text), Numbers{497});
  EXPECT_EQ(numbers_before(" images/CPU-s", "tensor backend", text), Numbers{1151.5});
  EXPECT_EQ(numbers_before(" images/CPU-s", "none", text), Numbers{});
  EXPECT_EQ(numbers_before(" images/CPU-s", "", ""), Numbers{});
}

TEST(PeerOutput, OfTranslation) {
  EXPECT_EQ(peer_rates("CPU",
                       "[2026-11-27 08:14:51,332 INFO] Start training loop\n"
                       "CPU 10.3 tgt words 3698 src 2896 -> 360 tgt tok/CPU-s\n"
                       "CPU 15.4 tgt words 3804 src 3684 -> 742 tgt tok/CPU-s\n"),
            (Numbers{360, 742}));
  EXPECT_EQ(
      peer_rates("ONMT", "ONMT LSTM 1x256 beam 5 2048 tok 1227 tgt tok/CPU-s incl. load 1.7s"),
      Numbers{1227});
  EXPECT_EQ(peer_rates("BENCH",
                       "params 5\nBENCH L1 d256 thr1 bf161: 2765 tgt tok/CPU-s, 5400 src+tgt "
                       "tok/CPU-s, epoch 170 CPU-s\n"),
            Numbers{2765});
  EXPECT_THROW(peer_rates("BENCH", "CPU 1.0 -> 2 tgt tok/CPU-s\n"), Error);
}

TEST(Program, AGivenVariableReplacesTheInheritedOne) {
  ::setenv("BITSTILL_A", "inherited", 1);
  for (const char* shell : {"bash", "sh"}) {
    EXPECT_EQ(run_program({shell, "-c", "echo $BITSTILL_A"}, {"BITSTILL_A=given"}).output,
              "given\n");
  }
  EXPECT_EQ(run_program({"bash", "-c", "echo $BITSTILL_A"}).output, "inherited\n");
  ::unsetenv("BITSTILL_A");
}

TEST(Program, OutputAndSecondsOfTheProcessor) {
  const Finished done =
      run_program({"bash", "-c", "echo $A; for ((i = 0; i < 100000; ++i)); do :; done"}, {"A=7"});
  EXPECT_EQ(done.output, "7\n");
  EXPECT_GT(done.cpu_seconds, 0);
  EXPECT_THROW(run_program({"bash", "-c", "exit 3"}), Error);
}

TEST(MadeSentences, AreTheirNumbersAloneAndAboutAsLongAsReal) {
  const auto words = [](uint64_t number, int side) {
    const std::string text = made_sentence(number, side);
    return 1 + std::count(text.begin(), text.end(), ' ');
  };
  EXPECT_EQ(made_sentence(5, 1), made_sentence(5, 1));
  EXPECT_NE(made_sentence(5, 0), made_sentence(6, 0));
  int64_t sum = 0, longest = 0;
  for (uint64_t number = 0; number < 2000; ++number) {
    const auto source = words(number, 0), target = words(number, 1);
    EXPECT_GE(target, 3);
    EXPECT_LE(std::abs(source - target), 2);
    sum += source;
    longest = std::max<int64_t>(longest, source);
  }
  EXPECT_NEAR(static_cast<double>(sum) / 2000, 12.7, 0.7);  // 12 exp(0.33^2 / 2)
  EXPECT_GT(longest, 20);
  EXPECT_LE(longest, 40);
}

}  // namespace
}  // namespace bitstill
