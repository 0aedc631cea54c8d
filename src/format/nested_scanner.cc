// Takes characters, numbers and names from the text of a nested type.

#include "format/nested_scanner.h"

#include <algorithm>

#include "stream_store/error.h"

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/nested_format.h"
#include "format/nested_type.h"

namespace stream_store::internal {
namespace {

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

}  // namespace

void NestedScanner::Fail(std::string_view expected) const {
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
  throw Error(ErrorCode::kInvalidArgument, StrCat("nested type: expected ", expected, " but found ",
                                                  found, " at position ", at_));
}

void NestedScanner::Refuse(std::size_t at, std::string_view what) const {
  throw Error(ErrorCode::kInvalidArgument, StrCat("nested type: ", what, ", at position ", at));
}

void NestedScanner::SkipSpaces() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) {
    ++at_;
  }
}

bool NestedScanner::Take(std::string_view token) {
  SkipSpaces();
  if (!text_.substr(at_).starts_with(token)) {
    return false;
  }
  at_ += token.size();
  return true;
}

void NestedScanner::Expect(std::string_view token) {
  if (!Take(token)) {
    Fail(StrCat('\'', token, '\''));
  }
}

bool NestedScanner::TakeWord(std::string_view word) {
  SkipSpaces();
  const std::string_view rest = text_.substr(at_);
  if (!rest.starts_with(word) || (rest.size() > word.size() && IsWordByte(rest[word.size()]))) {
    return false;
  }
  at_ += word.size();
  return true;
}

std::string_view NestedScanner::Word() {
  SkipSpaces();
  const std::size_t begin = at_;
  while (at_ < text_.size() && IsWordByte(text_[at_])) {
    ++at_;
  }
  return text_.substr(begin, at_ - begin);
}

std::int64_t NestedScanner::Number(std::string_view what, std::int64_t lowest,
                                   std::int64_t highest) {
  SkipSpaces();
  const std::size_t begin = at_;
  at_ += at_ < text_.size() && text_[at_] == '-' ? 1U : 0U;
  while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
    ++at_;
  }
  const auto number = NestedNumber(text_.substr(begin, at_ - begin));
  if (!number || *number < lowest || *number > highest) {
    at_ = begin;
    Fail(StrCat(what, " between ", lowest, " and ", highest));
  }
  return *number;
}

bool NestedScanner::AtJson() {
  SkipSpaces();
  return at_ < text_.size() && text_[at_] == '"';
}

std::uint32_t NestedScanner::HexDigits() {
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

void NestedScanner::Escape(std::string& out) {
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
    code =
        low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00) : 0xd800;
  }
  if (code >= 0xd800 && code < 0xe000) {
    Refuse(begin, "half of a surrogate pair in a name");
  }
  AppendUtf8(out, code);
}

std::string NestedScanner::Json() {
  STREAM_STORE_ASSERT(AtJson());
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

std::string_view NestedScanner::PlainName() {
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

std::string NestedScanner::Name() {
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

std::string NestedScanner::NameIfAny() {
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

std::string NestedScanner::OtherName(std::string_view usual) {
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

void NestedScanner::CheckName(std::size_t at, std::string_view name) const {
  try {
    CheckNestedName(name);
  } catch (const Error& error) {
    throw Error(error.code(), StrCat(error.what(), ", at position ", at));
  }
}

}  // namespace stream_store::internal
