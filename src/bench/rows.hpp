// What a row of figures is made of, and what measures each.
#pragma once

#include <string>
#include <vector>

#include "bitstill/base/json.hpp"
#include "bitstill/base/median.hpp"
#include "bitstill/bench/bench.hpp"

namespace bitstill {

/// One figure of a row against its own target.
struct Part {
  std::string name;
  double value = 0, target = 0;
  bool at_least = true;  // else: at most
  Json details;          // medians, minima: what the value is made of
  bool pass() const { return at_least ? value >= target : value <= target; }
  double margin() const {
    if (value == target) return 1;
    return at_least ? value / target : target / value;
  }
};

struct Row {
  std::vector<Part> parts;
  std::string against;
  Json conditions;   // of this row, beside the machine's
  std::string skip;  // why nothing was measured
};

Row bench_distillation_step(const BenchOptions& options);      // P1
Row bench_quantized_step(const BenchOptions& options);         // P2
Row bench_kernels(const BenchOptions& options);                // P3
Row bench_hidden_exchange(const BenchOptions& options);        // P4
Row bench_coded_exchange(const BenchOptions& options);         // P4q
Row bench_weak_scaling(const BenchOptions& options);           // P5
Row bench_simulation(const BenchOptions& options);             // P6
Row bench_thousand_nodes(const BenchOptions& options);         // P6b
Row bench_thousands_of_nodes(const BenchOptions& options);     // P6c
Row bench_slice_memory(const BenchOptions& options);           // P7
Row bench_slice_time(const BenchOptions& options);             // P8
Row bench_cached_step(const BenchOptions& options);            // P9
Row bench_traffic(const BenchOptions& options);                // P10
Row bench_file_size(const BenchOptions& options);              // P12
Row bench_decode(const BenchOptions& options);                 // P13
Row bench_checkpoint(const BenchOptions& options);             // P15
Row bench_start(const BenchOptions& options);                  // P16
Row bench_gpu(const BenchOptions& options);                    // P18
Row bench_translation_step(const BenchOptions& options);       // T1
Row bench_distilled_lstm(const BenchOptions& options);         // T2
Row bench_translate(const BenchOptions& options);              // T3
Row bench_translate_transformer(const BenchOptions& options);  // T4
Row bench_sentence_cost(const BenchOptions& options);          // T5
Row bench_jpeg(const BenchOptions& options);                   // V1
Row bench_residual_step(const BenchOptions& options);          // V2
Row bench_frozen_residual(const BenchOptions& options);        // V3
Row bench_decode_threads(const BenchOptions& options);         // V4
Row bench_large_start(const BenchOptions& options);            // V5
Row bench_residual_bits(const BenchOptions& options);          // V6

/// Whether train.precision = auto means bf16 on this processor.
bool has_bf16();

std::vector<std::string> split_list(const std::string& text);

}  // namespace bitstill
