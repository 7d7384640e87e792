#include "bitstill/base/words.hpp"

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {

void refuse_word(const std::string& name, const std::string& text,
                 const std::vector<std::string>& words) {
  const std::string nearest = nearest_name(text, words);
  throw Error(ExitCode::settings,
              concat(name, " = ", text, ": give one of ", list_names(words, words.size()),
                     nearest.empty() ? "" : "; did you mean " + nearest + "?"));
}

}  // namespace bitstill
