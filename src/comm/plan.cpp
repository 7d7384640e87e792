#include "bitstill/comm/plan.hpp"

#include <algorithm>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr int64_t kAlignBytes = 64;

void require_ascending(const std::vector<Range>& segments, int64_t elements) {
  int64_t at = 0;
  for (const Range& segment : segments) {
    if (segment.offset < at || segment.count < 0 || segment.end() > elements) {
      throw Error(ExitCode::environment,
                  concat("plan: segment at ", segment.offset, " overlaps or leaves the buffer"));
    }
    at = segment.end();
  }
}

}  // namespace

std::vector<Range> plan_chunks(int64_t elements, const std::vector<Range>& segments,
                               int64_t chunk_bytes, int64_t element_bytes) {
  require_ascending(segments, elements);
  const int64_t align = std::max<int64_t>(kAlignBytes / element_bytes, 1);
  const int64_t longest = std::max(chunk_bytes / element_bytes / align * align, align);
  std::vector<Range> plan;
  int64_t end = elements;  // of the chunk being gathered; it begins at `begin`
  int64_t begin = elements;
  const auto close = [&](int64_t at) {
    if (end > at) plan.push_back({at, end - at});
    end = begin = at;
  };
  for (std::size_t k = segments.size(); k-- > 0;) {
    // A segment's share reaches to the next one: padding travels with what it follows.
    const int64_t start = k == 0 ? 0 : segments[k].offset;
    if (end - start > longest) close(begin);
    while (end - start > longest) {
      const int64_t cut = start + (end - start - 1) / longest * longest;
      close(cut);
    }
    begin = start;
  }
  close(segments.empty() ? 0 : begin);
  return plan;
}

Range part_of_message(const Range& chunk, int64_t sums) {
  return chunk.offset == 0 ? Range{0, sums + chunk.count} : Range{sums + chunk.offset, chunk.count};
}

ChunkGate::ChunkGate(std::vector<Range> plan, std::vector<Range> segments)
    : plan_(std::move(plan)), segments_(std::move(segments)) {
  const auto chunk_of = [this](int64_t element) {  // the plan descends
    const auto at = std::partition_point(
        plan_.begin(), plan_.end(), [&](const Range& chunk) { return chunk.offset > element; });
    return static_cast<std::size_t>(at - plan_.begin());
  };
  for (const Range& segment : segments_) {
    last_chunk_.push_back(chunk_of(segment.offset));
    first_chunk_.push_back(segment.count > 0 ? chunk_of(segment.end() - 1)
                                             : last_chunk_.back() + 1);
  }
  arm();
}

void ChunkGate::arm() {
  next_ = 0;
  ready_.assign(segments_.size(), false);
  waiting_.assign(plan_.size(), 0);
  for (std::size_t k = 0; k < segments_.size(); ++k) {
    for (std::size_t c = first_chunk_[k]; c <= last_chunk_[k]; ++c) ++waiting_[c];
  }
}

void ChunkGate::mark_ready(const Range& range) {
  const auto first =
      std::partition_point(segments_.begin(), segments_.end(),
                           [&](const Range& segment) { return segment.offset < range.offset; });
  auto k = static_cast<std::size_t>(first - segments_.begin());
  if (k > 0 && segments_[k - 1].end() > range.offset) {
    throw Error(ExitCode::environment, concat("plan: ", range.offset, " is inside a segment"));
  }
  for (; k < segments_.size() && segments_[k].offset < range.end(); ++k) {
    if (segments_[k].end() > range.end()) {
      throw Error(ExitCode::environment, concat("plan: ", range.end(), " is inside a segment"));
    }
    if (ready_[k]) {
      throw Error(ExitCode::environment,
                  concat("plan: the gradient at ", segments_[k].offset, " was marked twice"));
    }
    if (first_chunk_[k] < next_) {
      throw Error(ExitCode::environment,
                  concat("plan: the gradient at ", segments_[k].offset, " came after it was sent"));
    }
    ready_[k] = true;
    for (std::size_t c = first_chunk_[k]; c <= last_chunk_[k]; ++c) --waiting_[c];
  }
}

std::span<const Range> ChunkGate::take_ready() {
  std::size_t end = next_;
  while (end + 1 < plan_.size() && waiting_[end] == 0) ++end;
  return take(end);
}

std::span<const Range> ChunkGate::finish() {
  return take(plan_.size());
}

std::span<const Range> ChunkGate::take(std::size_t end) {
  const std::size_t begin = next_;
  next_ = end;
  return {plan_.data() + begin, end - begin};
}

}  // namespace bitstill
