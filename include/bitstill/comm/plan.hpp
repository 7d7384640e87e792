// The plan of a step's gradient chunks: how a flat buffer is cut, and when each piece may leave.
//
// Backward finishes parameters roughly from the buffer's end to its start; so do the chunks. All
// ranks send the chunks in the plan's order, whatever the order in which their hooks ran.
// Torch-free and thread-free: hooks run on the thread that calls backward.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitstill {

/// Elements [offset, offset + count) of the flat buffer.
struct Range {
  int64_t offset = 0;
  int64_t count = 0;
  int64_t end() const { return offset + count; }
  bool operator==(const Range&) const = default;
};

/// Large enough that a message's start-up is small against its transfer, small enough that the last
/// one, which nothing hides, is short.
constexpr int64_t kDefaultChunkBytes = 1 << 17;

/// Cuts a buffer of `elements` into chunks of about chunk_bytes, in sending order, last elements
/// first. `segments`: the parameters, ascending, without overlap; what lies between them is
/// padding. Chunks cover the whole buffer. Small neighbours share a chunk; one above chunk_bytes is
/// cut at multiples of 64 bytes.
std::vector<Range> plan_chunks(int64_t elements, const std::vector<Range>& segments,
                               int64_t chunk_bytes = kDefaultChunkBytes, int64_t element_bytes = 4);

/// Where a chunk lies in a step's message [sums, gradients]. The sums go with the chunk at the
/// buffer's start, the plan's last.
Range part_of_message(const Range& chunk, int64_t sums);

/// Tells which chunks of a plan may be sent. One object serves all steps.
class ChunkGate {
 public:
  ChunkGate(std::vector<Range> plan, std::vector<Range> segments);

  /// A new step: nothing is ready, nothing sent.
  void arm();
  /// A hook: the segments that lie in `range` are final. Error(environment) for a part of a
  /// segment, for one marked before in this step, and for one whose chunk has been given.
  void mark_ready(const Range& range);
  /// The next chunks of the plan whose segments are all ready, none of them given before; often
  /// empty. Chunk k never comes before k - 1, and the last one not here: the step's sums, which are
  /// complete after backward, go with it.
  std::span<const Range> take_ready();
  /// The rest of the plan, ready or not: at the end of backward; the last chunk and what waits for
  /// parameters without a hook.
  std::span<const Range> finish();

  const std::vector<Range>& plan() const { return plan_; }

 private:
  std::span<const Range> take(std::size_t end);

  std::vector<Range> plan_, segments_;
  std::vector<std::size_t> first_chunk_, last_chunk_;  // of each segment, in plan order
  std::vector<int64_t> waiting_;                       // segments each chunk waits for
  std::vector<bool> ready_;                            // segments
  std::size_t next_ = 0;                               // chunk
};

}  // namespace bitstill
