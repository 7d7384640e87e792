// One mutex and one condition for the whole job: simple, and fast enough for tests.
#include "bitstill/comm/thread_world.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bitstill/base/bf16.hpp"
#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr std::chrono::seconds kLongestWait(60);

/// Thrown at ranks that are well but wait for one that is not.
class PeerGone : public Error {
 public:
  explicit PeerGone(const std::string& message) : Error(ExitCode::peer, message) {}
};

/// What all threads share.
struct Job {
  explicit Job(int world) : ended(static_cast<std::size_t>(world), false) {}
  std::mutex mutex;
  std::condition_variable changed;
  std::string broken;       // why nobody can go on; empty: all is well
  std::vector<bool> ended;  // ranks that have returned

  void fail(const std::string& why) {
    const std::lock_guard lock(mutex);
    if (broken.empty()) broken = why;
    changed.notify_all();
  }
  void end(int rank) {
    const std::lock_guard lock(mutex);
    ended[static_cast<std::size_t>(rank)] = true;
    changed.notify_all();
  }
  /// Waits until done(), which counts even when the job failed meanwhile. `peers`: the ranks waited
  /// for.
  template <class Done>
  void wait(std::unique_lock<std::mutex>& lock, const char* what, const std::vector<int>& peers,
            Done done) {
    const auto lost = [&] {
      return !broken.empty() || std::any_of(peers.begin(), peers.end(), [this](int peer) {
        return static_cast<bool>(ended[static_cast<std::size_t>(peer)]);
      });
    };
    if (changed.wait_for(lock, kLongestWait, [&] { return done() || lost(); }) && done()) return;
    if (broken.empty()) broken = lost() ? "a rank has ended before" : "no answer in 60 s";
    changed.notify_all();
    throw PeerGone(concat(what, ": ", broken));
  }
  void require_whole(const char* what) const {
    if (!broken.empty()) throw PeerGone(concat(what, ": ", broken));
  }
};

/// What one rank brings to a collective.
struct Call {
  std::string signature;  // verb, count, type: equal on all ranks
  const void* in = nullptr;
  void* out = nullptr;
};

/// The ranks of one communicator, and what of it is shared.
struct Group {
  Group(std::shared_ptr<Job> job_in, std::vector<int> members_in)
      : job(std::move(job_in)),
        members(std::move(members_in)),
        calls(members.size()),
        mail(members.size() * members.size()) {}

  /// The last rank to arrive does the work for all of them, in rank order.
  template <class Work>
  void meet(int rank, const char* verb, Call call, Work work) {
    std::unique_lock lock(job->mutex);
    job->require_whole(verb);
    calls[static_cast<std::size_t>(rank)] = std::move(call);
    if (++arrived < calls.size()) {
      const int64_t mine = generation;
      job->wait(lock, verb, members, [&] { return generation != mine; });
      return;
    }
    for (const Call& other : calls) {
      if (other.signature == calls[0].signature) continue;
      job->broken = concat("ranks disagree: ", calls[0].signature, " and ", other.signature);
      job->changed.notify_all();
      throw Error(ExitCode::peer, job->broken);
    }
    work(calls);
    arrived = 0;
    ++generation;
    job->changed.notify_all();
  }

  std::shared_ptr<Job> job;
  std::vector<int> members;  // ranks of the job
  std::vector<Call> calls;
  std::size_t arrived = 0;
  int64_t generation = 0;
  struct Mail {
    const void* data = nullptr;  // null: none on its way
    std::size_t bytes = 0;
  };
  std::vector<Mail> mail;  // [from * world + to]
};

/// What a rank asks of a split, and gets.
struct Part {
  int color = 0, key = 0;
  int rank = 0;  // in `group`
  std::shared_ptr<Group> group;
};

/// Makes the groups of one color each; asked[r] belongs to rank r of `whole`.
void form_parts(const Group& whole, const std::vector<Part*>& asked) {
  std::vector<std::size_t> order(asked.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(asked[a]->color, asked[a]->key) < std::pair(asked[b]->color, asked[b]->key);
  });
  for (auto first = order.begin(); first != order.end();) {
    const auto last = std::find_if(
        first, order.end(), [&](std::size_t r) { return asked[r]->color != asked[*first]->color; });
    std::vector<int> members;
    for (auto r = first; r != last; ++r) members.push_back(whole.members[*r]);
    const auto group = std::make_shared<Group>(whole.job, std::move(members));
    for (auto r = first; r != last; ++r) {
      asked[*r]->rank = static_cast<int>(r - first);
      asked[*r]->group = group;
    }
    first = last;
  }
}

template <class T>
void reduce_into(T* total, const T* other, int64_t count, Reduction op) {
  for (int64_t i = 0; i < count; ++i) {
    if (op == Reduction::sum) total[i] += other[i];
    if (op == Reduction::min) total[i] = std::min(total[i], other[i]);
    if (op == Reduction::max) total[i] = std::max(total[i], other[i]);
  }
}

/// One bf16 as reduce_into adds it.
struct Bf16 {
  uint16_t bits = 0;
  Bf16& operator+=(Bf16 other) {
    bits = to_bf16(from_bf16(bits) + from_bf16(other.bits));
    return *this;
  }
  bool operator<(Bf16 other) const { return from_bf16(bits) < from_bf16(other.bits); }
};

template <class T>
void reduce_calls(const std::vector<Call>& calls, int64_t count, Reduction op) {
  const T* first = static_cast<const T*>(calls[0].in);
  std::vector<T> total(first, first + count);
  for (std::size_t r = 1; r < calls.size(); ++r) {
    reduce_into(total.data(), static_cast<const T*>(calls[r].in), count, op);
  }
  for (const Call& call : calls) std::copy(total.begin(), total.end(), static_cast<T*>(call.out));
}

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(int rank, Traffic kind, std::shared_ptr<Group> group)
      : Communicator(rank, static_cast<int>(group->members.size()), kind),
        group_(std::move(group)) {}

  std::unique_ptr<Communicator> duplicate(Traffic kind) override {
    return part_of("duplicate", 0, 0, kind);
  }

 protected:
  std::unique_ptr<Communicator> do_split(int color, int key, Traffic kind) override {
    return part_of("split", color, key, kind);
  }
  void do_all_reduce(void* data, int64_t count, ElementType type, Reduction op) override {
    group_->meet(rank(), "all_reduce",
                 {signature("all_reduce", count, type, static_cast<int>(op)), data, data},
                 [&](const std::vector<Call>& calls) {
                   if (type == ElementType::f32) reduce_calls<float>(calls, count, op);
                   if (type == ElementType::f64) reduce_calls<double>(calls, count, op);
                   if (type == ElementType::i64) reduce_calls<int64_t>(calls, count, op);
                   if (type == ElementType::bf16) reduce_calls<Bf16>(calls, count, op);
                 });
  }
  void do_all_gather(const void* mine, void* all, int64_t count, ElementType type) override {
    const std::size_t bytes = static_cast<std::size_t>(count) * element_bytes(type);
    group_->meet(rank(), "all_gather", {signature("all_gather", count, type, 0), mine, all},
                 [&](const std::vector<Call>& calls) {
                   for (const Call& call : calls) {
                     for (std::size_t r = 0; r < calls.size(); ++r) {
                       std::memmove(static_cast<char*>(call.out) + r * bytes, calls[r].in, bytes);
                     }
                   }
                 });
  }
  void do_all_to_all(const void* mine, void* theirs, int64_t count, ElementType type) override {
    const std::size_t bytes = static_cast<std::size_t>(count) * element_bytes(type);
    group_->meet(rank(), "all_to_all", {signature("all_to_all", count, type, 0), mine, theirs},
                 [&](const std::vector<Call>& calls) {
                   for (std::size_t to = 0; to < calls.size(); ++to) {
                     for (std::size_t from = 0; from < calls.size(); ++from) {
                       std::memcpy(static_cast<char*>(calls[to].out) + from * bytes,
                                   static_cast<const char*>(calls[from].in) + to * bytes, bytes);
                     }
                   }
                 });
  }
  void do_broadcast(void* data, int64_t count, ElementType type, int root) override {
    const std::size_t bytes = static_cast<std::size_t>(count) * element_bytes(type);
    group_->meet(rank(), "broadcast", {signature("broadcast", count, type, root), data, data},
                 [&](const std::vector<Call>& calls) {
                   const void* source = calls[static_cast<std::size_t>(root)].in;
                   for (const Call& call : calls) std::memmove(call.out, source, bytes);
                 });
  }
  void do_barrier() override {
    group_->meet(rank(), "barrier", {"barrier", nullptr, nullptr}, [](const auto&) {});
  }
  void do_send(const void* data, int64_t count, ElementType type, int to) override {
    Job& job = *group_->job;
    std::unique_lock lock(job.mutex);
    job.require_whole("send");
    Group::Mail& mail = mailbox(rank(), to);
    mail = {data, static_cast<std::size_t>(count) * element_bytes(type)};
    job.changed.notify_all();
    job.wait(lock, "send", peer(to), [&] { return mail.data == nullptr; });
  }
  void do_receive(void* data, int64_t count, ElementType type, int from) override {
    Job& job = *group_->job;
    std::unique_lock lock(job.mutex);
    job.require_whole("receive");
    Group::Mail& mail = mailbox(from, rank());
    job.wait(lock, "receive", peer(from), [&] { return mail.data != nullptr; });
    const std::size_t bytes = static_cast<std::size_t>(count) * element_bytes(type);
    if (bytes != mail.bytes) {
      throw Error(ExitCode::peer, concat("receive of ", bytes, " bytes, ", mail.bytes, " sent"));
    }
    std::memcpy(data, mail.data, bytes);
    mail.data = nullptr;
    job.changed.notify_all();
  }

 private:
  std::unique_ptr<Communicator> part_of(const char* verb, int color, int key, Traffic kind) {
    Part mine{color, key, 0, nullptr};
    group_->meet(rank(), verb, {concat(verb, " ", traffic_name(kind)), nullptr, &mine},
                 [this](const std::vector<Call>& calls) {
                   std::vector<Part*> asked;
                   for (const Call& call : calls) asked.push_back(static_cast<Part*>(call.out));
                   form_parts(*group_, asked);
                 });
    return std::make_unique<ThreadCommunicator>(mine.rank, kind, mine.group);
  }
  std::vector<int> peer(int rank) const {
    return {group_->members[static_cast<std::size_t>(rank)]};
  }
  static std::string signature(const char* verb, int64_t count, ElementType type, int detail) {
    return concat(verb, " of ", count, " elements, type ", static_cast<int>(type), "/", detail);
  }
  Group::Mail& mailbox(int from, int to) {
    return group_->mail[static_cast<std::size_t>(from) * static_cast<std::size_t>(world()) +
                        static_cast<std::size_t>(to)];
  }
  std::shared_ptr<Group> group_;
};

}  // namespace

void run_as_ranks(int world, const std::function<void(Communicator&)>& body) {
  const auto job = std::make_shared<Job>(world);
  std::vector<int> ranks(static_cast<std::size_t>(world));
  std::iota(ranks.begin(), ranks.end(), 0);
  const auto group = std::make_shared<Group>(job, std::move(ranks));
  std::vector<std::exception_ptr> failed(static_cast<std::size_t>(world));  // by themselves
  std::vector<std::exception_ptr> stranded(static_cast<std::size_t>(world));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world; ++rank) {
    threads.emplace_back([&, rank] {
      const auto r = static_cast<std::size_t>(rank);
      try {
        ThreadCommunicator comm(rank, Traffic::control, group);
        body(comm);
        job->end(rank);
      } catch (const PeerGone&) {
        stranded[r] = std::current_exception();
      } catch (const std::exception& error) {
        failed[r] = std::current_exception();
        job->fail(concat("rank ", rank, " failed: ", error.what()));
      } catch (...) {
        failed[r] = std::current_exception();
        job->fail(concat("rank ", rank, " failed"));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& list : {failed, stranded}) {
    for (const std::exception_ptr& error : list) {
      if (error) std::rethrow_exception(error);
    }
  }
}

}  // namespace bitstill
