#include "bitstill/comm/agree.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <new>

#include "bitstill/base/text.hpp"
#include "bitstill/comm/gather_text.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kLongestMessage = 64 * 1024;
constexpr const char* kAbsent = "(absent)";

/// How a rank's phase went; code 0: well.
struct Outcome {
  int64_t code = 0;
  std::string message;
};

Outcome run_phase(const std::function<void()>& phase) {
  try {
    phase();
    return {};
  } catch (const Error& error) {
    return {static_cast<int64_t>(error.code()), error.what()};
  } catch (const std::bad_alloc&) {
    return {static_cast<int64_t>(ExitCode::environment), "out of memory"};
  } catch (const std::exception& error) {
    return {static_cast<int64_t>(ExitCode::environment), error.what()};
  }
}

/// Items as one text: every name and value ends with a zero byte, which neither may hold.
std::string pack(const NamedValues& items) {
  std::string text;
  for (const auto& [name, value] : items) {
    (text += name) += '\0';
    (text += value) += '\0';
  }
  return text;
}

NamedValues unpack(const std::string& text) {
  NamedValues items;
  for (std::size_t at = 0; at < text.size();) {
    const std::string name = text.c_str() + at;
    at += name.size() + 1;
    const std::string value = text.c_str() + at;
    at += value.size() + 1;
    items.emplace_back(name, value);
  }
  return items;
}

/// "rank 7", "ranks 0-6, 9"
std::string name_ranks(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < ranks.size();) {
    std::size_t last = i;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    if (i > 0) text += ", ";
    text += std::to_string(ranks[i]);
    if (last > i) text += concat(last == i + 1 ? ", " : "-", ranks[last]);
    i = last + 1;
  }
  return text;
}

const char* remedy(ExitCode code) {
  switch (code) {
    case ExitCode::settings:
      return "; start all ranks with one recipe";
    case ExitCode::data:
      return "; all ranks must read the same shards";
    case ExitCode::model:
      return "; all ranks must read the same model file";
    case ExitCode::environment:
      return "; start the same build on all ranks";
    default:
      return "";
  }
}

/// The values of one name, the most frequent first, as many as fit a line.
std::string name_difference(const std::string& name, const std::vector<std::string>& values) {
  std::map<std::string, std::vector<int>> holders;
  for (std::size_t r = 0; r < values.size(); ++r) holders[values[r]].push_back(static_cast<int>(r));
  std::vector<std::pair<std::string, std::vector<int>>> groups(holders.begin(), holders.end());
  std::sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) {
    if (a.second.size() != b.second.size()) return a.second.size() > b.second.size();
    return a.second.front() < b.second.front();
  });
  std::vector<std::string> parts;
  for (const auto& [value, ranks] : groups) parts.push_back(value + " on " + name_ranks(ranks));
  std::string line = name + " differs: ";
  for (std::size_t i = 0; i < std::min<std::size_t>(parts.size(), 4); ++i) {
    line += (i > 0 ? ", " : "") + parts[i];
  }
  if (parts.size() > 4) line += concat(" and ", parts.size() - 4, " more values");
  return line;
}

/// The first item that is not the same on all ranks, and who has what; empty: none.
std::string first_difference(const std::vector<std::string>& texts) {
  std::vector<NamedValues> ranks;
  std::size_t most = 0;
  for (const std::string& text : texts) {
    ranks.push_back(unpack(text));
    most = std::max(most, ranks.back().size());
  }
  for (std::size_t i = 0; i < most; ++i) {
    std::vector<std::string> names, values;
    for (const NamedValues& rank : ranks) {
      names.push_back(i < rank.size() ? rank[i].first : kAbsent);
      values.push_back(i < rank.size() ? rank[i].second : kAbsent);
    }
    for (const auto* list : {&names, &values}) {
      if (std::count(list->begin(), list->end(), list->front()) ==
          static_cast<int64_t>(list->size())) {
        continue;
      }
      return name_difference(list == &names ? concat("the name of item ", i + 1) : names[0], *list);
    }
  }
  return "";
}

}  // namespace

void agree(Communicator& comm, const std::function<void()>& phase) {
  Outcome mine = run_phase(phase);
  if (mine.message.size() > kLongestMessage) mine.message.resize(kLongestMessage);
  if (comm.world() == 1) {
    if (mine.code != 0) throw AgreedError(static_cast<ExitCode>(mine.code), mine.message);
    return;
  }
  std::vector<int64_t> codes(static_cast<std::size_t>(comm.world()));
  comm.all_gather(&mine.code, codes.data(), 1, ElementType::i64);
  const auto failed = std::find_if(codes.begin(), codes.end(), [](int64_t c) { return c != 0; });
  if (failed == codes.end()) return;
  const auto rank = static_cast<std::size_t>(failed - codes.begin());
  const std::string message = broadcast_text(comm, mine.message, static_cast<int>(rank));
  int64_t alike = mine.code == *failed && mine.message == message ? 1 : 0;
  comm.all_reduce(&alike, 1, ElementType::i64, Reduction::min);
  throw AgreedError(static_cast<ExitCode>(*failed),
                    alike == 1 ? message : concat("rank ", rank, ": ", message));
}

std::string broadcast_text(Communicator& comm, const std::string& text, int root) {
  auto length = static_cast<int64_t>(text.size());
  comm.broadcast(&length, 1, ElementType::i64, root);
  std::string all = text;
  all.resize(static_cast<std::size_t>(length));
  if (length > 0) comm.broadcast(all.data(), length, ElementType::u8, root);
  return all;
}

void require_equal(Communicator& comm, const NamedValues& items, ExitCode code) {
  if (comm.world() == 1) return;
  const std::string text = pack(items);
  const auto hash = static_cast<int64_t>(std::hash<std::string>{}(text));
  std::vector<int64_t> hashes(static_cast<std::size_t>(comm.world()));
  comm.all_gather(&hash, hashes.data(), 1, ElementType::i64);
  if (std::count(hashes.begin(), hashes.end(), hash) == static_cast<int64_t>(hashes.size())) return;

  const std::vector<std::string> texts = gather_text(comm, text);
  const std::string difference =
      broadcast_text(comm, comm.rank() == 0 ? first_difference(texts) : "", 0);
  if (!difference.empty()) throw AgreedError(code, difference + remedy(code));
}

}  // namespace bitstill
