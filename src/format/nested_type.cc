// Makes nested types from Arrow's format strings, and writes their texts.

#include "format/nested_type.h"

#include <algorithm>
#include <array>
#include <utility>

#include "stream_store/error.h"
#include "stream_store/nested.h"

#include "base/str_cat.h"
#include "format/nested_format.h"
#include "format/utf8.h"

namespace stream_store {

using internal::NestedFormat;
using internal::ReadNestedFormat;
using internal::StrCat;
using Kind = NestedType::Kind;

namespace {

[[noreturn]] void Fail(const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, StrCat("nested type: ", what));
}

void NameIfUnnamed(NestedType& type, std::string_view name) {
  if (type.name.empty()) {
    type.name = std::string(name);
  }
}

// Sets what Arrow prescribes for the parts of a map, which some producers leave out.
void CompleteMap(NestedType& entries) {
  entries.nullable = false;
  entries.children[0].nullable = false;
  NameIfUnnamed(entries, "entries");
  NameIfUnnamed(entries.children[0], "key");
  NameIfUnnamed(entries.children[1], "value");
}

bool IsPlainName(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, internal::IsPlainNameByte);
}

bool IsPlainZone(std::string_view zone) {
  return std::ranges::all_of(zone, [](char c) {
    return internal::IsPlainNameByte(c) || c == '/' || c == '+' || c == ':';
  });
}

// Appends the text of a type to `out_`.
class Writer {
 public:
  std::string Take() && { return std::move(out_); }

  void Type(const NestedType& type, int depth) {
    const auto format = ReadNestedFormat(type.format);
    if (!format) {
      Fail(StrCat("expected the format of a type that can be nested but found \"", type.format,
                  "\""));
    }
    internal::CheckNestedNode(type, *format);
    internal::CheckNestedSize(depth, ++nodes_);
    if (format->is_map) {
      Map(type, depth);
    } else if (format->kind == Kind::kStruct) {
      Struct(type, depth);
    } else if (format->kind == Kind::kList || format->kind == Kind::kFixedList) {
      List(type, *format, depth);
    } else {
      Item(*format);
    }
  }

 private:
  void Item(const NestedFormat& format) {
    const std::string_view text = format.canonical;
    if (text.starts_with("w:")) {
      out_ += StrCat("fixed_size_binary[", format.size, "]");
    } else if (text.starts_with("d:")) {
      const std::string_view numbers = text.substr(2);
      const std::size_t comma = numbers.find(',');
      const std::string_view scale = numbers.substr(comma + 1);
      out_ += StrCat("decimal", format.size * 8, "(", numbers.substr(0, comma), ", ",
                     scale.substr(0, scale.find(',')), ")");
    } else if (text.starts_with("ts")) {
      Timestamp(text);
    } else {
      const auto names = internal::NestedNames();
      out_ += std::ranges::find(names, text, &internal::NestedName::format)->name;
    }
  }

  void Timestamp(std::string_view format) {
    out_ += "timestamp[";
    if (format[2] != 's') {
      out_ += format[2];
    }
    out_ += 's';
    const std::string_view zone = format.substr(4);
    if (!zone.empty()) {
      out_ += ", tz=";
      Text(zone, IsPlainZone(zone));
    }
    out_ += ']';
  }

  void Struct(const NestedType& type, int depth) {
    out_ += "struct<";
    for (std::size_t i = 0; i < type.children.size(); ++i) {
      out_ += i == 0 ? "" : ", ";
      Named(type.children[i], depth);
    }
    out_ += '>';
  }

  void List(const NestedType& type, const NestedFormat& format, int depth) {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kWords = {
        {{"+l", "list"}, {"+L", "large_list"}, {"+vl", "list_view"}, {"+vL", "large_list_view"}}};
    const auto* word =
        std::ranges::find(kWords, format.canonical, [](const auto& of) { return of.first; });
    out_ += word != kWords.end() ? word->second : "fixed_size_list";
    out_ += '<';
    const NestedType& item = type.children[0];
    const bool is_usual = item.name == "item" || item.name.empty();
    if (is_usual && item.nullable) {
      Type(item, depth + 1);
    } else if (is_usual) {
      out_ += "item: ";
      Child(item, depth);
    } else {
      Named(item, depth);
    }
    out_ += '>';
    if (format.kind == Kind::kFixedList) {
      out_ += StrCat("[", format.size, "]");
    }
  }

  void Map(const NestedType& type, int depth) {
    const NestedType& entries = type.children[0];
    internal::CheckNestedSize(depth + 1, ++nodes_);
    out_ += "map<";
    Type(entries.children[0], depth + 2);
    OtherName(entries.children[0], "key");
    out_ += ", ";
    Child(entries.children[1], depth + 1);
    OtherName(entries.children[1], "value");
    if (type.keys_sorted) {
      out_ += ", keys_sorted";
    }
    if (!entries.name.empty() && entries.name != "entries") {
      out_ += ", entries";
      OtherName(entries, "entries");
    }
    out_ += '>';
  }

  void OtherName(const NestedType& type, std::string_view usual) {
    if (!type.name.empty() && type.name != usual) {
      out_ += " (";
      Text(type.name, false);
      out_ += ')';
    }
  }

  void Named(const NestedType& child, int depth) {
    Text(child.name, IsPlainName(child.name));
    out_ += ": ";
    Child(child, depth);
  }

  void Child(const NestedType& child, int depth) {
    Type(child, depth + 1);
    if (!child.nullable) {
      out_ += " not null";
    }
  }

  void Text(std::string_view text, bool is_plain) {
    internal::CheckNestedName(text);
    if (is_plain) {
      out_ += text;
    } else {
      Json(text);
    }
  }

  // As Python's json.dumps(text, ensure_ascii=False).
  void Json(std::string_view text) {
    static constexpr std::string_view kEscaped = "\"\\\n\r\t\b\f";
    static constexpr std::string_view kLetters = "\"\\nrtbf";
    static constexpr char kDigits[] = "0123456789abcdef";
    out_ += '"';
    for (const char c : text) {
      const std::size_t escape = kEscaped.find(c);
      if (escape != std::string_view::npos) {
        out_ += {'\\', kLetters[escape]};
      } else if (static_cast<unsigned char>(c) < 0x20) {
        out_ += {'\\', 'u', '0', '0', kDigits[c >> 4], kDigits[c & 15]};
      } else {
        out_ += c;
      }
    }
    out_ += '"';
  }

  std::string out_;
  std::size_t nodes_ = 0;
};

void CountNodes(const NestedType& type, int depth, std::size_t& nodes) {
  internal::CheckNestedSize(depth, ++nodes);
  for (const NestedType& child : type.children) {
    CountNodes(child, depth + 1, nodes);
  }
}

}  // namespace

namespace internal {

void CheckNestedSize(int depth, std::size_t nodes) {
  if (depth > kMaxNestedDepth) {
    Fail(StrCat("nested more than ", kMaxNestedDepth, " levels deep"));
  }
  if (nodes > kMaxNestedNodes) {
    Fail(StrCat("more than ", kMaxNestedNodes, " nodes"));
  }
}

void CheckNestedName(std::string_view name) {
  if (FirstInvalidUtf8(name.data(), name.size()) != kAllUtf8) {
    Fail("a name or a time zone is not UTF-8");
  }
  if (name.find('\0') != std::string_view::npos) {
    Fail("a name or a time zone contains a zero byte");
  }
}

void CheckNestedNode(const NestedType& type, const NestedFormat& format) {
  const std::size_t children = type.children.size();
  const bool is_list = format.kind == Kind::kList || format.kind == Kind::kFixedList;
  if (is_list && children != 1) {
    Fail(StrCat("a list (format \"", type.format, "\") must have one child, not ", children));
  }
  if (!is_list && format.kind != Kind::kStruct && children != 0) {
    Fail(StrCat("a type of format \"", type.format, "\" must not have children"));
  }
  if (format.is_map && (type.children[0].format != "+s" || type.children[0].children.size() != 2)) {
    Fail("the child of a map must be a struct of a key and a value");
  }
}

NestedType BuildNestedType(const NestedFormat& format, std::vector<NestedType> children) {
  NestedType type;
  type.kind = format.kind;
  type.format = format.canonical;
  type.size = format.size;
  type.children = std::move(children);
  CheckNestedNode(type, format);
  if (format.is_map) {
    CompleteMap(type.children[0]);
  } else if (format.kind == Kind::kList || format.kind == Kind::kFixedList) {
    NameIfUnnamed(type.children[0], "item");
  }
  return type;
}

}  // namespace internal

NestedType MakeNestedType(std::string_view format, std::vector<NestedType> children) {
  const auto read = ReadNestedFormat(format);
  if (!read) {
    Fail(StrCat("expected the format of a type that can be nested but found \"", format, "\""));
  }
  internal::CheckNestedName(format);
  for (const NestedType& child : children) {
    internal::CheckNestedName(child.name);
  }
  NestedType type = internal::BuildNestedType(*read, std::move(children));
  std::size_t nodes = 0;
  CountNodes(type, 1, nodes);
  return type;
}

std::string NestedTypeText(const NestedType& type) {
  Writer writer;
  writer.Type(type, 1);
  return std::move(writer).Take();
}

}  // namespace stream_store
