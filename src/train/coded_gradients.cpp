#include "bitstill/train/coded_gradients.hpp"

#include <algorithm>

namespace bitstill {

CodedGradients::CodedGradients(Student& student, uint64_t seed, int64_t sums)
    : student_(student), sums_(sums), coded_(std::make_shared<CodedSum>(seed)) {
  int64_t place = sums;
  const auto& parameters = student.network().parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i]->role == ParameterRole::weight) continue;
    const Segment& segment = student.segments()[i];
    exact_.push_back({{segment.offset, segment.count}, place});
    place += segment.count;
  }
  message_ = std::make_shared<std::vector<float>>(static_cast<std::size_t>(place));
}

void CodedGradients::take_out(const Range& chunk) {
  float* gradients = student_.gradients().data_ptr<float>();
  for (const Exact& exact : exact_) {
    const int64_t begin = std::max(exact.range.offset, chunk.offset);
    const int64_t count = std::min(exact.range.end(), chunk.end()) - begin;
    if (count <= 0) continue;
    const int64_t place = exact.place + begin - exact.range.offset;
    std::copy_n(gradients + begin, count, message_->data() + place);
    std::fill_n(gradients + begin, count, 0.0f);
  }
}

EventPtr CodedGradients::send(Channel& channel, const Range& chunk, int64_t step) {
  take_out(chunk);
  float* values = student_.gradients().data_ptr<float>() + chunk.offset;
  return channel.enqueue([coded = coded_, values, chunk, step](Communicator& comm) {
    coded->sum(comm, values, chunk, step);
  });
}

EventPtr CodedGradients::send_exact(Channel& channel, const at::Tensor& sums) {
  std::copy_n(sums.const_data_ptr<float>(), sums_, message_->data());
  return channel.enqueue([message = message_](Communicator& comm) {
    comm.all_reduce(message->data(), static_cast<int64_t>(message->size()), ElementType::f32);
  });
}

void CodedGradients::unpack(at::Tensor& sums) {
  std::copy_n(message_->data(), sums_, sums.mutable_data_ptr<float>());
  float* gradients = student_.gradients().data_ptr<float>();
  for (const Exact& exact : exact_) {
    std::copy_n(message_->data() + exact.place, exact.range.count, gradients + exact.range.offset);
  }
}

}  // namespace bitstill
