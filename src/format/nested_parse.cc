// Parses the texts of nested types: a recursive descent that goes no deeper than kMaxNestedDepth.

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "stream_store/error.h"
#include "stream_store/nested.h"

#include "base/str_cat.h"
#include "format/nested_format.h"
#include "format/nested_scanner.h"
#include "format/nested_type.h"

namespace stream_store {
namespace {

using internal::ReadNestedFormat;
using internal::StrCat;

// The types whose children follow in angle brackets, and their formats. A fixed-size list's format
// ends with its size, which follows the brackets.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kParents = {
    {{"list", "+l"},
     {"large_list", "+L"},
     {"list_view", "+vl"},
     {"large_list_view", "+vL"},
     {"fixed_size_list", "+w:"},
     {"struct", "+s"},
     {"map", "+m"}}};

// Types that are refused, with the remedy.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kRefused = {
    {{"extension", "give the storage type of the extension type instead"},
     {"dictionary", "give the type of the values of the dictionary instead"},
     {"run_end_encoded", "give the type of the values instead"},
     {"union", "unions cannot be stored"},
     {"dense_union", "unions cannot be stored"},
     {"sparse_union", "unions cannot be stored"}}};

class Parser : private internal::NestedScanner {
 public:
  explicit Parser(std::string_view text) : NestedScanner(text) {}

  NestedType All() {
    NestedType type = Type(1);
    SkipSpaces();
    if (at_ < text_.size()) {
      Fail("the end of the type");
    }
    return type;
  }

 private:
  // --- types ---

  NestedType Type(int depth) {
    SkipSpaces();
    const std::size_t begin = at_;
    try {
      internal::CheckNestedSize(depth, ++nodes_);
    } catch (const Error& error) {
      throw Error(error.code(), StrCat(error.what(), ", at position ", begin));
    }
    const std::string_view word = Word();
    const auto is_word = [word](const auto& of) { return of.first == word; };
    const auto* parent = std::ranges::find_if(kParents, is_word);
    if (parent != kParents.end()) {
      return Parent(parent->second, depth);
    }
    const auto* refused = std::ranges::find_if(kRefused, is_word);
    if (refused != kRefused.end()) {
      Refuse(begin, StrCat(word, " types cannot be nested: ", refused->second));
    }
    return internal::BuildNestedType(*ReadNestedFormat(ItemFormat(word, begin)), {});
  }

  NestedType Child(int depth) {
    NestedType type = Type(depth + 1);
    if (TakeWord("not")) {
      if (!TakeWord("null")) {
        Fail("'null' after 'not'");
      }
      type.nullable = false;
    }
    return type;
  }

  NestedType Named(std::string name, int depth) {
    NestedType type = Child(depth);
    type.name = std::move(name);
    return type;
  }

  NestedType Parent(std::string_view format, int depth) {
    Expect("<");
    if (format == "+m") {
      return Map(depth);
    }
    std::vector<NestedType> children;
    if (format == "+s") {
      while (!Take(">")) {
        if (!children.empty()) {
          Expect(",");
        }
        std::string name = Name();
        children.push_back(Named(std::move(name), depth));
      }
    } else {
      std::string name = NameIfAny();
      children.push_back(Named(std::move(name), depth));
      Expect(">");
    }
    const std::string size = format == "+w:" ? SizeInBrackets() : "";
    return internal::BuildNestedType(*ReadNestedFormat(StrCat(format, size)), std::move(children));
  }

  // The rest of "map<K, V, keys_sorted>". Each part may have another name than the usual one, as in
  // map<K ("k"), V ("v"), entries ("e")>.
  NestedType Map(int depth) {
    internal::CheckNestedSize(depth + 2, ++nodes_);
    std::vector<NestedType> parts;
    parts.push_back(Child(depth + 1));
    parts.back().name = OtherName("key");
    Expect(",");
    parts.push_back(Child(depth + 1));
    parts.back().name = OtherName("value");
    bool keys_sorted = false;
    std::string name = OtherName("entries");
    while (Take(",")) {
      if (!keys_sorted && TakeWord("keys_sorted")) {
        keys_sorted = true;
      } else if (!TakeWord("entries")) {
        Fail("'keys_sorted' or 'entries'");
      }
      name = OtherName(name);
    }
    Expect(">");
    std::vector<NestedType> entries;
    entries.push_back(internal::BuildNestedType(*ReadNestedFormat("+s"), std::move(parts)));
    entries[0].name = std::move(name);
    NestedType type = internal::BuildNestedType(*ReadNestedFormat("+m"), std::move(entries));
    type.keys_sorted = keys_sorted;
    return type;
  }

  std::string SizeInBrackets() {
    Expect("[");
    const std::int64_t size = Number("a size", 0, INT32_MAX);
    Expect("]");
    return std::to_string(size);
  }

  std::string ItemFormat(std::string_view word, std::size_t begin) {
    if (word == "fixed_size_binary") {
      return "w:" + SizeInBrackets();
    }
    if (word == "timestamp") {
      return Timestamp();
    }
    if (word.starts_with("decimal")) {
      return Decimal(word.substr(7), begin);
    }
    std::string name(word);
    if (!word.empty() && Take("[")) {
      name += StrCat('[', Word(), ']');
      Expect("]");
    }
    const auto names = internal::NestedNames();
    const auto found = std::ranges::find(names, name, &internal::NestedName::name);
    if (found == names.end()) {
      at_ = begin;
      Fail("a type");
    }
    return std::string(found->format);
  }

  std::string Timestamp() {
    Expect("[");
    SkipSpaces();
    const std::size_t begin = at_;
    const std::string_view unit = Word();
    if (unit != "s" && unit != "ms" && unit != "us" && unit != "ns") {
      at_ = begin;
      Fail("a unit (s, ms, us or ns)");
    }
    std::string format = StrCat("ts", unit[0], ':');
    if (Take(",")) {
      Expect("tz");
      Expect("=");
      format += AtJson() ? Json() : Zone();
    }
    Expect("]");
    return format;
  }

  std::string Zone() {
    const std::size_t begin = at_;
    at_ = std::min(text_.find(']', at_), text_.size());
    const std::string_view zone = text_.substr(begin, at_ - begin);
    CheckName(begin, zone);
    return std::string(zone);
  }

  std::string Decimal(std::string_view width, std::size_t begin) {
    const std::int64_t bits = width.empty() ? 128 : internal::NestedNumber(width).value_or(0);
    const int most = internal::LargestPrecision(bits);
    if (most == 0) {
      at_ = begin;
      Fail("a type");
    }
    Expect("(");
    const std::int64_t precision = Number("a precision", 1, most);
    std::int64_t scale = 0;
    if (Take(",")) {
      scale = Number("a scale", -internal::kMaxScale, internal::kMaxScale);
    }
    Expect(")");
    return StrCat("d:", precision, ',', scale, ',', bits);
  }

  std::size_t nodes_ = 0;
};

}  // namespace

NestedType ParseNestedType(std::string_view text) { return Parser(text).All(); }

}  // namespace stream_store
