#include "watch_node.hpp"

#include <algorithm>
#include <utility>

namespace bitstill {
namespace {

constexpr double kSilentPeriods = 4;  // a healthy peer is never silent for longer
constexpr double kPatience_s = 0.3;   // by which rank r lets rank r - 1 speak first

// A letter: whether it is the last, then of each rank told of these words.
enum Word : std::size_t { of, phase, step, sequence, limit_us, stopping, age_us };
constexpr std::size_t kWords = age_us + 1;

int64_t to_us(double seconds) {
  return static_cast<int64_t>(seconds * 1e6);
}
double from_us(int64_t us) {
  return static_cast<double>(us) * 1e-6;
}

int parent_of(int rank, int fan_out) {
  return (rank - 1) / fan_out;
}

bool is_below(int rank, int top, int fan_out) {
  while (rank > top) rank = parent_of(rank, fan_out);
  return rank == top;
}

/// A report that travels is as old at every rank on its way as a period, and so are the answers.
double silence_s(const WatchSettings& settings) {
  double periods = kSilentPeriods;
  for (int rank = settings.world - 1; rank > settings.fan_out; periods += 2) {
    rank = parent_of(rank, settings.fan_out);
  }
  return periods * settings.period_s;
}

}  // namespace

WatchNode::WatchNode(const WatchSettings& settings, std::vector<std::string> hosts)
    : settings_(settings), judge_(std::move(hosts), settings.timeout_s, silence_s(settings)) {
  const int first = settings.rank * settings.fan_out + 1;
  for (int r = first; r < std::min(first + settings.fan_out, settings.world); ++r) links_[r];
  if (settings.rank > 0) links_[parent_of(settings.rank, settings.fan_out)];
}

void WatchNode::receive(int from, const std::vector<int64_t>& words, double now_s) {
  Link& link = links_[from];
  link.heard_s = now_s;
  link.heard_last = link.heard_last || words[0] != 0;
  for (std::size_t at = 1; at + kWords <= words.size(); at += kWords) {
    const int64_t* const word = &words[at];
    const double when_s = now_s - from_us(word[age_us]);
    const auto known = heard_.find(static_cast<int>(word[of]));
    if (known != heard_.end() && (known->second.gone || when_s < known->second.when_s)) {
      continue;  // the newer came another way
    }
    heard_[static_cast<int>(word[of])] = {
        {static_cast<Phase>(word[phase]), word[step], word[sequence], from_us(word[limit_us]),
         word[stopping] != 0},
        when_s,
        false};
  }
  if (above(from) || !link.heard_last) return;
  for (auto& [rank, known] : heard_) {
    known.gone = known.gone || is_below(rank, from, settings_.fan_out);
  }
}

bool WatchNode::heard_last_of_all(bool those_above) const {
  return std::all_of(links_.begin(), links_.end(), [&](const auto& link) {
    return above(link.first) != those_above || link.second.heard_last;
  });
}

/// The nearest rank above that answers.
int WatchNode::reports_to(double now_s) {
  for (int peer = settings_.rank;;) {
    peer = parent_of(peer, settings_.fan_out);
    const auto [at, is_new] = links_.try_emplace(peer);
    Link& link = at->second;
    if (is_new) link.heard_s = now_s;  // its time to answer begins
    const bool answers = now_s - link.heard_s <= kSilentPeriods * settings_.period_s;
    if (peer == 0 || answers) return peer;
  }
}

std::vector<int64_t> WatchNode::words_to(int peer, bool last, double now_s) const {
  std::vector<int64_t> words = {last ? 1 : 0};
  for (const auto& [rank, known] : heard_) {
    if (above(peer) ? above(rank) : rank != 0) continue;
    const Report& report = known.report;
    words.insert(words.end(),
                 {rank, static_cast<int64_t>(report.phase), report.step, report.sequence,
                  to_us(report.limit_s), report.stopping ? 1 : 0, to_us(now_s - known.when_s)});
  }
  return words;
}

/// A report is due when a period has passed, or further ranks are stopping.
void WatchNode::tell(int peer, bool last, double now_s, Post& post) {
  Link& link = links_[peer];
  const bool due = last || now_s - link.told_s >= settings_.period_s ||
                   (above(peer) && link.told_stopping != stopping_);
  if (link.told_last || !due || !post.send(peer, words_to(peer, last, now_s))) return;
  link.told_s = now_s;
  link.told_stopping = stopping_;
  link.told_last = last;
}

std::string WatchNode::judged(double now_s) {
  if (settings_.rank == 0) {
    for (const auto& [rank, known] : heard_) {
      judge_.hear(static_cast<std::size_t>(rank), known.report, known.when_s);
    }
    return judge_.verdict(now_s);
  }
  if (const auto root = heard_.find(0); root != heard_.end()) {
    judge_.hear(0, root->second.report, root->second.when_s);
  }
  // The lowest of the ranks that still run speaks first, and its abort ends the others.
  const double patience_s =
      std::min(kPatience_s * static_cast<double>(settings_.rank - 1), settings_.timeout_s);
  return judge_.silent({0}, now_s - patience_s);
}

std::string WatchNode::look(const Report& own, double now_s, Post& post) {
  heard_[settings_.rank] = {own, now_s, false};
  stopping_ = 0;
  for (auto& [rank, known] : heard_) {
    if (known.gone) known.when_s = now_s;
    if (!above(rank)) stopping_ += known.report.stopping ? 1 : 0;
  }
  const bool all_stop = stopping_ == settings_.world;  // rank 0 alone hears of all
  const bool ended = settings_.rank == 0 ? all_stop : heard_last_of_all(true);
  if (settings_.rank == 0 || !ended) {
    std::string line = judged(now_s);
    if (!line.empty()) return line;
  }
  const bool leaves = ended && heard_last_of_all(false);
  const int upper = settings_.rank == 0 || leaves ? -1 : reports_to(now_s);
  for (const auto& [peer, link] : links_) {
    if (!above(peer) || peer == upper || leaves)
      tell(peer, above(peer) ? leaves : ended, now_s, post);
  }
  return "";
}

bool WatchNode::over() const {
  return heard_last_of_all(false) &&
         std::all_of(links_.begin(), links_.end(),
                     [](const auto& link) { return link.second.told_last; });
}

}  // namespace bitstill
