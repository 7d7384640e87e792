#include "judge.hpp"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <tuple>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

bool waits(Phase phase) {
  return phase == Phase::gather || phase == Phase::exchange || phase == Phase::finish;
}

/// Where a rank is in the job: ranks that come later are ahead.
std::tuple<int64_t, int> position(const Report& report) {
  return {report.step, static_cast<int>(report.phase)};
}

std::string no_progress(double seconds) {
  char text[64];
  std::snprintf(text, sizeof text, "no progress for %.1f s: ", seconds);
  return text;
}

std::string place_in_step(const Report& report) {
  return concat("phase ", phase_name(report.phase), " of step ", report.step);
}

}  // namespace

const char* phase_name(Phase phase) {
  constexpr const char* kNames[kPhases] = {"start",  "load",     "data",     "teacher",
                                           "gather", "forward",  "backward", "exchange",
                                           "update", "validate", "save",     "finish"};
  return kNames[static_cast<int>(phase)];
}

Judge::Judge(std::vector<std::string> hosts, double timeout_s, double silence_s)
    : hosts_(std::move(hosts)),
      ranks_(hosts_.size()),
      timeout_s_(timeout_s),
      silence_s_(silence_s) {
  for (Rank& rank : ranks_) rank.report.limit_s = timeout_s;
}

void Judge::hear(std::size_t rank, const Report& report, double when_s) {
  Rank& known = ranks_[rank];
  const Report& before = known.report;
  if (report.sequence != before.sequence || report.phase != before.phase) known.progress_s = when_s;
  known.heard_s = when_s;
  known.report = report;
}

std::string Judge::verdict(double now_s) const {
  std::vector<std::size_t> all(ranks_.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  std::string line = silent(all, now_s);
  if (!line.empty()) return line;
  for (const Rank& rank : ranks_) {
    if (now_s - rank.heard_s > silence_s_) return "";  // it answers, or is named, soon
  }
  const bool all_wait = std::all_of(ranks_.begin(), ranks_.end(),
                                    [](const Rank& rank) { return waits(rank.report.phase); });
  return all_wait ? stuck(now_s) : behind(now_s);
}

bool Judge::late(std::size_t rank, double now_s) const {
  return now_s - ranks_[rank].progress_s > ranks_[rank].report.limit_s;
}

std::string Judge::silent(const std::vector<std::size_t>& among, double now_s) const {
  const auto silent_for = [&](std::size_t r) { return now_s - ranks_[r].heard_s; };
  std::vector<std::size_t> culprits = among;
  // Those that a cut cable takes away together are named together.
  std::erase_if(culprits, [&](std::size_t r) { return silent_for(r) <= timeout_s_ - silence_s_; });
  if (std::none_of(culprits.begin(), culprits.end(),
                   [&](std::size_t r) { return silent_for(r) > timeout_s_; })) {
    return "";
  }
  const Report& last = ranks_[culprits[0]].report;
  return concat(no_progress(timeout_s_), name(culprits), culprits.size() == 1 ? " does" : " do",
                " not answer (last: phase ", phase_name(last.phase), ", step ", last.step, ")");
}

std::string Judge::behind(double now_s) const {
  std::vector<std::size_t> last;  // of those that do not wait, the farthest behind
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    const Report& report = ranks_[r].report;
    if (waits(report.phase)) continue;
    if (!last.empty() && position(report) > position(ranks_[last[0]].report)) continue;
    if (!last.empty() && position(report) < position(ranks_[last[0]].report)) last.clear();
    last.push_back(r);
  }
  std::erase_if(last, [&](std::size_t r) { return !late(r, now_s); });
  return last.empty() ? "" : late_line(last);
}

std::string Judge::stuck(double now_s) const {
  std::vector<std::size_t> last;  // in a gather or an exchange, the farthest behind
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    const Report& report = ranks_[r].report;
    if (report.phase == Phase::finish) continue;
    if (!last.empty() && position(report) > position(ranks_[last[0]].report)) continue;
    if (!last.empty() && position(report) < position(ranks_[last[0]].report)) last.clear();
    last.push_back(r);
  }
  // Reports of one moment arrive at different ones: who just moved on may have released the rest.
  for (const Rank& rank : ranks_) {
    if (!last.empty() && now_s - rank.progress_s <= ranks_[last[0]].report.limit_s) return "";
  }
  if (last.empty()) return "";
  const Report& report = ranks_[last[0]].report;
  if (last.size() == ranks_.size()) {
    return concat(no_progress(report.limit_s), "all ranks wait in ", place_in_step(report),
                  " and none is behind");
  }
  return late_line(last);
}

std::string Judge::late_line(const std::vector<std::size_t>& culprits) const {
  const Report& report = ranks_[culprits[0]].report;
  return concat(no_progress(report.limit_s), name(culprits), culprits.size() == 1 ? " is" : " are",
                " behind in ", place_in_step(report));
}

std::string Judge::name(const std::vector<std::size_t>& culprits) const {
  std::vector<std::string> names;
  for (const std::size_t r : culprits) names.push_back(concat("rank ", r, " on ", hosts_[r]));
  return list_names(names);
}

}  // namespace bitstill
