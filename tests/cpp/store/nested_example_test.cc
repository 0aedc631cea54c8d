// The example in stream_store/nested.h, as it is written there.

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/nested.h"
#include "stream_store/store.h"

namespace stream_store {
namespace {

TEST(NestedExampleTest, AChatIsAppendedAndReadBack) {
  StreamStore store = StreamStore::Temporary();
  store.DefineFields({{.name = "messages",
                       .dtype = DType::kNested,
                       .nested = "list<struct<role: string, content: string>>"}});
  const TypeId messages = 0;
  const Step step = 7;
  const NestedType type = ParseNestedType("list<struct<role: string, content: string>>");
  NestedEncoder chat(type);
  chat.BeginList();
  chat.BeginStruct();
  chat.Text("user");
  chat.Text("Hello");
  chat.EndStruct();
  chat.EndList();
  store.Append(step, {{messages, chat.Finish()}});

  Reader reader = store.reader();
  const RowView row = reader.row(0);
  std::vector<std::pair<std::string, std::string>> found;
  NestedDecoder cell(type);
  for (const auto& [field, words] : row) {
    cell.Open(PackedBytes(reader.schema()[field], words));
    for (std::uint64_t left = cell.BeginList(); left > 0; --left) {
      cell.BeginStruct();
      const std::string_view role = cell.Text();
      const std::string_view content = cell.Text();
      found.emplace_back(role, content);
    }
  }
  EXPECT_EQ(found, (std::vector<std::pair<std::string, std::string>>{{"user", "Hello"}}));
}

}  // namespace
}  // namespace stream_store
