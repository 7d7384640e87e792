// What another project writes to use a packed model: consumer FILE
#include <cstdio>

#include "bitstill/infer/loaded_model.hpp"

int main(int, char** argv) {
  const bitstill::LoadedModel model = bitstill::load_model(argv[1]);
  std::printf("%zu classes in %lld bytes\n", model.classes.size(),
              static_cast<long long>(model.file_bytes));
}
