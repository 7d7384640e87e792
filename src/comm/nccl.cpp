// NCCL on its own non-blocking stream. The communicator is a non-blocking one too, so that no call
// hangs in a dead rank: each is polled, with a time-out.
#include "bitstill/comm/nccl.hpp"

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <chrono>
#include <deque>
#include <exception>
#include <thread>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/comm/agree.hpp"

namespace bitstill {
namespace {

constexpr double kCallTimeout_s = 120;  // for NCCL's own start, launches and end
constexpr std::chrono::microseconds kPoll(50);

void check_cuda(cudaError_t code, const char* call) {
  if (code == cudaSuccess) return;
  throw Error(ExitCode::environment, concat(call, " failed: ", cudaGetErrorString(code)));
}

struct DeviceEvent final : Event {
  explicit DeviceEvent(unsigned flags) {
    check_cuda(cudaEventCreateWithFlags(&event, flags), "cudaEventCreate");
  }
  ~DeviceEvent() override { cudaEventDestroy(event); }
  DeviceEvent(const DeviceEvent&) = delete;
  DeviceEvent& operator=(const DeviceEvent&) = delete;
  void record(cudaStream_t stream) {
    check_cuda(cudaEventRecord(event, stream), "cudaEventRecord");
  }
  bool happened() const {
    const cudaError_t code = cudaEventQuery(event);
    if (code == cudaErrorNotReady) return false;
    check_cuda(code, "cudaEventQuery");
    return true;
  }
  cudaEvent_t event = nullptr;
};
using DeviceEventPtr = std::shared_ptr<DeviceEvent>;

const DeviceEvent& device_event(const EventPtr& event) {
  const auto* device = dynamic_cast<const DeviceEvent*>(event.get());
  if (!device) throw Error(ExitCode::environment, "a CPU event was given to a device channel");
  return *device;
}

class NcclChannel final : public Channel {
 public:
  NcclChannel(World& world, Traffic kind, int device, cudaStream_t compute)
      : rank_(world.place().rank),
        world_(world.place().world),
        device_(device),
        kind_(kind),
        compute_(compute),
        control_(world.control().duplicate(Traffic::control)) {}
  ~NcclChannel() override;

  using Channel::all_reduce;
  EventPtr enqueue(std::function<void(Communicator&)>) override {
    throw Error(ExitCode::environment, "a device channel runs no work on the CPU");
  }
  EventPtr all_reduce(void* data, int64_t count, ElementType type, EventPtr ready) override;
  void wait(const EventPtr& done) override;
  void wait_on_host(const EventPtr& done, double timeout_s);
  double take_busy_seconds() override;

 private:
  void start();
  void settle(ncclResult_t result, const char* call);
  void check_health();
  [[noreturn]] void give_up(const std::string& why);

  const int rank_, world_, device_;
  const Traffic kind_;
  const cudaStream_t compute_;
  std::unique_ptr<Communicator> control_;
  cudaStream_t stream_ = nullptr;  // made at the first use, like comm_
  ncclComm_t comm_ = nullptr;      // null again once aborted
  std::string failure_;
  std::deque<std::pair<DeviceEventPtr, DeviceEventPtr>> timed_;  // begin and end of each sum
  const int exceptions_ = std::uncaught_exceptions();
};

/// Aborts NCCL, so that no kernel waits for a dead rank; the channel throws this from now on.
void NcclChannel::give_up(const std::string& why) {
  if (comm_) ncclCommAbort(comm_);
  comm_ = nullptr;
  failure_ = why;
  throw Error(ExitCode::peer, failure_);
}

/// Polls until a call of a non-blocking communicator is done.
void NcclChannel::settle(ncclResult_t result, const char* call) {
  const Timer timer;
  while (result == ncclInProgress && timer.seconds() < kCallTimeout_s) {
    std::this_thread::sleep_for(kPoll);
    if (ncclCommGetAsyncError(comm_, &result) != ncclSuccess) result = ncclInternalError;
  }
  if (result == ncclSuccess) return;
  if (result == ncclInProgress) {
    give_up(concat(call, ": another rank does not answer for ", kCallTimeout_s, " s"));
  }
  give_up(concat(call, " failed: ", ncclGetErrorString(result), "; ", ncclGetLastError(comm_)));
}

void NcclChannel::check_health() {
  if (!failure_.empty()) throw Error(ExitCode::peer, failure_);
  ncclResult_t result = ncclSuccess;
  if (comm_ && ncclCommGetAsyncError(comm_, &result) == ncclSuccess && result != ncclInProgress) {
    settle(result, "NCCL");
  }
}

void NcclChannel::start() {
  struct {
    ncclResult_t result = ncclSuccess;
    ncclUniqueId id{};
  } first;
  agree(*control_, [&] {
    check_cuda(cudaSetDevice(device_), concat("using GPU ", device_).c_str());
    if (!stream_) {
      check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
    }
    if (rank_ == 0) first.result = ncclGetUniqueId(&first.id);
  });
  control_->broadcast(&first, sizeof first, ElementType::u8, 0);
  agree(*control_, [&] {
    if (first.result != ncclSuccess) give_up("ncclGetUniqueId failed: no network interface?");
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    settle(ncclCommInitRankConfig(&comm_, world_, first.id, rank_, &config), "ncclCommInitRank");
  });
}

EventPtr NcclChannel::all_reduce(void* data, int64_t count, ElementType type, EventPtr ready) {
  if (type != ElementType::f32 && type != ElementType::bf16) {
    throw Error(ExitCode::environment, "device sums are of f32 or bf16");
  }
  check_health();
  if (!comm_) start();
  check_cuda(cudaSetDevice(device_), "cudaSetDevice");
  if (!ready) ready = record_device_event(compute_);
  const auto begin = std::make_shared<DeviceEvent>(cudaEventDefault);
  const auto end = std::make_shared<DeviceEvent>(cudaEventDefault);
  check_cuda(cudaStreamWaitEvent(stream_, device_event(ready).event, 0), "cudaStreamWaitEvent");
  begin->record(stream_);
  settle(
      ncclAllReduce(data, data, static_cast<std::size_t>(count),
                    type == ElementType::f32 ? ncclFloat32 : ncclBfloat16, ncclSum, comm_, stream_),
      "ncclAllReduce");
  end->record(stream_);
  if (world_ > 1) count_traffic(kind_, count * static_cast<int64_t>(element_bytes(type)));
  timed_.emplace_back(begin, end);
  return end;
}

void NcclChannel::wait(const EventPtr& done) {
  if (done) {
    check_cuda(cudaStreamWaitEvent(compute_, device_event(done).event, 0), "cudaStreamWaitEvent");
  }
  check_health();
}

void NcclChannel::wait_on_host(const EventPtr& done, double timeout_s) {
  const Timer timer;
  while (done && !device_event(done).happened()) {
    check_health();
    if (timer.seconds() > timeout_s) {
      give_up(concat("a sum on GPU ", device_, " is not done after ", timeout_s,
                     " s: another rank may have died"));
    }
    std::this_thread::sleep_for(kPoll);
  }
  check_health();
}

double NcclChannel::take_busy_seconds() {
  double seconds = 0;
  while (!timed_.empty() && timed_.front().second->happened()) {
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, timed_.front().first->event,
                                    timed_.front().second->event),
               "cudaEventElapsedTime");
    seconds += milliseconds * 1e-3;
    timed_.pop_front();
  }
  return seconds;
}

NcclChannel::~NcclChannel() {
  if (!stream_) return;
  cudaSetDevice(device_);
  if (comm_ && std::uncaught_exceptions() == exceptions_) {
    try {
      settle(ncclCommFinalize(comm_), "ncclCommFinalize");
      ncclCommDestroy(comm_);
      comm_ = nullptr;
    } catch (const Error&) {  // settle has aborted the communicator
    }
  }
  if (comm_) ncclCommAbort(comm_);
  cudaStreamDestroy(stream_);
}

}  // namespace

std::unique_ptr<Channel> make_nccl_channel(World& world, Traffic kind, int device,
                                           void* compute_stream) {
  return std::make_unique<NcclChannel>(world, kind, device,
                                       static_cast<cudaStream_t>(compute_stream));
}

EventPtr record_device_event(void* stream) {
  auto event = std::make_shared<DeviceEvent>(cudaEventDisableTiming);
  event->record(static_cast<cudaStream_t>(stream));
  return event;
}

void wait_on_host(Channel& channel, const EventPtr& done, double timeout_s) {
  auto* nccl = dynamic_cast<NcclChannel*>(&channel);
  if (!nccl) throw Error(ExitCode::environment, "wait_on_host is for device channels");
  nccl->wait_on_host(done, timeout_s);
}

}  // namespace bitstill
