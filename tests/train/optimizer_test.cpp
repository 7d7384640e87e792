#include <cmath>

#include "optimizer_fixture.hpp"

namespace bitstill {
namespace {

/// One number under the plain formulas, in double.
struct Plain {
  double w, m = 0, v = 0;
  int64_t steps = 0;

  void sgd(double g, double rate, double decay, double momentum, bool nesterov) {
    g += decay * w;
    m = steps++ == 0 ? g : momentum * m + g;
    w -= rate * (nesterov ? g + momentum * m : m);
  }
  void adam(double g, double rate, double decay, bool decoupled) {
    if (decoupled) w -= rate * decay * w;
    if (!decoupled) g += decay * w;
    ++steps;
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    const double mean = m / (1 - std::pow(0.9, steps)), square = v / (1 - std::pow(0.999, steps));
    w -= rate * mean / (std::sqrt(square) + 1e-8);
  }
};

void check_formula(const TrainOptions& options) {
  SCOPED_TRACE(testing::Message() << options.optimizer << " " << options.decay << " "
                                  << options.momentum);
  Student student = small_student(6, uniform(2, 16));
  MasterOptimizer optimizer(student, options);
  std::vector<Plain> numbers;
  for (int64_t i = 0; i < student.masters().numel(); ++i) {
    numbers.push_back({student.masters()[i].item<float>()});
  }
  for (int64_t step = 0; step < 3; ++step) {
    set_gradients(student, step);
    const double rate = 0.1 / static_cast<double>(step + 1);
    update(optimizer, rate);
    for (std::size_t s = 0; s < student.segments().size(); ++s) {
      const Segment& segment = student.segments()[s];
      const bool weight = student.network().parameters()[s]->role == ParameterRole::weight;
      const double decay = options.decay == Decay::all || weight ? options.weight_decay : 0;
      const float* g = student.gradients().const_data_ptr<float>();
      const float* w = student.masters().const_data_ptr<float>();
      for (int64_t i = segment.offset; i < segment.offset + segment.count; ++i) {
        Plain& number = numbers[static_cast<std::size_t>(i)];
        if (options.optimizer == Optimizer::sgd) {
          number.sgd(g[i], rate, decay, options.momentum, options.nesterov);
        } else {
          number.adam(g[i], rate, decay, options.optimizer == Optimizer::adamw);
        }
        ASSERT_NEAR(w[i], number.w, 2e-6) << segment.name << " step " << step;
      }
    }
  }
  at::Tensor padding = student.masters().detach().clone();
  for (const Segment& segment : student.segments())
    padding.narrow(0, segment.offset, segment.count).zero_();
  EXPECT_EQ(padding.abs().sum().item<float>(), 0);
}

TEST(Optimizer, ThreeStepsByTheFormulas) {
  for (const Optimizer kind : {Optimizer::sgd, Optimizer::adam, Optimizer::adamw}) {
    for (const Decay decay : {Decay::all, Decay::weights}) {
      TrainOptions options = options_of(kind);
      options.decay = decay;
      check_formula(options);
    }
  }
  TrainOptions plain = options_of(Optimizer::sgd);
  plain.nesterov = false;
  check_formula(plain);
  plain.momentum = 0;
  check_formula(plain);
}

double norm_of(const std::vector<double>& values) {
  double square = 0;
  for (const double value : values) square += value * value;
  return std::sqrt(square);
}

/// One tensor under LARS or LAMB as their papers have them, in double.
struct PlainTensor {
  std::vector<double> w, m, v;
  bool weight = false;
  int64_t steps = 0;

  double ratio(double of, double to) const { return weight && of > 0 && to > 0 ? of / to : 1; }

  void lars(const std::vector<double>& g, double rate, const TrainOptions& options) {
    const double decay = weight ? options.weight_decay : 0;
    const double own = ratio(options.trust * norm_of(w), norm_of(g) + decay * norm_of(w));
    for (std::size_t i = 0; i < w.size(); ++i) {
      m[i] = options.momentum * m[i] + rate * own * (g[i] + decay * w[i]);
      w[i] -= m[i];
    }
  }

  void lamb(const std::vector<double>& g, double rate, const TrainOptions& options) {
    const double decay = weight ? options.weight_decay : 0;
    ++steps;
    std::vector<double> u;
    for (std::size_t i = 0; i < w.size(); ++i) {
      m[i] = 0.9 * m[i] + 0.1 * g[i];
      v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
      const double mean = m[i] / (1 - std::pow(0.9, steps));
      u.push_back(mean / (std::sqrt(v[i] / (1 - std::pow(0.999, steps))) + 1e-8) + decay * w[i]);
    }
    const double own = ratio(norm_of(w), norm_of(u));
    for (std::size_t i = 0; i < w.size(); ++i) w[i] -= rate * own * u[i];
  }
};

std::vector<double> part_of(const at::Tensor& flat, const Segment& segment) {
  const float* values = flat.const_data_ptr<float>() + segment.offset;
  return {values, values + segment.count};
}

TEST(Optimizer, LarsAndLambAreTheirPapersFormulas) {
  for (const Optimizer kind : {Optimizer::lars, Optimizer::lamb}) {
    TrainOptions options = options_of(kind);
    options.trust = 0.02;
    Student student = small_student(6, uniform(2, 16));
    MasterOptimizer optimizer(student, options);
    std::vector<PlainTensor> tensors;
    for (std::size_t s = 0; s < student.segments().size(); ++s) {
      PlainTensor tensor;
      tensor.w = part_of(student.masters(), student.segments()[s]);
      tensor.m.resize(tensor.w.size());
      tensor.v = tensor.m;
      tensor.weight = student.network().parameters()[s]->role == ParameterRole::weight;
      tensors.push_back(tensor);
    }
    for (int64_t step = 0; step < 4; ++step) {
      set_gradients(student, step);
      const double rate = 0.3 / static_cast<double>(step + 1);
      update(optimizer, rate);
      for (std::size_t s = 0; s < tensors.size(); ++s) {
        const Segment& segment = student.segments()[s];
        const std::vector<double> g = part_of(student.gradients(), segment);
        if (kind == Optimizer::lars) {
          tensors[s].lars(g, rate, options);
        } else {
          tensors[s].lamb(g, rate, options);
        }
        const std::vector<double> now = part_of(student.masters(), segment);
        for (std::size_t i = 0; i < now.size(); ++i) {
          ASSERT_NEAR(now[i], tensors[s].w[i], 2e-6) << segment.name << " step " << step;
        }
      }
    }
  }
}

TEST(Optimizer, ClipsTheNormAndTellsWhatIsNotFinite) {
  TrainOptions options = options_of(Optimizer::sgd);
  options.momentum = 0;
  options.nesterov = false;
  options.weight_decay = 0;
  options.clip_norm = 0.5;
  Student student = small_student(6);
  MasterOptimizer optimizer(student, options);
  for (const double scale : {100.0, 1e-3}) {
    set_gradients(student, 1);
    student.gradients().mul_(scale);
    const at::Tensor gradient = student.gradients().to(at::kDouble);
    const at::Tensor before = student.masters().detach().clone();
    double square = 0;
    for (int64_t i = 0; i < gradient.numel(); ++i)
      square += std::pow(gradient[i].item<double>(), 2);
    const double norm = std::sqrt(square), factor = std::min(1.0, 0.5 / norm);
    EXPECT_NEAR(update(optimizer, 0.2), norm, 1e-5 * norm);
    EXPECT_LT(largest_difference(student.masters().detach(), before - gradient * (0.2 * factor)),
              1e-6);
  }
  const at::Tensor before = student.masters().detach().clone();
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    set_gradients(student, 2);
    student.gradients()[17].fill_(bad);
    EXPECT_FALSE(std::isfinite(update(optimizer, 0.2)));
    EXPECT_TRUE(same_bits(student.masters().detach(), before));
  }
}

void train(Student& student, MasterOptimizer& optimizer, int64_t from, int64_t to) {
  for (int64_t step = from; step < to; ++step) {
    set_gradients(student, step);
    update(optimizer, 0.05);
    student.quantize(step);
  }
}

TEST(Optimizer, StateContinuesBitForBit) {
  for (const Optimizer kind :
       {Optimizer::sgd, Optimizer::adam, Optimizer::adamw, Optimizer::lars, Optimizer::lamb}) {
    TrainOptions options = options_of(kind);
    options.decay = Decay::weights;
    Student whole = small_student(6), first = small_student(6), second = small_student(8);
    MasterOptimizer whole_optimizer(whole, options), first_optimizer(first, options);
    MasterOptimizer second_optimizer(second, options);
    train(whole, whole_optimizer, 0, 5);
    train(first, first_optimizer, 0, 2);
    second.load(first.state(), "first");
    second_optimizer.restore(first_optimizer.state(), "first");
    train(first, first_optimizer, 2, 3);  // what it gave is a copy
    train(second, second_optimizer, 2, 5);
    EXPECT_TRUE(same_bits(whole.masters().detach(), second.masters().detach())) << kind;
    EXPECT_EQ(whole_optimizer.state().size(), second_optimizer.state().size());
  }
}

}  // namespace
}  // namespace bitstill
