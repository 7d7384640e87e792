// OpenNMT-py as a peer, by the scripts and settings of BITSTILL_PEERS.
#pragma once

#include <string>
#include <vector>

#include "bitstill/bench/process.hpp"
#include "sentence_data.hpp"

namespace bitstill {

class OpenNmt {
 public:
  static constexpr int64_t kLines = 128, kTokens = 16;  // what translate() translates, and to
  /// A folder of `data`'s sentences in pieces of its vocabulary, and a model that translates them,
  /// of two steps.
  explicit OpenNmt(const SentenceData& data);
  /// Why it cannot run here; empty when it can.
  const std::string& absent() const { return absent_; }
  /// Target tokens a CPU second by onmt_train.py: an LSTM of both directions, dropout 0.3, Adam,
  /// 2,048 padded tokens a step (onmt.yaml). The mean of `steps` steps behind as many others.
  double train(int64_t layers, int64_t size, int64_t steps) const;
  /// The same of onmt_translate.py on the first lines of val.en, each to kTokens tokens: from its
  /// model's loading on, what it imports came before.
  double translate(int64_t beam) const;

 private:
  std::string run_training(int64_t layers, int64_t size, int64_t steps, int64_t interval) const;
  TemporaryFolder folder_;
  Peer trainer_, translator_;
  std::string absent_;
};

/// On sentence_data(), made at the first call.
const OpenNmt& opennmt();

/// What the peers print: "... 2265 tgt tok/CPU-s ..." in lines that begin so.
std::vector<double> peer_rates(const std::string& begin, const std::string& output);

}  // namespace bitstill
