// The C++ of the README: record, open by path, sample a window. Creates the store `my_cpp_run`.

#include <iostream>
#include <vector>

#include "stream_store/store.h"

int main() {
  using namespace stream_store;
  StreamStore store = StreamStore::Open(
      "my_cpp_run", {.fields = {{.name = "obs", .dtype = DType::kFloat32, .shape = {3}},
                                {.name = "action", .dtype = DType::kInt64},
                                {.name = "reward", .dtype = DType::kFloat32}}});
  const TypeId obs = store.type_id("obs"), action = store.type_id("action");
  const TypeId reward = store.type_id("reward");
  std::vector<float> state = {0.0F, 1.0F, 2.0F};
  const auto first = static_cast<Step>(store.reader().num_rows());  // an earlier run is continued
  for (Step step = first; step < first + 1000; ++step) {
    state[0] += 0.5F;
    store.Append(step, {{obs, state}, {action, step % 4}, {reward, 1.0F}});
  }
  store.Sync();  // from here on these steps survive a power cut

  // In any other process, also while the first one writes:
  const Reader reader = Reader::Open("my_cpp_run");
  const std::vector<Position> starts = {0, 17, 4000};
  std::vector<Value> values(starts.size() * 64);
  std::vector<Step> steps(values.size());
  reader.ReadWindows(starts, 64, {.values = values.data(), .step = steps.data()});
  const std::vector<Row> rows = {100, 500};
  std::vector<float> decoded(rows.size() * 10 * 3);
  reader.ReadRows<float>(rows, 10, obs, decoded);  // two windows of ten rows
  std::cout << reader.num_rows() << " rows; step of value 4000: " << steps[128]
            << "; obs of row 100: " << decoded[0] << '\n';
}
