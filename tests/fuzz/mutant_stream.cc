#include "fuzz/mutant_stream.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "stream_store/error.h"
#include "stream_store/nested.h"

namespace stream_store::fuzz {
namespace {

constexpr int kMaxDepth = 4;

const std::array<const char*, 48> kFormats = {
    "l",   "f",     "u",          "+l",   "+s",  "b",   "c",        "C",    "s",       "S",
    "i",   "I",     "L",          "e",    "g",   "z",   "U",        "Z",    "vu",      "vz",
    "w:3", "d:9,2", "d:40,1,256", "tdD",  "tdm", "tts", "ttn",      "tsu:", "tsn:UTC", "tDm",
    "n",   "+L",    "+w:2",       "+w:0", "+vl", "+vL", "+l",       "+l",   "+w:3",    "+s",
    "+m",  "u",     "+r",         "+r",   "tin", "tiM", "d:9,2,32", "+m"};

int FixedBytes(const std::string& format) {
  switch (format[0]) {
    case 'c':
    case 'C':
      return 1;
    case 's':
    case 'S':
    case 'e':
      return 2;
    case 'i':
    case 'I':
    case 'f':
      return 4;
    case 'w':
      return 3;
    case 'd':
      return format == "d:9,2,32" ? 4 : format.size() > 6 ? 32 : 16;
    case 't':
      if (format[1] == 'i') {
        return format == "tin" ? 16 : 4;
      }
      return format == "tdD" || format == "tts" ? 4 : 8;
    default:
      return 8;
  }
}

struct Maker {
  Draw& draw;

  std::uint8_t* Add(Node& node, std::size_t bytes) {
    node.owned.push_back(std::make_unique<std::uint8_t[]>(bytes));
    node.sizes.push_back(bytes);
    node.buffers.push_back(node.owned.back().get());
    return node.owned.back().get();
  }

  void AddValidity(Node& node, std::int64_t elements) {
    const auto bytes = static_cast<std::size_t>((elements + 7) / 8);
    std::uint8_t* bits = Add(node, bytes);
    if (draw.Below(3) != 0) {
      node.buffers.back() = nullptr;
      node.null_count = draw.Chance(2) ? 0 : -1;
      return;
    }
    for (std::size_t i = 0; i < bytes; ++i) {
      bits[i] = static_cast<std::uint8_t>(draw.Byte() | draw.Byte());
    }
  }

  void Fill(std::uint8_t* out, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) {
      out[i] = draw.Byte();
    }
  }

  template <class T>
  static void Put(std::uint8_t* out, std::int64_t i, std::int64_t value) {
    const auto item = static_cast<T>(value);
    std::memcpy(out + static_cast<std::size_t>(i) * sizeof(T), &item, sizeof(T));
  }

  void PutOffset(std::uint8_t* out, bool wide, std::int64_t i, std::int64_t value) {
    if (draw.Chance(200)) {
      value = draw.Odd();
    }
    wide ? Put<std::int64_t>(out, i, value) : Put<std::int32_t>(out, i, value);
  }

  // Makes rising offsets of `elements` lists and returns the last one.
  std::int64_t AddOffsets(Node& node, std::int64_t elements, bool wide) {
    std::uint8_t* out = Add(node, static_cast<std::size_t>(elements + 1) * (wide ? 8 : 4));
    auto at = static_cast<std::int64_t>(draw.Below(3));
    const auto each = static_cast<std::int64_t>(draw.Below(4));
    const bool regular = draw.Below(2) == 0;
    for (std::int64_t i = 0; i <= elements; ++i) {
      PutOffset(out, wide, i, at);
      at += i == elements ? 0 : regular ? each : static_cast<std::int64_t>(draw.Below(4));
    }
    return at;
  }

  // Makes an array that must have at least `wanted` elements, with the shape of `like` if that is
  // given.
  std::unique_ptr<Node> Make(std::int64_t wanted, int depth, const Node* like) {
    auto node = std::make_unique<Node>();
    node->format = like != nullptr ? like->format : kFormats[draw.Below(kFormats.size())];
    if (depth >= kMaxDepth && node->format[0] == '+') {
      node->format.assign(1, 'l');
    }
    node->offset = static_cast<std::int64_t>(draw.Below(4));
    node->length = wanted + (depth > 0 ? static_cast<std::int64_t>(draw.Below(2)) : 0);
    const std::int64_t elements = node->length + node->offset;
    const bool wants_dictionary =
        like != nullptr
            ? like->dictionary != nullptr
            : node->format.size() == 1 &&
                  std::string_view("cCilL").find(node->format) != std::string_view::npos &&
                  draw.Chance(8);
    Content(*node, elements, depth, like);
    if (wants_dictionary) {
      const auto words = static_cast<std::int64_t>(draw.Below(5));
      node->dictionary = Make(words, depth + 1, like == nullptr ? nullptr : like->dictionary.get());
      Indices(*node, elements, words);
    }
    Lie(*node);
    return node;
  }

  void Indices(Node& node, std::int64_t elements, std::int64_t words) {
    const int bytes = FixedBytes(node.format);
    for (std::int64_t i = 0; i < elements; ++i) {
      const std::int64_t index =
          draw.Chance(100)
              ? draw.Odd()
              : static_cast<std::int64_t>(draw.Below(static_cast<std::uint64_t>(words)));
      std::memcpy(node.owned[1].get() + i * bytes, &index, static_cast<std::size_t>(bytes));
    }
  }

  void Content(Node& node, std::int64_t elements, int depth, const Node* like) {
    const std::string& format = node.format;
    const auto child = [&](std::size_t i) {
      return like == nullptr || i >= like->children.size() ? nullptr : like->children[i].get();
    };
    if (format == "n") {
      return;
    }
    if (format == "+r") {
      RunEnds(node, elements, depth, child(1));
      return;
    }
    AddValidity(node, elements);
    if (format == "+m") {
      Entries(node, elements, depth, like);
    } else if (format == "+s") {
      const std::size_t count = like != nullptr ? like->children.size() : draw.Below(4);
      for (std::size_t i = 0; i < count; ++i) {
        node.children.push_back(Make(elements, depth + 1, child(i)));
        node.children.back()->name = std::string(1, static_cast<char>('a' + i));
      }
    } else if (format == "+l" || format == "+L") {
      const std::int64_t items = AddOffsets(node, elements, format == "+L");
      node.children.push_back(Make(items, depth + 1, child(0)));
    } else if (format == "+vl" || format == "+vL") {
      const bool wide = format == "+vL";
      const auto bytes = static_cast<std::size_t>(elements) * (wide ? 8 : 4);
      std::uint8_t* offsets = Add(node, bytes);
      std::uint8_t* sizes = Add(node, bytes);
      for (std::int64_t i = 0; i < elements; ++i) {
        PutOffset(offsets, wide, i, static_cast<std::int64_t>(draw.Below(4)));
        PutOffset(sizes, wide, i, static_cast<std::int64_t>(draw.Below(4)));
      }
      node.children.push_back(Make(6, depth + 1, child(0)));
    } else if (format.starts_with("+w:")) {
      node.children.push_back(Make(elements * (format[3] - '0'), depth + 1, child(0)));
    } else if (format == "b") {
      const auto bytes = static_cast<std::size_t>((elements + 7) / 8);
      Fill(Add(node, bytes), bytes);
    } else if (format == "u" || format == "z" || format == "U" || format == "Z") {
      Text(node, elements);
    } else if (format[0] == 'v') {
      Views(node, elements);
    } else {
      const auto bytes = static_cast<std::size_t>(elements * FixedBytes(format));
      Fill(Add(node, bytes), bytes);
    }
  }

  // A map: lists of structs of a key and a value.
  void Entries(Node& node, std::int64_t elements, int depth, const Node* like) {
    const std::int64_t items = AddOffsets(node, elements, false);
    auto entries = std::make_unique<Node>();
    entries->format = "+s";
    entries->name = "entries";
    entries->length = items;
    entries->null_count = 0;
    entries->buffers = {nullptr};
    for (std::size_t i = 0; i < 2; ++i) {
      const Node* child = like == nullptr ? nullptr : like->children[0]->children[i].get();
      entries->children.push_back(Make(items, depth + 2, child));
      entries->children.back()->name = i == 0 ? "key" : "value";
    }
    node.children.push_back(std::move(entries));
  }

  // Run ends of one to three elements each, now and then a lie.
  void RunEnds(Node& node, std::int64_t elements, int depth, const Node* values) {
    auto ends = std::make_unique<Node>();
    ends->format = "i";
    ends->name = "run_ends";
    ends->buffers = {nullptr};
    ends->null_count = 0;
    ends->owned.emplace_back();  // of the bitmap that it does not have
    std::uint8_t* out = Add(*ends, static_cast<std::size_t>(elements) * 4);
    for (std::int64_t end = 0; end < elements; ++ends->length) {
      end = std::min(elements, end + 1 + static_cast<std::int64_t>(draw.Below(3)));
      Put<std::int32_t>(out, ends->length, draw.Chance(100) ? draw.Odd() : end);
    }
    const std::int64_t runs = ends->length;
    node.children.push_back(std::move(ends));
    node.children.push_back(Make(runs, depth + 1, values));
    node.children.back()->name = "values";
  }

  // A consumer cannot check text offsets against the size of their buffer, so the only lie is a
  // falling offset.
  void Text(Node& node, std::int64_t elements) {
    const bool wide = node.format == "U" || node.format == "Z";
    std::uint8_t* out = Add(node, static_cast<std::size_t>(elements + 1) * (wide ? 8 : 4));
    std::int64_t at = 0;
    for (std::int64_t i = 0; i <= elements; ++i) {
      const std::int64_t told = draw.Chance(200) ? -at : at;
      wide ? Put<std::int64_t>(out, i, told) : Put<std::int32_t>(out, i, told);
      at += i == elements ? 0 : static_cast<std::int64_t>(draw.Below(5));
    }
    const auto bytes = static_cast<std::size_t>(at);
    std::uint8_t* text = Add(node, bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
      text[i] = static_cast<std::uint8_t>(draw.Chance(60) ? 0xff : 'a' + draw.Byte() % 20);
    }
  }

  void Views(Node& node, std::int64_t elements) {
    constexpr std::int64_t kText = 40;
    std::uint8_t* views = Add(node, static_cast<std::size_t>(elements) * 16);
    for (std::int64_t i = 0; i < elements; ++i) {
      std::uint8_t* view = views + i * 16;
      const auto bytes = static_cast<std::int64_t>(draw.Below(20));
      const bool lies = draw.Chance(60);
      Put<std::int32_t>(view, 0, lies ? draw.Odd() : bytes);
      if (bytes <= 12 && !lies) {
        std::memset(view + 4, 'x', static_cast<std::size_t>(bytes));
      } else {
        Put<std::int32_t>(view, 2, draw.Chance(60) ? draw.Odd() : 0);
        Put<std::int32_t>(view, 3,
                          draw.Chance(60) ? draw.Odd() : static_cast<std::int64_t>(draw.Below(20)));
      }
    }
    std::memset(Add(node, kText), 'y', kText);
    Put<std::int64_t>(Add(node, 8), 0, kText);
  }

  // Adds lies about the array as a whole.
  void Lie(Node& node) {
    if (!draw.Chance(12)) {
      return;
    }
    switch (draw.Below(9)) {
      case 0:
        node.null_count = draw.Odd();
        break;
      case 1:
        node.length = -1 - static_cast<std::int64_t>(draw.Below(9));
        break;
      case 2:
        node.length = static_cast<std::int64_t>(
            draw.Below(static_cast<std::uint64_t>(std::max<std::int64_t>(node.length, 1))));
        break;
      case 3:
        node.offset = -1;
        break;
      case 4:
        if (!node.buffers.empty()) {
          node.buffers[draw.Below(node.buffers.size())] = nullptr;
        }
        break;
      case 5:
        if (!node.buffers.empty() && node.format[0] != 'v') {
          node.buffers.pop_back();
        }
        break;
      case 6:
        node.extra_children = static_cast<std::int64_t>(draw.Below(3));
        break;
      case 7:
        node.drop_dictionary = true;
        break;
      default:
        node.format = draw.Chance(2) ? "" : "tsx";
    }
  }
};

void ReleaseSchema(ArrowSchema* schema) { schema->release = nullptr; }

void FillSchema(Node& node, ArrowSchema* out) {
  node.schemas.assign(node.children.size(), ArrowSchema{});
  node.schema_pointers.clear();
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    FillSchema(*node.children[i], &node.schemas[i]);
    node.schema_pointers.push_back(&node.schemas[i]);
  }
  *out = ArrowSchema{};
  out->format = node.format.c_str();
  out->name = node.name.c_str();
  out->flags = ARROW_FLAG_NULLABLE;
  out->n_children = static_cast<std::int64_t>(node.children.size());
  out->children = node.schema_pointers.data();
  if (node.dictionary) {
    FillSchema(*node.dictionary, &node.dictionary_schema);
    out->dictionary = &node.dictionary_schema;
  }
  out->release = &ReleaseSchema;
}

void ReleaseChild(ArrowArray* array) { array->release = nullptr; }

void FillArray(Node& node, ArrowArray* out) {
  node.arrays.assign(node.children.size(), ArrowArray{});
  node.array_pointers.clear();
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    FillArray(*node.children[i], &node.arrays[i]);
    node.array_pointers.push_back(&node.arrays[i]);
  }
  *out = ArrowArray{};
  out->length = node.length;
  out->offset = node.offset;
  out->null_count = node.null_count;
  out->n_buffers = static_cast<std::int64_t>(node.buffers.size());
  out->buffers = node.buffers.data();
  out->n_children = std::max<std::int64_t>(
      0, static_cast<std::int64_t>(node.children.size()) - node.extra_children);
  out->children = node.array_pointers.data();
  if (node.dictionary && !node.drop_dictionary) {
    FillArray(*node.dictionary, &node.dictionary_array);
    out->dictionary = &node.dictionary_array;
  }
  out->release = &ReleaseChild;
}

void ReleaseBatch(ArrowArray* array) {
  auto* mutant = static_cast<MutantStream*>(array->private_data);
  ++mutant->released;
  array->release = nullptr;
}

}  // namespace

std::uint8_t Draw::Byte() {
  if (bytes_.empty()) {
    return 0;
  }
  const std::uint8_t byte = bytes_.front();
  bytes_ = bytes_.subspan(1);
  return byte;
}

std::uint64_t Draw::Below(std::uint64_t end) {
  if (end <= 1) {
    return 0;
  }
  std::uint64_t number = Byte();
  if (end > 256) {
    number = number << 8 | Byte();
  }
  return number % end;
}

std::int64_t Draw::Odd() {
  constexpr std::array<std::int64_t, 10> kOdd = {
      -1, 1, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN + 1, 1LL << 40, 1000, 7, 255};
  return kOdd[Below(kOdd.size())] + static_cast<std::int64_t>(Below(2) == 0 ? 0 : -1);
}

MutantStream::MutantStream(Draw& draw) {
  Maker maker{draw};
  const std::uint64_t count = 1 + draw.Below(3);
  for (std::uint64_t i = 0; i < count; ++i) {
    Node like;
    like.format = "+s";
    const Node* first = batches.empty() ? nullptr : batches.front().get();
    auto batch = std::make_unique<Node>();
    batch->format = "+s";
    batch->length = static_cast<std::int64_t>(draw.Below(draw.Chance(4) ? 300 : 12));
    batch->offset = static_cast<std::int64_t>(draw.Below(3));
    batch->null_count = 0;
    batch->buffers = {nullptr};
    const std::size_t columns = first != nullptr ? first->children.size() : 1 + draw.Below(5);
    for (std::size_t c = 0; c < columns; ++c) {
      batch->children.push_back(maker.Make(batch->length + batch->offset, 1,
                                           first != nullptr ? first->children[c].get() : nullptr));
      batch->children.back()->name = std::string(1, static_cast<char>('a' + c));
    }
    if (draw.Chance(30)) {
      batch->length += static_cast<std::int64_t>(draw.Below(5));
    }
    batches.push_back(std::move(batch));
  }
  failure = draw.Chance(30) ? EIO : 0;
}

MutantStream::~MutantStream() = default;

ArrowArrayStream MutantStream::stream() {
  ArrowArrayStream made{};
  made.private_data = this;
  made.get_schema = [](ArrowArrayStream* self, ArrowSchema* out) {
    FillSchema(*static_cast<MutantStream*>(self->private_data)->batches.front(), out);
    return 0;
  };
  made.get_next = [](ArrowArrayStream* self, ArrowArray* out) {
    auto& mutant = *static_cast<MutantStream*>(self->private_data);
    *out = ArrowArray{};
    if (mutant.next + 1 == mutant.batches.size() && mutant.failure != 0) {
      return mutant.failure;
    }
    if (mutant.next < mutant.batches.size()) {
      FillArray(*mutant.batches[mutant.next++], out);
      out->release = &ReleaseBatch;
      out->private_data = &mutant;
      ++mutant.handed_out;
    }
    return 0;
  };
  made.get_last_error = [](ArrowArrayStream*) { return "a failure that was asked for"; };
  made.release = [](ArrowArrayStream* self) {
    auto& mutant = *static_cast<MutantStream*>(self->private_data);
    ++mutant.released;
    mutant.twice = mutant.twice || self->release == nullptr;
    self->release = nullptr;
  };
  ++handed_out;
  return made;
}

}  // namespace stream_store::fuzz
