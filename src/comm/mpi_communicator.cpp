// Blocking verbs over MPI: no threads here, and nothing of one MPI's own.
#include "mpi_communicator.hpp"

#include <algorithm>
#include <exception>
#include <string>

#include "bitstill/base/bf16.hpp"
#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr int kMessageTag = 0;

MPI_Datatype mpi_type(ElementType type) {
  switch (type) {
    case ElementType::f32:
      return MPI_FLOAT;
    case ElementType::f64:
      return MPI_DOUBLE;
    case ElementType::bf16:
      return MPI_UINT16_T;  // its sums by an operation of ours
    case ElementType::i64:
      return MPI_INT64_T;
    case ElementType::u8:
      return MPI_UINT8_T;
  }
  return MPI_DATATYPE_NULL;
}

void add_bf16(void* in, void* in_and_out, int* count, MPI_Datatype*) {
  const auto* a = static_cast<const uint16_t*>(in);
  auto* b = static_cast<uint16_t*>(in_and_out);
  for (int i = 0; i < *count; ++i) b[i] = to_bf16(from_bf16(a[i]) + from_bf16(b[i]));
}

/// Of the process; MPI_Finalize frees it.
MPI_Op bf16_sum() {
  static const MPI_Op op = [] {
    MPI_Op made = MPI_OP_NULL;
    check_mpi(MPI_Op_create(&add_bf16, 1, &made), "MPI_Op_create");
    return made;
  }();
  return op;
}

MPI_Op mpi_op(Reduction op, ElementType type) {
  if (type == ElementType::bf16) return bf16_sum();
  if (op == Reduction::min) return MPI_MIN;
  return op == Reduction::max ? MPI_MAX : MPI_SUM;
}

/// One element that stands for `count` of them, where an int cannot count them.
class LongType {
 public:
  LongType(MPI_Datatype type, int64_t bytes, int64_t count, int64_t longest) {
    MPI_Datatype piece = MPI_DATATYPE_NULL, pieces = MPI_DATATYPE_NULL;
    const int64_t whole = count / longest, rest = count % longest;
    check_mpi(MPI_Type_contiguous(static_cast<int>(longest), type, &piece), "MPI_Type_contiguous");
    check_mpi(MPI_Type_contiguous(static_cast<int>(whole), piece, &pieces), "MPI_Type_contiguous");
    const int lengths[2] = {1, static_cast<int>(rest)};
    const MPI_Aint starts[2] = {0, static_cast<MPI_Aint>(whole * longest * bytes)};
    const MPI_Datatype types[2] = {pieces, type};
    check_mpi(MPI_Type_create_struct(2, lengths, starts, types, &type_), "MPI_Type_create_struct");
    check_mpi(MPI_Type_commit(&type_), "MPI_Type_commit");
    MPI_Type_free(&piece);
    MPI_Type_free(&pieces);
  }
  ~LongType() { MPI_Type_free(&type_); }
  LongType(const LongType&) = delete;
  LongType& operator=(const LongType&) = delete;
  MPI_Datatype get() const { return type_; }

 private:
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
};

int rank_of(MPI_Comm comm) {
  int rank = 0;
  check_mpi(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
  return rank;
}

int size_of(MPI_Comm comm) {
  int size = 1;
  check_mpi(MPI_Comm_size(comm, &size), "MPI_Comm_size");
  return size;
}

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(MPI_Comm comm, bool owned, Traffic kind, int64_t longest)
      : Communicator(rank_of(comm), size_of(comm), kind),
        comm_(comm),
        owned_(owned),
        longest_(longest) {}

  ~MpiCommunicator() override {
    int finalized = 0;
    MPI_Finalized(&finalized);
    // While an exception unwinds other ranks may be anywhere; the job is about to end.
    if (owned_ && !finalized && std::uncaught_exceptions() == 0) MPI_Comm_free(&comm_);
  }

  std::unique_ptr<Communicator> duplicate(Traffic kind) override {
    MPI_Comm copy = MPI_COMM_NULL;
    check_mpi(MPI_Comm_dup(comm_, &copy), "MPI_Comm_dup");
    return make_mpi_communicator(copy, true, kind, longest_);
  }

 protected:
  std::unique_ptr<Communicator> do_split(int color, int key, Traffic kind) override {
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(comm_, color, key, &part), "MPI_Comm_split");
    return make_mpi_communicator(part, true, kind, longest_);
  }
  void do_all_reduce(void* data, int64_t count, ElementType type, Reduction op) override {
    in_pieces(data, count, type, [&](void* piece, int length) {
      check_mpi(MPI_Allreduce(MPI_IN_PLACE, piece, length, mpi_type(type), mpi_op(op, type), comm_),
                "MPI_Allreduce");
    });
  }
  void do_all_gather(const void* mine, void* all, int64_t count, ElementType type) override {
    as_one(count, type, [&](int length, MPI_Datatype element) {
      check_mpi(MPI_Allgather(mine, length, element, all, length, element, comm_), "MPI_Allgather");
    });
  }
  void do_all_to_all(const void* mine, void* theirs, int64_t count, ElementType type) override {
    as_one(count, type, [&](int length, MPI_Datatype element) {
      check_mpi(MPI_Alltoall(mine, length, element, theirs, length, element, comm_),
                "MPI_Alltoall");
    });
  }
  void do_broadcast(void* data, int64_t count, ElementType type, int root) override {
    in_pieces(data, count, type, [&](void* piece, int length) {
      check_mpi(MPI_Bcast(piece, length, mpi_type(type), root, comm_), "MPI_Bcast");
    });
  }
  void do_barrier() override { check_mpi(MPI_Barrier(comm_), "MPI_Barrier"); }
  void do_send(const void* data, int64_t count, ElementType type, int to) override {
    in_pieces(const_cast<void*>(data), count, type, [&](void* piece, int length) {
      check_mpi(MPI_Send(piece, length, mpi_type(type), to, kMessageTag, comm_), "MPI_Send");
    });
  }
  void do_receive(void* data, int64_t count, ElementType type, int from) override {
    in_pieces(data, count, type, [&](void* piece, int length) {
      check_mpi(
          MPI_Recv(piece, length, mpi_type(type), from, kMessageTag, comm_, MPI_STATUS_IGNORE),
          "MPI_Recv");
    });
  }

 private:
  template <class Call>
  void in_pieces(void* data, int64_t count, ElementType type, Call call) {
    const auto bytes = static_cast<int64_t>(element_bytes(type));
    for (int64_t at = 0; at < count; at += longest_) {
      call(static_cast<char*>(data) + at * bytes, static_cast<int>(std::min(longest_, count - at)));
    }
  }

  /// In one call, however many elements.
  template <class Call>
  void as_one(int64_t count, ElementType type, Call call) {
    if (count <= longest_) return call(static_cast<int>(count), mpi_type(type));
    const auto bytes = static_cast<int64_t>(element_bytes(type));
    const LongType whole(mpi_type(type), bytes, count, longest_);
    call(1, whole.get());
  }

  MPI_Comm comm_;
  bool owned_;
  int64_t longest_;
};

}  // namespace

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  const std::string reason(text, static_cast<std::size_t>(length));
  throw Error(ExitCode::peer, concat(call, " failed, another rank may have died: ", reason));
}

std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm comm, bool owned, Traffic kind,
                                                    int64_t longest) {
  return std::make_unique<MpiCommunicator>(comm, owned, kind, longest);
}

}  // namespace bitstill
