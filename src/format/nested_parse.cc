// Parses the texts of nested types: a recursive descent that goes no deeper than kMaxNestedDepth.

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "stream_store/error.h"
#include "stream_store/nested.h"

#include "base/str_cat.h"
#include "format/nested_format.h"
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

bool IsWordByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// The bytes that end a name that is not written as a JSON string.
bool EndsName(char c) { return std::string_view("<>,()[]\":'").find(c) != std::string_view::npos; }

void AppendUtf8(std::string& out, std::uint32_t code) {
  const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  NestedType All() {
    NestedType type = Type(1);
    SkipSpaces();
    if (at_ < text_.size()) {
      Fail("the end of the type");
    }
    return type;
  }

 private:
  // --- characters ---

  [[noreturn]] void Fail(std::string_view expected) const {
    std::string found = "the end";
    if (at_ < text_.size()) {
      // A whole word, or one byte; never a part of a sequence of UTF-8.
      std::size_t end = at_;
      while (end < text_.size() && end < at_ + 24 && IsWordByte(text_[end])) {
        ++end;
      }
      const std::string_view rest = text_.substr(at_, std::max<std::size_t>(end - at_, 1));
      const auto byte = static_cast<unsigned char>(rest[0]);
      found = byte < 0x20 || byte >= 0x7f ? StrCat("byte ", static_cast<int>(byte))
                                          : StrCat('\'', rest, '\'');
    }
    throw Error(ErrorCode::kInvalidArgument, StrCat("nested type: expected ", expected,
                                                    " but found ", found, " at position ", at_));
  }

  [[noreturn]] void Refuse(std::size_t at, std::string_view what) const {
    throw Error(ErrorCode::kInvalidArgument, StrCat("nested type: ", what, ", at position ", at));
  }

  void SkipSpaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) {
      ++at_;
    }
  }

  // Takes `token` if it comes next, after spaces.
  bool Take(std::string_view token) {
    SkipSpaces();
    if (!text_.substr(at_).starts_with(token)) {
      return false;
    }
    at_ += token.size();
    return true;
  }

  void Expect(std::string_view token) {
    if (!Take(token)) {
      Fail(StrCat('\'', token, '\''));
    }
  }

  // Takes a word if it is `word` as a whole.
  bool TakeWord(std::string_view word) {
    SkipSpaces();
    const std::string_view rest = text_.substr(at_);
    if (!rest.starts_with(word) || (rest.size() > word.size() && IsWordByte(rest[word.size()]))) {
      return false;
    }
    at_ += word.size();
    return true;
  }

  std::string_view Word() {
    SkipSpaces();
    const std::size_t begin = at_;
    while (at_ < text_.size() && IsWordByte(text_[at_])) {
      ++at_;
    }
    return text_.substr(begin, at_ - begin);
  }

  std::int64_t Number(std::string_view what, std::int64_t lowest, std::int64_t highest) {
    SkipSpaces();
    const std::size_t begin = at_;
    at_ += at_ < text_.size() && text_[at_] == '-' ? 1 : 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      ++at_;
    }
    const auto number = internal::NestedNumber(text_.substr(begin, at_ - begin));
    if (!number || *number < lowest || *number > highest) {
      at_ = begin;
      Fail(StrCat(what, " between ", lowest, " and ", highest));
    }
    return *number;
  }

  // --- names ---

  bool AtJson() {
    SkipSpaces();
    return at_ < text_.size() && text_[at_] == '"';
  }

  std::uint32_t HexDigits() {
    std::uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      const bool is_digit = c >= '0' && c <= '9';
      const char letter = static_cast<char>(c | 0x20);
      if (!is_digit && (letter < 'a' || letter > 'f')) {
        Fail("four hexadecimal digits");
      }
      code = code << 4 | static_cast<std::uint32_t>(is_digit ? c - '0' : letter - 'a' + 10);
    }
    return code;
  }

  void Escape(std::string& out) {
    static constexpr std::string_view kLetters = "\"\\/nrtbf";
    static constexpr std::string_view kMeanings = "\"\\/\n\r\t\b\f";
    const std::size_t letter =
        at_ < text_.size() ? kLetters.find(text_[at_]) : std::string_view::npos;
    if (letter != std::string_view::npos) {
      out += kMeanings[letter];
      ++at_;
      return;
    }
    const std::size_t begin = at_;
    if (at_ >= text_.size() || text_[at_] != 'u') {
      Fail("an escape of JSON");
    }
    ++at_;
    std::uint32_t code = HexDigits();
    if (code >= 0xd800 && code < 0xdc00 && text_.substr(at_).starts_with("\\u")) {
      at_ += 2;
      const std::uint32_t low = HexDigits();
      code = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)
                                           : 0xd800;
    }
    if (code >= 0xd800 && code < 0xe000) {
      Refuse(begin, "half of a surrogate pair in a name");
    }
    AppendUtf8(out, code);
  }

  std::string Json() {
    const std::size_t begin = at_;
    std::string out;
    for (++at_;;) {
      if (at_ >= text_.size()) {
        Fail("'\"' at the end of a name");
      }
      const char c = text_[at_++];
      if (c == '"') {
        break;
      }
      if (c == '\\') {
        Escape(out);
      } else {
        out += c;
      }
    }
    CheckName(begin, out);
    return out;
  }

  // A name up to ':' or another delimiter, without spaces at its ends; may be empty.
  std::string_view PlainName() {
    SkipSpaces();
    const std::size_t begin = at_;
    while (at_ < text_.size() && !EndsName(text_[at_])) {
      ++at_;
    }
    std::string_view name = text_.substr(begin, at_ - begin);
    while (name.ends_with(' ')) {
      name.remove_suffix(1);
    }
    return name;
  }

  // "name:"
  std::string Name() {
    SkipSpaces();
    const std::size_t begin = at_;
    std::string name = AtJson() ? Json() : std::string(PlainName());
    if (name.empty() && text_.substr(begin, 1) != "\"") {
      Fail("a name");
    }
    CheckName(begin, name);
    Expect(":");
    return name;
  }

  // Takes "name:" if it comes next.
  std::string NameIfAny() {
    SkipSpaces();
    const std::size_t begin = at_;
    if (!AtJson()) {
      PlainName();
      const bool is_name = at_ < text_.size() && text_[at_] == ':' && at_ > begin;
      at_ = begin;
      if (!is_name) {
        return "item";
      }
    }
    return Name();
  }

  // The other name of a part of a map: ("k") or, as pyarrow writes it, ('k').
  std::string OtherName(std::string_view usual) {
    if (!Take("(")) {
      return std::string(usual);
    }
    std::string name;
    if (AtJson()) {
      name = Json();
    } else {
      Expect("'");
      const std::size_t begin = at_;
      const std::size_t end = text_.find("')", at_);
      if (end == std::string_view::npos) {
        Fail("a name in quotation marks");
      }
      name = std::string(text_.substr(at_, end - at_));
      at_ = end + 1;
      CheckName(begin, name);
    }
    Expect(")");
    return name;
  }

  void CheckName(std::size_t at, std::string_view name) const {
    try {
      internal::CheckNestedName(name);
    } catch (const Error& error) {
      throw Error(error.code(), StrCat(error.what(), ", at position ", at));
    }
  }

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

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t nodes_ = 0;
};

}  // namespace

NestedType ParseNestedType(std::string_view text) { return Parser(text).All(); }

}  // namespace stream_store
