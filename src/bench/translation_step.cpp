// T1 and T2: training steps of networks of sentences, one process of one thread.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/train/options.hpp"
#include "opennmt.hpp"
#include "peer_sweep.hpp"
#include "rows.hpp"

namespace bitstill {
namespace {

/// The lines of one `bench sentences` on the common pairs.
std::vector<Json> run_sentences(const Words& arguments) {
  Words command = {own_path(), "bench", "sentences", "--folder", sentence_data().shards()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return json_lines(run_program(command).output);
}

std::vector<TrainPrecision> precisions() {
  std::vector<TrainPrecision> all = {TrainPrecision::fp32};
  if (has_bf16()) all.push_back(TrainPrecision::bf16);
  return all;
}

/// Ours over a peer, or ours alone among the conditions.
void add_part(const std::string& name, const Pair& rates, double target, const Json& ours,
              Row* row) {
  if (rates.a.empty()) {
    row->conditions["tokens_per_cpu_s"][name] = median(rates.b);
    return;
  }
  row->parts.push_back({name,
                        median(rates.ratios()),
                        target,
                        true,
                        {{"tokens_per_cpu_s", {median(rates.b), median(rates.a)}},
                         {"rounds", {rates.b, rates.a}},
                         {"ours", ours}}});
}

// --- T1 ---

struct Shape {
  int64_t layers, size, slower;  // how many times fewer steps are timed
};
constexpr Shape kShapes[] = {{1, 256, 4}, {2, 500, 10}};

double step_target(TrainPrecision precision) {
  return precision == TrainPrecision::fp32 ? 1.3 : 1.8;
}

void shape_parts(const Shape& shape, const BenchOptions& options, Row* row) {
  const std::vector<TrainPrecision> ways = precisions();
  const int64_t steps = std::max<int64_t>(1, options.steps / shape.slower);
  const std::string name = concat(shape.layers, "x", shape.size), count = std::to_string(steps);
  std::vector<Pair> rates(ways.size());  // target tokens a CPU second: the peer's, ours
  std::vector<Json> ours(ways.size());
  for (int64_t round = 0; round < options.rounds; ++round) {
    double theirs = 0;
    if (row->skip.empty()) theirs = opennmt().train(shape.layers, shape.size, steps);
    for (std::size_t w = 0; w < ways.size(); ++w) {
      ours[w] = run_sentences({"--layers", std::to_string(shape.layers), "--size",
                               std::to_string(shape.size), "--precision", word(ways[w]), "--warmup",
                               count, "--steps", count})
                    .at(0);
      rates[w].b.push_back(ours[w]["tokens_per_cpu_s"]);
      if (row->skip.empty()) rates[w].a.push_back(theirs);
    }
    say(concat(name, ": round ", round + 1, " of ", options.rounds));
  }
  row->conditions["timed steps"][name] = steps;
  for (std::size_t w = 0; w < ways.size(); ++w) {
    add_part(concat(name, ", ", word(ways[w])), rates[w], step_target(ways[w]), ours[w], row);
  }
}

// --- T2 ---

constexpr int64_t kTeacherLayers = 2, kTeacherSize = 512;

/// nmt_torch.py with a vocabulary and a teacher that its timed runs find.
class TorchTranslation {
 public:
  explicit TorchTranslation(const SentenceData& data) : peer_("nmt_torch.py") {
    absent_ = peer_.absent();
    if (!absent_.empty()) return;
    const std::string& folder = folder_.path();
    for (const char* const side : {"en", "de"}) {
      std::filesystem::create_symlink(concat(data.text(), "/train.", side),
                                      concat(folder, "/train.", side));
      // It validates and tests the teacher that it makes: on one pair.
      const std::string line = lines_of(concat(data.text(), "/val.", side)).front() + "\n";
      for (const char* const name : {"val", "test_2016_flickr"}) {
        std::ofstream(concat(folder, "/", name, ".", side)) << line;
      }
    }
    const int64_t pieces = SentenceData::kPieces;
    std::filesystem::copy_file(data.vocabulary_file(), concat(folder, "/sp", pieces, ".model"));
    try {  // ends after its first step
      run({"--layers", std::to_string(kTeacherLayers), "--dim", std::to_string(kTeacherSize),
           "--maxsec", "0.001", "--out", teacher()});
    } catch (const Error& error) {
      absent_ = error.what();
    }
  }

  const std::string& absent() const { return absent_; }

  /// Target tokens a CPU second of its first `steps` steps.
  double distill(int64_t steps) const {
    return peer_rates("BENCH", run({"--bf16", "1", "--quant", "4", "--teacher", teacher(),
                                    "--bench", std::to_string(steps)}))
        .front();
  }

 private:
  std::string teacher() const { return folder_.path() + "/teacher.pt"; }
  std::string run(Words words) const {
    const std::string& folder = folder_.path();
    words.insert(words.end(), {"--data", folder, "--work", folder, "--vocab",
                               std::to_string(SentenceData::kPieces)});
    return peer_.run_in(folder, words).output;
  }

  TemporaryFolder folder_;
  Peer peer_;
  std::string absent_;
};

Words distilled(const std::string& methods, TrainPrecision precision) {
  return {"--teacher.layers", std::to_string(kTeacherLayers),
          "--teacher.size",   std::to_string(kTeacherSize),
          "--methods",        methods,
          "--precision",      word(precision)};
}

/// Quantized over not, in turn within one process.
void quantized_part(TrainPrecision precision, const BenchOptions& options, Row* row) {
  Words words = distilled("none,uniform", precision);
  words.insert(words.end(),
               {"--warmup", "2", "--steps", std::to_string(std::max<int64_t>(1, options.steps / 4)),
                "--rounds", std::to_string(options.rounds)});
  const std::vector<Json> lines = run_sentences(words);
  const Pair rates{lines.at(1)["round_tokens_per_cpu_s"], lines.at(0)["round_tokens_per_cpu_s"]};
  row->parts.push_back({concat("4 bits over none, ", word(precision)),
                        median(rates.ratios()),
                        1.05,
                        false,
                        {{"tokens_per_cpu_s", {median(rates.a), median(rates.b)}},
                         {"quantize_ms", lines.at(1)["ms"]["quantize"]}}});
}

}  // namespace

Row bench_translation_step(const BenchOptions& options) {
  Row row;
  row.against =
      "OpenNMT-py in fp32, the same pairs, pieces and settings (onmt_train.py, onmt.yaml), in "
      "turn; "
      "target tokens a CPU second behind as many steps that are not counted, in both";
  row.conditions = {{"threads", 1},
                    {"rounds", options.rounds},
                    {"pairs", sentence_data().origin()},
                    {"pieces", SentenceData::kPieces}};
  if (!opennmt().absent().empty()) row.skip = "against the peer: " + opennmt().absent();
  for (const Shape& shape : kShapes) shape_parts(shape, options, &row);
  return row;
}

Row bench_distilled_lstm(const BenchOptions& options) {
  Row row;
  row.against =
      "nmt_torch.py (PyTorch, bf16), the same pairs, pieces and networks, in turn; target tokens a "
      "CPU second of the first steps, which it counts from, in both; and the same step with "
      "quant.method none, in turn within one process";
  row.conditions = {{"threads", 1},
                    {"rounds", options.rounds},
                    {"pairs", sentence_data().origin()},
                    {"pieces", SentenceData::kPieces},
                    {"student", "1x256"},
                    {"teacher", concat(kTeacherLayers, "x", kTeacherSize)},
                    {"bits", 4},
                    {"bucket", 256}};
  const TorchTranslation peer(sentence_data());
  const TrainPrecision best = precisions().back();
  if (best != TrainPrecision::bf16) {
    row.skip = "against the peer: this processor does not multiply bf16";
  } else if (!peer.absent().empty()) {
    row.skip = "against the peer: " + peer.absent();
  }
  const int64_t steps = std::max<int64_t>(1, options.steps / 2);
  Words words = distilled("uniform", best);
  words.insert(words.end(), {"--warmup", "0", "--steps", std::to_string(steps)});
  Pair rates;
  Json ours;
  for (int64_t round = 0; round < options.rounds; ++round) {
    if (row.skip.empty()) rates.a.push_back(peer.distill(steps));
    ours = run_sentences(words).at(0);
    rates.b.push_back(ours["tokens_per_cpu_s"]);
    say(concat("distilled step: round ", round + 1, " of ", options.rounds));
  }
  row.conditions["timed steps"] = steps;
  add_part(concat("4 bits, distilled, ", word(best)), rates, 1.3, ours, &row);
  for (const TrainPrecision precision : precisions()) quantized_part(precision, options, &row);
  return row;
}

}  // namespace bitstill
