// NestedScanner: the characters, numbers and names in the text of a nested type.
//
// Used by nested_parse.cc. Thread rules: an object belongs to one thread. Every method skips spaces
// first, and throws Error(kInvalidArgument) with the position of what it did not expect.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace stream_store::internal {

/// Takes tokens from the front of a text, which must outlive it.
class NestedScanner {
 public:
  explicit NestedScanner(std::string_view text) noexcept : text_(text) {}

 protected:
  /// Throws: expected `expected` but found the rest of the text.
  [[noreturn]] void Fail(std::string_view expected) const;

  /// Throws with another reason, for the position `at`.
  [[noreturn]] void Refuse(std::size_t at, std::string_view what) const;

  void SkipSpaces();

  /// Takes `token` if it comes next, after spaces.
  bool Take(std::string_view token);

  /// Takes `token`, which must come next.
  void Expect(std::string_view token);

  /// Takes a word if it is `word` as a whole.
  bool TakeWord(std::string_view word);

  /// Takes letters, digits and '_'; may be empty.
  std::string_view Word();

  /// Takes a number of the range, which includes both ends.
  std::int64_t Number(std::string_view what, std::int64_t lowest, std::int64_t highest);

  /// Whether a JSON string comes next.
  bool AtJson();

  /// Takes a JSON string and returns its text. REQUIRES: AtJson().
  std::string Json();

  /// Takes a name up to ':' or another delimiter, without spaces at its ends; may be empty.
  std::string_view PlainName();

  /// Takes a name and the colon after it.
  std::string Name();

  /// Takes a name and the colon after it if they come next, else returns "item".
  std::string NameIfAny();

  /// Takes the name of a part of a map in parentheses, ("k") or, as pyarrow writes it, ('k'). If
  /// none comes next, returns `usual`.
  std::string OtherName(std::string_view usual);

  /// Throws for a name that a type cannot have.
  void CheckName(std::size_t at, std::string_view name) const;

  std::string_view text_;  ///< the whole text
  std::size_t at_ = 0;     ///< the position of the next byte

 private:
  std::uint32_t HexDigits();
  void Escape(std::string& out);
};

}  // namespace stream_store::internal
