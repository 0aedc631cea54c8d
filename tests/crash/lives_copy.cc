// Lives: the checkpoint of the store, which is updated now and then.
#include <algorithm>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/str_cat.h"
#include "crash/lives.h"

namespace stream_store::crash {

using internal::StrCat;

namespace {

[[noreturn]] void Fail(const std::string& what) { throw std::runtime_error(what); }

bool IsPrefix(const std::vector<ModelRecord>& prefix, const std::vector<ModelRecord>& all) {
  return prefix.size() <= all.size() && std::equal(prefix.begin(), prefix.end(), all.begin(),
                                                   [](const ModelRecord& a, const ModelRecord& b) {
                                                     return a.serial == b.serial;
                                                   });
}

bool LooksLike(const Model& model, const Reader& reader) {
  return model.records.size() == reader.records() &&
         model.first_row == static_cast<Row>(reader.first_row()) &&
         model.added == AddedFields(reader.schema());
}

}  // namespace

// An update copies the rows after those of the copy, so these must be the first rows of the
// store, and its fields the first fields. Records that were written again count as others. If all
// records of the copy were dropped from the store, there is nothing to compare: then other rows are
// taken where the new ones do not come in their place, and the right ones are refused if a power cut
// has left other layouts that no record uses.
Lives::Answer Lives::AnswerTo(const Model& copy, const Model& wanted) {
  if (copy.records.empty()) return Answer::kTaken;
  if (copy.added.size() > wanted.added.size()) return Answer::kRefused;
  const bool apart =
      wanted.first_row > 0 && copy.records.size() <= wanted.RecordOfRow(wanted.first_row);
  if (apart) return Answer::kEither;
  return IsPrefix(copy.records, wanted.records) ? Answer::kTaken : Answer::kRefused;
}

// The states that an update passes through: opening the copy for writing may lower the numbers of its
// fields, then the new fields come, and last the new records.
void Lives::ExpectOfCopy(const Model& now, const Model& wanted) {
  Model between = now;
  for (const Added& added : {Lowered(now.added, now.records.size()), wanted.added,
                             Lowered(wanted.added, now.records.size())}) {
    between.added = added;
    copies_.push_back(between);
  }
  copies_.push_back(wanted);
}

// Brings the checkpoint up to date, or makes it. A sync in it may fail, or the process die; the copy
// is then as it was or up to date, and can be updated again.
void Lives::UpdateCopy() {
  const Reader reader = store_->reader();
  Model wanted = model_;
  wanted.first_row = static_cast<Row>(reader.first_row());
  wanted.added = AddedFields(reader.schema());
  Answer answer = Answer::kTaken;
  try {
    if (const Model* now = CheckCopy()) {
      answer = AnswerTo(*now, wanted);
      ExpectOfCopy(Model(*now), wanted);
    } else {
      copies_.push_back(wanted);
    }
  } catch (const Error&) {
    if (!disk_.dead()) throw;
    return;
  }
  if (answer != Answer::kTaken && jumped_) {  // other records may be equal
    RemoveCopy();
    return;
  }
  const bool writer_failed = poisoned_;
  ArmFault(16, 90);
  Tell(StrCat("checkpoint of ", wanted.records.size(), " records from row ", wanted.first_row));
  std::optional<Error> error;
  try {
    reader.UpdateCheckpoint(copy_path_);
  } catch (const Error& thrown) {
    Tell(StrCat("  ", thrown.what()));
    error = thrown;
  }
  const bool failing = std::exchange(failing_, false);
  DisarmFault();
  if (disk_.dead()) {
    counts_.copies_failed += 1;
    return;
  }
  if (!error) {
    if (answer == Answer::kRefused) Fail("a checkpoint with other rows was updated");
    copies_.assign(1, wanted);
    no_copy_ = false;
    counts_.copies += 1;
  } else if (failing && error->code() == ErrorCode::kIo) {
    counts_.copies_failed += 1;
  } else if (answer == Answer::kTaken || error->code() != ErrorCode::kInvalidArgument) {
    throw *error;
  }
  if (error || random_.Chance(30)) {
    try {
      CheckCopy();
    } catch (const Error&) {
      if (!disk_.dead()) throw;
      return;
    }
  }
  if (error && error->code() == ErrorCode::kInvalidArgument) {
    counts_.copies_refused += 1;
    RemoveCopy();
  }
  poisoned_ = writer_failed;  // the store itself was only read
}

void Lives::RemoveCopy() {
  std::filesystem::remove_all(copy_path_);
  copies_.clear();
  no_copy_ = true;
}

// Returns the state in which a reader finds the copy; null without a copy. That is final once the
// disk was read after a power cut.
const Model* Lives::CheckCopy() {
  if (!std::filesystem::exists(copy_path_)) {
    if (!no_copy_) Fail("the checkpoint is gone");
    copies_.clear();
    return nullptr;
  }
  const Reader reader = Reader::Open(copy_path_);
  const auto found =
      std::ranges::find_if(copies_, [&](const Model& model) { return LooksLike(model, reader); });
  if (found == copies_.end()) {
    Fail(StrCat("the checkpoint has ", reader.records(), " records from row ", reader.first_row(),
                " and ", reader.schema().size(), " fields, which it never had"));
  }
  found->Check(reader, random_);
  no_copy_ = false;
  if (power_was_cut_) copies_ = {Model(*found)};
  return power_was_cut_ ? &copies_.front() : &*found;
}

}  // namespace stream_store::crash
