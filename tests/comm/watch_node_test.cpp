#include "../../src/comm/watch_node.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <numeric>
#include <random>
#include <set>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr double kTimeout_s = 5, kPeriod_s = 0.25, kTick_s = 0.05;

/// A job of made-up ranks: each looks around once a period, letters take their time, and a rank
/// that stands still neither looks nor receives.
class Network {
 public:
  using Says = std::function<Report(int rank, double now_s)>;
  using Stands = std::function<bool(int rank, double now_s)>;

  Network(int world, int fan_out, Says says, Stands stands)
      : world_(world), says_(std::move(says)), stands_(std::move(stands)) {
    std::vector<std::string> hosts;
    for (int r = 0; r < world; ++r) hosts.push_back(concat("n", r));
    for (int r = 0; r < world; ++r) {
      ranks_.push_back({WatchNode({r, world, fan_out, kTimeout_s, kPeriod_s}, hosts), {}, 0, 0});
      ranks_.back().next_s = kPeriod_s * uniform();
      if (r == 0) hosts.resize(1);
    }
  }

  /// The first last line, or "" where all ranks came to their ends or until_s has come.
  std::string play(double until_s) {
    for (; now_s < until_s && over() < world_; now_s += kTick_s) {
      for (int r = 0; r < world_; ++r) {
        std::string line = round(r);
        if (line.empty()) continue;
        speaker = r;
        return line;
      }
    }
    return "";
  }
  int over() const {
    return static_cast<int>(
        std::count_if(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.left; }));
  }
  std::size_t letters_left() const {
    std::size_t letters = 0;
    for (const Rank& rank : ranks_) letters += rank.box.size();
    return letters;
  }
  std::size_t peers_of_root() const { return peers_of_root_.size(); }

  double now_s = 0;
  int speaker = -1;
  double longest_way_s = 0.5 * kPeriod_s;      // of a letter
  std::function<bool(int from, int to)> lost;  // letters that never arrive

 private:
  struct Letter {
    int from = 0;
    double arrives_s = 0;
    std::vector<int64_t> words;
  };
  struct Rank {
    WatchNode node;
    std::deque<Letter> box;
    double next_s, clock_s;
    bool left = false;
  };
  struct Mail final : Post {
    Mail(Network& through, int from) : network(through), rank(from) {}
    bool send(int peer, const std::vector<int64_t>& words) override {
      auto& box = network.ranks_[static_cast<std::size_t>(peer)].box;
      const auto of_mine = [&](const Letter& letter) { return letter.from == rank; };
      if (std::any_of(box.begin(), box.end(), of_mine)) return false;
      if (network.lost && network.lost(rank, peer)) return true;
      box.push_back({rank, network.now_s + network.longest_way_s * network.uniform(), words});
      if (peer == 0) network.peers_of_root_.insert(rank);
      if (rank == 0) network.peers_of_root_.insert(peer);
      return true;
    }
    Network& network;
    int rank;
  };

  std::string round(int r) {
    Rank& rank = ranks_[static_cast<std::size_t>(r)];
    if (rank.left || now_s < rank.next_s || stands_(r, now_s)) return "";
    const Report own = says_(r, now_s);
    rank.clock_s += std::min(now_s - rank.next_s, kPeriod_s) + (own.stopping ? kTick_s : kPeriod_s);
    rank.next_s = now_s + (own.stopping ? kTick_s : kPeriod_s);
    std::deque<Letter> later;
    for (Letter& letter : rank.box) {
      if (letter.arrives_s > now_s) {
        later.push_back(std::move(letter));
      } else {
        rank.node.receive(letter.from, letter.words, rank.clock_s);
      }
    }
    rank.box = std::move(later);
    Mail mail(*this, r);
    std::string line = rank.node.look(own, rank.clock_s, mail);
    rank.left = rank.node.over();
    return line;
  }
  double uniform() { return std::uniform_real_distribution<double>()(random_); }

  int world_;
  Says says_;
  Stands stands_;
  std::vector<Rank> ranks_;
  std::set<int> peers_of_root_;
  std::mt19937 random_{7};
};

Report working(int /*rank*/, double now_s) {
  return {Phase::forward, static_cast<int64_t>(now_s), static_cast<int64_t>(100 * now_s),
          kTimeout_s, false};
}
bool never(int /*rank*/, double /*now_s*/) {
  return false;
}
Network::Stands from(double when_s, std::set<int> ranks) {
  return [=](int rank, double now_s) { return now_s >= when_s && ranks.contains(rank); };
}

std::string named(const std::set<int>& ranks) {
  std::vector<std::string> names;
  for (const int r : ranks) names.push_back(concat("rank ", r, " on n", r));
  return concat("no progress for 5.0 s: ", list_names(names), ranks.size() == 1 ? " does" : " do",
                " not answer (last: phase forward, step ");
}

TEST(WatchNode, LeavesHealthyRanksAlone) {
  for (const auto& [world, fan_out] :
       {std::pair(2, 16), {17, 16}, {18, 16}, {300, 16}, {4096, 16}, {1, 16}, {7, 1}, {23, 2}}) {
    Network network(world, fan_out, working, never);
    EXPECT_EQ(network.play(4 * kTimeout_s), "") << world << " ranks";
    EXPECT_LE(network.peers_of_root(), static_cast<std::size_t>(fan_out));
  }
}

// Ranks 1 to 16 of 4,096 carry the reports of some 256 each, ranks 17 to 272 those of 16.
TEST(WatchNode, NamesTheRanksThatStandStillAndNoneOfThoseBelowThem) {
  std::set<int> host;
  for (int r = 32; r < 64; ++r) host.insert(r);
  for (const std::set<int>& still :
       {std::set{4095}, {3}, {40}, {3, 49}, {1, 17, 273}, host, std::set{1, 2, 3, 4, 5, 6, 7}}) {
    Network network(4096, 16, working, from(10, still));
    const std::string line = network.play(30);
    EXPECT_EQ(line.substr(0, named(still).size()), named(still));
    EXPECT_EQ(network.speaker, 0);
    EXPECT_GE(network.now_s, 10 + kTimeout_s - 2 * kPeriod_s);
    EXPECT_LE(network.now_s, 10 + kTimeout_s + 8 * kPeriod_s);
  }
}

TEST(WatchNode, NamesRanksOfANarrowTree) {
  for (const int world : {3, 4, 8}) {
    for (const int fan_out : {1, 2}) {
      for (int r = 1; r < world; ++r) {
        Network network(world, fan_out, working, from(10, {r}));
        const std::string line = network.play(30);
        EXPECT_EQ(line.substr(0, named({r}).size()), named({r})) << world << ", " << fan_out;
      }
    }
  }
}

TEST(WatchNode, TheLowestRankThatRunsSpeaksForASilentRankZero) {
  for (const std::set<int>& still : {std::set{0}, std::set{0, 1}, std::set{0, 1, 2, 3}}) {
    Network network(300, 16, working, from(10, still));
    const std::string line = network.play(40);
    EXPECT_EQ(line.substr(0, named({0}).size()), named({0}));
    EXPECT_EQ(network.speaker, static_cast<int>(still.size()));
    EXPECT_LE(network.now_s, 10 + kTimeout_s + 8 * kPeriod_s);
  }
}

TEST(WatchNode, NamesWhoIsBehindHoweverFarBelow) {
  for (const int behind : {5, 99, 4000}) {
    const auto says = [&](int rank, double now_s) {
      if (now_s < 10) return working(rank, now_s);
      return Report{rank == behind ? Phase::data : Phase::exchange, 10, 1000, kTimeout_s, false};
    };
    Network network(4096, 16, says, never);
    network.longest_way_s = 1.5 * kPeriod_s;
    EXPECT_EQ(network.play(30), concat("no progress for 5.0 s: rank ", behind, " on n", behind,
                                       " is behind in phase data of step 10"));
    EXPECT_LE(network.now_s, 10 + kTimeout_s + 10 * kPeriod_s);
  }
}

TEST(WatchNode, GoesAroundARankThatIsNotHeard) {
  Network network(300, 16, working, never);
  network.lost = [&](int from, int to) { return network.now_s > 5 && from == 1 && to == 17; };
  EXPECT_EQ(network.play(6 * kTimeout_s), "");
}

/// Ranks stop one after another from second 8 on.
Report stopping_in_turn(int rank, double now_s) {
  Report report = working(rank, now_s);
  report.stopping = now_s > 8 + 0.01 * ((rank * 37) % 300);
  if (report.stopping) report.phase = Phase::finish;
  return report;
}

TEST(WatchNode, AllLeaveAndNoLetterIsLeft) {
  for (const auto& [world, fan_out] : {std::pair(2, 16), {5, 1}, {23, 2}, {300, 16}, {1000, 4}}) {
    Network network(world, fan_out, stopping_in_turn, never);
    EXPECT_EQ(network.play(20), "");
    EXPECT_EQ(network.over(), world);
    EXPECT_EQ(network.letters_left(), 0U);
    EXPECT_LE(network.now_s, 14) << world << " ranks";  // the last stops at 11
  }
}

/// Ranks 15, 7, 3 and 1, each the next one's child, stand still in turn: the others have left long
/// before rank 0 can.
TEST(WatchNode, LeavingMayTakeLongerThanTheTimeout) {
  const auto says = [](int rank, double now_s) {
    Report report = working(rank, now_s);
    report.stopping = now_s > 8;
    if (report.stopping) report.phase = Phase::finish;
    return report;
  };
  const auto stands = [](int rank, double now_s) {
    const auto within = [&](double begin_s, double end_s) {
      return begin_s <= now_s && now_s < end_s;
    };
    return (rank == 15 && within(8.25, 12.2)) || (rank == 7 && within(11.9, 14.9)) ||
           (rank == 3 && within(14.6, 17.6)) || (rank == 1 && within(17.3, 20.3));
  };
  Network network(17, 2, says, stands);
  EXPECT_EQ(network.play(40), "");
  EXPECT_EQ(network.over(), 17);
  EXPECT_GT(network.now_s, 20.3);
}

/// Whoever reported elsewhere while its parent stood still is waited for.
TEST(WatchNode, PausesBeforeAndWhileRanksLeaveBlameNobody) {
  for (int round = 0; round < 40; ++round) {
    std::mt19937 random(static_cast<unsigned>(round));
    std::vector<std::pair<double, double>> pauses(60);
    for (auto& [begin_s, end_s] : pauses) {
      begin_s = 5 + 7 * std::uniform_real_distribution<double>()(random);
      end_s = begin_s + 0.6 * kTimeout_s * std::uniform_real_distribution<double>()(random);
    }
    const auto stands = [&](int rank, double now_s) {
      const auto& [begin_s, end_s] = pauses[static_cast<std::size_t>(rank)];
      return begin_s <= now_s && now_s < end_s;
    };
    Network network(60, 3, stopping_in_turn, stands);
    EXPECT_EQ(network.play(40), "") << "round " << round;
    EXPECT_EQ(network.over(), 60) << "round " << round;
    EXPECT_EQ(network.letters_left(), 0U) << "round " << round;
  }
}

}  // namespace
}  // namespace bitstill
