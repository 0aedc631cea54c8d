#include "chunk_operations.h"

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "stream_store/arrow.h"
#include "stream_store/nested.h"
#include "stream_store/store.h"

#include "bind.h"
#include "data/data.h"

namespace stream_store::guard {
namespace {

using namespace benchmarks;  // NOLINT(google-build-using-namespace)

constexpr std::uint64_t kChunkBytes = 1 << 20;
constexpr std::uint64_t kChunkValues = kChunkBytes / sizeof(Value);
constexpr std::uint64_t kBorders = 3;  // between chunks of values
constexpr std::uint64_t kChunkedRows = (kBorders + 1) * kChunkValues / kStepValues;
constexpr const char* kChatType = "list<struct<role: string, content: string>>";

StreamStore MakeChunkedStore(std::vector<Field> fields = StepFields()) {
  return StreamStore::Temporary({.capacity_values = kChunkValues / 4,
                                 .chunk_bytes = kChunkBytes,
                                 .fields = std::move(fields),
                                 .grow_ahead = false});
}

StreamStore MakeFilledChunks() {
  StreamStore store = MakeChunkedStore();
  const ColumnData data(kChunkedRows);
  store.Extend(data.steps, data.Columns());
  return store;
}

// Starts of windows of which each crosses the border of a chunk of values, in any order. `width` and
// the starts are in units of `each` values.
std::vector<std::int64_t> StartsAtBorders(std::uint64_t width, std::uint64_t each) {
  Draws draws(1, kReads, kBorders * (width - 1));
  std::vector<std::int64_t> starts;
  for (const std::int64_t draw : draws.Next()) {
    const std::uint64_t border = (static_cast<std::uint64_t>(draw) % kBorders + 1) * kChunkValues;
    const std::uint64_t before = static_cast<std::uint64_t>(draw) / kBorders + 1;
    starts.push_back(static_cast<std::int64_t>(border / each - before + (each > 1 ? 1 : 0)));
  }
  return starts;
}

Operation ReadWindowsAtBorders(const StreamStore& store) {
  struct State {
    explicit State(const StreamStore& of) : reader(of.reader()) {}

    Reader reader;
    std::vector<std::int64_t> starts = StartsAtBorders(kWidth, 1);
    Pages<Value> room{3 * kWindows * kWidth};
    WindowsOut out{.values = room.data(),
                   .types = room.data() + kWindows * kWidth,
                   .step = room.data() + 2 * kWindows * kWidth};
  };

  return {"read_windows_256_borders", "window of 128 values", kReads,
          Bind(std::make_shared<State>(store), [](State& s) {
            for (std::uint64_t i = 0; i < kReads; i += kWindows) {
              s.reader.ReadWindows(std::span(s.starts).subspan(i, kWindows), kWidth, s.out);
              Keep();
            }
          })};
}

Operation ReadRowsAtBorders(const StreamStore& store) {
  struct State {
    explicit State(const StreamStore& of) : reader(of.reader()) {}

    Reader reader;
    std::vector<std::int64_t> starts = StartsAtBorders(kLength, kStepValues);
    RowsRoom room{/*ragged_too=*/false};
  };

  return {"read_rows_borders", "window of 12 rows", kReads,
          Bind(std::make_shared<State>(store), [](State& s) {
            for (std::uint64_t i = 0; i < kReads; i += kWindows) {
              s.reader.ReadRows(std::span(s.starts).subspan(i, kWindows), kLength, s.room.columns,
                                s.room.steps.data());
              Keep();
            }
          })};
}

// A buffer that is full: rows are appended, and as many are dropped, with chunks of every kind made
// and deleted. The limits of a store drop rows on a helper thread, at times that differ from run to
// run; dropping as many rows at a time here does the same work in this thread.
Operation AppendBounded() {
  constexpr std::uint64_t kRetained = 8000;
  constexpr std::uint64_t kAppended = 36'000;  // a chunk of records has 32,768
  constexpr std::uint64_t kDropped = kRetained / 64;

  struct State {
    StreamStore store = MakeChunkedStore();
    std::array<float, 8> observation{1, 2, 3, 4, 5, 6, 7, 8};
    Step step = 0;

    State() { Append(kRetained); }

    void Append(std::uint64_t rows) {
      for (std::uint64_t i = 0; i < rows; ++i, ++step) {
        store.Append(
            step, {{kAction, step}, {kObservation, observation}, {kReward, 1.0F}, {kDone, false}});
      }
    }
  };

  return {"append_bounded", "step", kAppended, Bind(std::make_shared<State>(), [](State& s) {
            for (std::uint64_t i = 0; i < kAppended; i += kDropped) {
              s.Append(kDropped);
              s.store.DropBefore(s.step - static_cast<Step>(kRetained));
            }
          })};
}

constexpr std::uint64_t kChats = 4000;

// Chats of one to four messages.
StreamStore MakeChatStore() {
  StreamStore store = StreamStore::Temporary(
      {.fields = {{.name = "messages", .dtype = DType::kNested, .nested = kChatType},
                  {.name = "tags", .dtype = DType::kNested, .nested = "list<string>"}},
       .grow_ahead = false});
  NestedEncoder chat(ParseNestedType(kChatType));
  NestedEncoder tags(ParseNestedType("list<string>"));
  for (std::uint64_t i = 0; i < kChats; ++i) {
    chat.BeginList();
    tags.BeginList();
    for (std::uint64_t message = 0; message <= i % 4; ++message) {
      chat.BeginStruct();
      chat.Text(message % 2 == 0 ? "user" : "assistant");
      chat.Text(std::string(20 + i % 50, 'x'));
      chat.EndStruct();
      tags.Text("tag");
    }
    chat.EndList();
    tags.EndList();
    store.Append(static_cast<Step>(i), {{0, chat.Finish()}, {1, tags.Finish()}});
  }
  return store;
}

// The store is new, so the first reads fault pages in; after that, reads request pages until 32 batches
// did not wait.
Operation DecodeNested(const StreamStore& store) {
  constexpr int kWarmUps = 32 / kBatches + 1;

  struct State {
    explicit State(const StreamStore& of)
        : reader(of.reader()),
          draws(kBatches, kWindows, kChats - 1),
          cell(ParseNestedType(kChatType)) {}

    Reader reader;
    Draws draws;
    NestedDecoder cell;
    std::vector<std::span<const Value>> spans{kWindows};
    RowsColumn column{.type = 0, .spans = spans.data()};
    std::uint64_t bytes = 0;
  };

  return {"decode_nested", "cell of 1 to 4 structs", kReads,
          Bind(std::make_shared<State>(store),
               [](State& s) {
                 const Field& field = s.reader.schema()[0];
                 for (std::uint64_t i = 0; i < kBatches; ++i) {
                   s.reader.ReadRows(s.draws.Next(), 1, {&s.column, 1}, nullptr);
                   for (const std::span<const Value> words : s.spans) {
                     s.cell.Open(PackedBytes(field, words));
                     for (std::uint64_t left = s.cell.BeginList(); left > 0; --left) {
                       s.cell.BeginStruct();
                       s.bytes += s.cell.Text().size();
                       s.bytes += s.cell.Text().size();
                     }
                   }
                   Keep();
                 }
               }),
          kWarmUps};
}

Operation ExportNested(const StreamStore& store) {
  auto reader = std::make_shared<Reader>(store.reader());
  return {
      "export_nested", "row of two nested cells", kChats, Bind(std::move(reader), [](Reader& s) {
        ArrowArrayStream stream{};
        ExportArrow(s, {}, &stream);
        if (Drain(stream) != kChats) {
          throw std::runtime_error("the Arrow stream has another number of rows than the store");
        }
      })};
}

}  // namespace

std::vector<Operation> ChunkOperations() {
  const StreamStore store = MakeFilledChunks();
  return {ReadWindowsAtBorders(store), ReadRowsAtBorders(store), AppendBounded()};
}

std::vector<Operation> NestedOperations() {
  const StreamStore store = MakeChatStore();
  return {DecodeNested(store), ExportNested(store)};
}

}  // namespace stream_store::guard
