// Set-up, load and save run as agreed phases: all ranks succeed, or all throw alike.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/comm/communicator.hpp"

namespace bitstill {

/// An error that every rank knows of: rank 0 alone prints it, and all exit with the same code.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// Runs `phase` here; then all ranks tell each other how it went. If any failed, every rank throws
/// AgreedError with the code and message of the lowest failing rank, prefixed "rank R: " unless all
/// ranks failed alike. What is no Error counts as ExitCode::environment. One rank sends nothing.
/// Collective: every rank of comm calls this, in the same order.
void agree(Communicator& comm, const std::function<void()>& phase);

/// The text of rank `root`, of any length, on every rank.
/// Collective: every rank of comm calls this, in the same order.
std::string broadcast_text(Communicator& comm, const std::string& text, int root);

using NamedValues = std::vector<std::pair<std::string, std::string>>;

/// Every rank gives the same items (name, value) in the same order of names; AgreedError(code)
/// names the first item that differs, the ranks that differ from the majority and both values, for
/// example
///   "train.rate differs: 0.1 on ranks 0-6, 0.2 on rank 7; start all ranks with one recipe".
/// Equal items cost one message of 8 bytes. Texts hold no zero bytes.
/// Collective: every rank of comm calls this, in the same order.
void require_equal(Communicator& comm, const NamedValues& items, ExitCode code);

}  // namespace bitstill
