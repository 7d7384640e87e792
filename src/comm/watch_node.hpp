// One rank's place in the tree by which reports reach rank 0 and its signs of life come back: whom
// to tell what, without threads, clocks or messages of its own.
//
// The children of rank r are r * fan_out + 1 and following. A rank reports itself and all it has
// heard of from below to its parent, which answers with what it last heard of rank 0; where the
// parent is silent, to the parent's parent, and so on up.
//
// End: once rank 0 has heard of every rank that it is stopping, its answers are its last words. A
// rank passes them on when all above it to whom it ever reported have said theirs; when all who
// report to it have answered with their own last words, it says its own to those above. So nothing
// is left under way: who was reported to while a parent was silent does not leave before that
// parent has left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "judge.hpp"

namespace bitstill {

/// Carries words to other ranks.
class Post {
 public:
  virtual ~Post() = default;
  /// false: what was sent to `peer` before has not left yet, and these words are not sent.
  virtual bool send(int peer, const std::vector<int64_t>& words) = 0;
};

struct WatchSettings {
  int rank = 0, world = 1, fan_out = 1;
  double timeout_s = 0;
  double period_s = 0;  // between two looks, and two reports
};

class WatchNode {
 public:
  /// `hosts`: of all ranks on rank 0; elsewhere of rank 0 alone.
  WatchNode(const WatchSettings& settings, std::vector<std::string> hosts);

  /// What `from` sent.
  void receive(int from, const std::vector<int64_t>& words, double now_s);
  /// Looks around and tells whom it must; the job's last line, or "" while all is well.
  std::string look(const Report& own, double now_s, Post& post);
  /// All last words have been said.
  bool over() const;

 private:
  struct Link {
    double heard_s = 0;         // the peer
    double told_s = -1e9;       // the peer
    int64_t told_stopping = 0;  // of how many ranks the peer was told that they are stopping
    bool heard_last = false, told_last = false;
  };
  struct Heard {
    Report report;
    double when_s = 0;
    bool gone = false;
  };
  bool above(int peer) const { return peer < settings_.rank; }
  bool heard_last_of_all(bool those_above) const;
  int reports_to(double now_s);
  std::vector<int64_t> words_to(int peer, bool last, double now_s) const;
  void tell(int peer, bool last, double now_s, Post& post);
  std::string judged(double now_s);

  WatchSettings settings_;
  Judge judge_;
  std::map<int, Heard> heard_;  // this rank, those below it, and rank 0
  std::map<int, Link> links_;   // by peer
  int64_t stopping_ = 0;        // of heard_
};

}  // namespace bitstill
