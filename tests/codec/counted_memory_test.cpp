#include "counted_memory.hpp"

#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace {

std::atomic<std::size_t> held{0}, peak{0};

void* take(std::size_t size) noexcept {
  void* const place = std::malloc(size == 0 ? 1 : size);
  const std::size_t now = held += ::malloc_usable_size(place);
  std::size_t most = peak;
  while (most < now && !peak.compare_exchange_weak(most, now)) {
  }
  return place;
}

void* take_or_throw(std::size_t size) {
  void* const place = take(size);
  if (place == nullptr) throw std::bad_alloc();
  return place;
}

void give(void* place) noexcept {
  held -= ::malloc_usable_size(place);
  std::free(place);
}

}  // namespace

// All that are not for over-aligned types: sanitizers have their own of each, which must not mix.
void* operator new(std::size_t size) {
  return take_or_throw(size);
}
void* operator new[](std::size_t size) {
  return take_or_throw(size);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return take(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return take(size);
}
void operator delete(void* place) noexcept {
  give(place);
}
void operator delete[](void* place) noexcept {
  give(place);
}
void operator delete(void* place, std::size_t) noexcept {
  give(place);
}
void operator delete[](void* place, std::size_t) noexcept {
  give(place);
}
void operator delete(void* place, const std::nothrow_t&) noexcept {
  give(place);
}
void operator delete[](void* place, const std::nothrow_t&) noexcept {
  give(place);
}

namespace bitstill {

PeakMemory::PeakMemory() : before_(held) {
  peak = before_;
}
std::size_t PeakMemory::bytes() const {
  return peak - before_;
}

namespace {

TEST(CountedMemory, IsThePeakOfWhatIsHeldAtOnce) {
  const PeakMemory memory;
  { const std::vector<char> one(1000000); }
  { const std::string two(2000000, 'a'); }
  { const auto three = std::make_unique<int[]>(300000); }
  EXPECT_GE(memory.bytes(), 2000000u);
  EXPECT_LT(memory.bytes(), 2100000u);
  const PeakMemory later;
  EXPECT_LT(later.bytes(), 1000u);
}

}  // namespace
}  // namespace bitstill
