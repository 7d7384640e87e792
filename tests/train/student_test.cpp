#include "bitstill/train/student.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "train_fixture.hpp"

namespace bitstill {
namespace {

const Segment& segment_of(const Student& student, const std::string& name) {
  for (const Segment& segment : student.segments()) {
    if (segment.name == name) return segment;
  }
  throw std::runtime_error("no segment " + name);
}

at::Tensor view_of(const at::Tensor& flat, const Segment& segment) {
  return flat.narrow(0, segment.offset, segment.count).view(segment.shape);
}

/// The padding between segments is zero in every flat buffer.
void expect_clean_padding(Student& student) {
  for (at::Tensor flat : {student.masters(), student.shadows(), student.gradients()}) {
    at::Tensor rest = flat.detach().clone();
    for (const Segment& segment : student.segments()) view_of(rest, segment).zero_();
    EXPECT_EQ(rest.abs().sum().item<float>(), 0);
  }
}

TEST(Student, ParametersAndGradientsAreViews) {
  const auto original = small_network(7);
  Student student = small_student(7, uniform(2, 16));
  student.check_views();
  const auto& parameters = student.network().parameters();
  ASSERT_EQ(student.segments().size(), parameters.size());
  int64_t end = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Segment& segment = student.segments()[i];
    EXPECT_EQ(segment.name, parameters[i]->name);
    EXPECT_EQ(segment.offset % 16, 0) << segment.name;
    EXPECT_GE(segment.offset, end);
    EXPECT_LT(segment.offset, end + 16);
    end = segment.offset + segment.count;
    EXPECT_TRUE(same_bits(view_of(student.masters(), segment), original->parameters()[i]->value));
    EXPECT_TRUE(parameters[i]->value.requires_grad());
  }
  EXPECT_GE(student.masters().numel(), end);

  const Segment& weight = segment_of(student, "4.weight");
  student.shadows()[weight.offset + 3].fill_(42);
  EXPECT_EQ(parameters[4]->value.view({-1})[3].item<float>(), 42);
  const Images images(6);
  ForwardMode mode;
  mode.training = true;
  student.network().forward(images.x, mode).sum().backward();
  student.check_views();  // backward added into the flat buffer
  EXPECT_GT(view_of(student.gradients(), weight).abs().sum().item<float>(), 0);
  EXPECT_GT(student.statistics().abs().sum().item<float>(), 0);
  EXPECT_EQ(student.running().numel(), 2 * (3 + 5 + 9));
  expect_clean_padding(student);
}

TEST(Student, RunningStatisticsMoveByTheirOwnMomentum) {
  auto network = small_network(7);
  network->buffers()[2]->momentum = network->buffers()[3]->momentum = 0.9;
  Student student(std::move(network), {}, 1, at::kCPU);
  const at::Tensor before = student.running().clone();
  student.move_running(before + 1, 0.1);
  const at::Tensor moved = student.running() - before;
  int64_t first = 0;
  for (const Buffer* buffer : student.network().buffers()) {
    const int64_t count = buffer->value.numel();
    const double by = buffer->momentum == 0 ? 0.1 : 0.9;
    EXPECT_LT((moved.narrow(0, first, count) - by).abs().max().item<double>(), 1e-6)
        << buffer->name;
    first += count;
  }
}

TEST(Student, ShadowsAreTheQuantizedMasters) {
  for (const QuantOptions& options :
       {uniform(1, 8), uniform(2, 16), uniform(3, 7), uniform(4, 0), uniform(8, 256)}) {
    Student student = small_student(11, options);
    student.masters().mul_(1.7);
    student.quantize(5);
    at::Tensor expected = at::zeros_like(student.masters());
    make_quantizer(options, student.segments(), 11)
        ->quantize(student.masters().const_data_ptr<float>(), expected.data_ptr<float>(), 5);
    EXPECT_TRUE(same_bits(student.shadows(), expected));
    for (const Segment& segment : student.segments()) {
      const at::Tensor master = view_of(student.masters(), segment).reshape({-1});
      const at::Tensor shadow = view_of(student.shadows(), segment).reshape({-1});
      if (!segment.quantized()) {
        EXPECT_TRUE(same_bits(master, shadow)) << segment.name;
        continue;
      }
      // Half a step from the master, and no more than 2^bits values a bucket.
      const int64_t bucket = options.bucket == 0 ? segment.count : options.bucket;
      for (int64_t at = 0; at < segment.count; at += bucket) {
        const int64_t count = std::min(bucket, segment.count - at);
        const at::Tensor m = master.narrow(0, at, count), s = shadow.narrow(0, at, count);
        const double range = (m.max() - m.min()).item<double>();
        const double half = range / static_cast<double>((1 << options.bits) - 1) / 2;
        EXPECT_LE(largest_difference(m, s), half * (1 + 1e-5)) << segment.name;
        std::vector<float> values(s.const_data_ptr<float>(), s.const_data_ptr<float>() + count);
        std::sort(values.begin(), values.end());
        values.erase(std::unique(values.begin(), values.end()), values.end());
        EXPECT_LE(values.size(), std::size_t{1} << options.bits) << segment.name;
      }
    }
    expect_clean_padding(student);
  }
}

std::vector<std::string> quantized_names(const QuantOptions& options) {
  std::vector<std::string> names;
  const Student student = small_student(3, options);
  for (const Segment& segment : student.segments()) {
    if (segment.quantized()) names.push_back(segment.name);
  }
  return names;
}

TEST(Student, WhichTensorsAreQuantized) {
  using Names = std::vector<std::string>;
  QuantOptions options = uniform(4, 256);
  EXPECT_EQ(quantized_names({}), Names());
  EXPECT_EQ(quantized_names(options), (Names{"0.weight", "4.weight", "8.weight", "11.weight"}));
  options.first_layer = false;
  EXPECT_EQ(quantized_names(options), (Names{"4.weight", "8.weight", "11.weight"}));
  options.last_layer = false;
  EXPECT_EQ(quantized_names(options), (Names{"4.weight", "8.weight"}));
  options.tensors = QuantTensors::all;  // the layer's bias stays out with its weight
  EXPECT_EQ(quantized_names(options),
            (Names{"2.weight", "2.bias", "4.weight", "4.bias", "6.weight", "6.bias", "8.weight",
                   "8.bias", "10.weight", "10.bias"}));
  options.first_layer = options.last_layer = true;
  EXPECT_EQ(quantized_names(options).size(), 14u);
  options.bucket = 1;  // two scales a value: larger than fp32
  EXPECT_EQ(quantized_names(options), Names());
}

TEST(Student, WithoutAMethodShadowsAreTheMasters) {
  Student student = small_student(5);
  EXPECT_EQ(student.quantizer(), nullptr);
  EXPECT_EQ(student.shadows().const_data_ptr(), student.masters().const_data_ptr());
  student.masters().fill_(2);
  EXPECT_EQ(student.network().parameters()[0]->value.min().item<float>(), 2);
  EXPECT_TRUE(student.packed(0).quantized.empty());
}

TEST(Student, MastersSurviveTheirNamesAndBack) {
  for (const QuantOptions& options : {QuantOptions{}, uniform(2, 16)}) {
    Student from = small_student(1, options), to = small_student(2, options);
    from.running().copy_(at::randn({from.running().numel()}));
    const NamedTensors tensors = from.state();
    EXPECT_EQ(tensors.size(), from.segments().size() + 6);
    EXPECT_NE(from.fingerprints(), to.fingerprints());
    to.load(tensors, "file");
    EXPECT_TRUE(same_bits(from.masters(), to.masters()));
    EXPECT_TRUE(same_bits(from.running(), to.running()));
    EXPECT_TRUE(same_bits(from.shadows(), to.shadows()));
    EXPECT_EQ(from.fingerprints(), to.fingerprints());
    to.check_views();
    to.masters()[0].add_(1);  // copies: nothing is shared
    EXPECT_FALSE(same_bits(from.masters(), to.masters()));

    NamedTensors wrong = tensors;
    wrong.erase(wrong.begin());
    wrong[0].second = at::ones({17});
    const auto before = to.fingerprints();
    const std::string text = error_of(ExitCode::model, [&] { to.load(wrong, "run/x"); });
    EXPECT_EQ(text.rfind("run/x", 0), 0u) << text;
    EXPECT_EQ(to.fingerprints(), before);
  }
}

TEST(Student, PackedTensorsDecodeToTheShadows) {
  for (const Rounding rounding : {Rounding::nearest, Rounding::stochastic}) {
    for (const int64_t bits : {1, 2, 3, 4, 8}) {
      QuantOptions options = uniform(bits, 20);
      options.rounding = rounding;
      options.tensors = QuantTensors::all;
      Student student = small_student(9, options);
      student.quantize(13);
      const ModelFile file = student.packed(13);
      std::size_t packed = 0, plain = 0;
      for (const Segment& segment : student.segments()) {
        const at::Tensor shadow = view_of(student.shadows(), segment);
        if (!segment.quantized()) {
          EXPECT_EQ(file.tensors[plain].first, segment.name);
          EXPECT_TRUE(same_bits(file.tensors[plain++].second, shadow));
          continue;
        }
        const auto& [name, tensor] = file.quantized[packed++];
        EXPECT_EQ(name, segment.name);
        at::Tensor decoded = at::zeros(tensor.shape);
        decode(tensor, decoded.data_ptr<float>());
        EXPECT_TRUE(same_bits(decoded, shadow)) << name << ", " << bits << " bits, " << rounding;
      }
      EXPECT_EQ(packed, file.quantized.size());
      EXPECT_EQ(plain + 6, file.tensors.size());  // and the running statistics
    }
  }
}

TEST(Student, NoticesAReplacedTensor) {
  {
    Student student = small_student(1, uniform(4, 256));
    student.network().parameters()[2]->value.set_data(at::ones({3}));
    const std::string text = error_of(ExitCode::environment, [&] { student.check_views(); });
    EXPECT_NE(text.find("2.weight"), std::string::npos) << text;
  }
  for (const at::Tensor& gradient : {at::Tensor(), at::Tensor(at::ones({5}))}) {
    Student student = small_student(1);
    student.network().parameters()[5]->value.mutable_grad() = gradient;
    const std::string text = error_of(ExitCode::environment, [&] { student.check_views(); });
    EXPECT_NE(text.find("4.bias"), std::string::npos) << text;
  }
}

class Tied : public Unit {
 public:
  explicit Tied(const at::Tensor& shared) { weight_ = {"w", ParameterRole::weight, shared}; }
  at::Tensor forward(const at::Tensor& x, const ForwardMode&) override {
    return x.mm(weight_.value);
  }
  std::vector<Parameter*> parameters() override { return {&weight_}; }

 private:
  Parameter weight_;
};

TEST(Student, ATiedWeightHasOneSegmentAndBothGradients) {
  const at::Tensor shared = at::randn({3, 3});
  std::vector<std::unique_ptr<Unit>> units;
  units.push_back(std::make_unique<Tied>(shared));
  units.push_back(std::make_unique<Tied>(shared));
  Student student(std::make_unique<Network>(small_spec(), std::move(units)), {}, 1, at::kCPU);
  ASSERT_EQ(student.segments().size(), 1u);
  const at::Tensor x = at::randn({5, 3}),
                   w = student.masters().narrow(0, 0, 9).view({3, 3}).clone();
  student.network().forward(x, {}).sum().backward();
  student.check_views();
  // d sum(x w w) / d w = x' (1 w') + (x w)' 1
  const at::Tensor one = at::ones({5, 3});
  const at::Tensor expected = x.t().mm(one.mm(w.t())) + x.mm(w).t().mm(one);
  EXPECT_LT(largest_difference(student.gradients().narrow(0, 0, 9).view({3, 3}), expected), 1e-5);
  student.masters().fill_(2);
  EXPECT_TRUE(at::equal(student.network().forward(x, {}),
                        x.mm(at::ones({3, 3}) * 2).mm(at::ones({3, 3}) * 2)));
}

}  // namespace
}  // namespace bitstill
