#include "bitstill/base/crc32c.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bitstill/base/random.hpp"

namespace bitstill {
namespace {

TEST(Crc32c, KnownAnswers) {
  EXPECT_EQ(crc32c("", 0), 0u);
  EXPECT_EQ(crc32c("123456789", 9), 0xE3069283u);
  // RFC 3720, appendix B.4.
  EXPECT_EQ(crc32c(std::string(32, '\0').data(), 32), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xFF').data(), 32), 0x62A8AB43u);
  EXPECT_EQ(crc32c_reference("123456789", 9), 0xE3069283u);
}

TEST(Crc32c, FastEqualsReferenceAtAnySizeAndAlignment) {
  RandomStream random(7, StreamPurpose::order);
  std::vector<unsigned char> bytes(20000);
  for (auto& byte : bytes) byte = static_cast<unsigned char>(random.next());
  std::vector<std::size_t> sizes;
  for (std::size_t size = 0; size < 90; ++size) sizes.push_back(size);
  for (const std::size_t size : {767, 768, 769, 775, 1537, 6143, 6144, 6145, 6913, 12288, 19991}) {
    sizes.push_back(size);
  }
  for (const std::size_t size : sizes) {
    for (std::size_t offset = 0; offset < 9; ++offset) {
      const auto start = static_cast<uint32_t>(size * 2654435761u);
      EXPECT_EQ(crc32c(bytes.data() + offset, size, start),
                crc32c_reference(bytes.data() + offset, size, start))
          << size << " bytes at " << offset;
    }
  }
}

TEST(Crc32c, ContinuesFromAPart) {
  const std::string text(10001, 'q');
  const uint32_t whole = crc32c(text.data(), text.size());
  for (const std::size_t cut : {std::size_t{0}, std::size_t{1}, std::size_t{777}, text.size()}) {
    const uint32_t first = crc32c(text.data(), cut);
    EXPECT_EQ(crc32c(text.data() + cut, text.size() - cut, first), whole);
  }
}

}  // namespace
}  // namespace bitstill
