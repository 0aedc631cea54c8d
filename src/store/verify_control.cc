// The checks of the `control` file, as a part of StoreScan.
#include <algorithm>
#include <array>
#include <span>

#include "base/str_cat.h"
#include "format/bytes.h"
#include "store/verify_scan.h"

namespace stream_store::internal {

// While a writer is live, a slot may be read while it is written. It is whole a moment later, unless
// the writer died, so it is read again a few times before it is reported.
void StoreScan::ReadSlots() {
  constexpr int kAttempts = 10;
  std::array<std::array<std::byte, kSlotBytes>, 2> bytes{};
  std::array<std::span<const std::byte>, 2> there;
  const auto read = [&] {
    for (const std::size_t at : {std::size_t{0}, std::size_t{1}}) {
      there[at] = std::span(bytes[at]).first(files_.control->ReadAt(bytes[at], kSlotOffset[at]));
      slots_[at] = DecodeSlot(there[at], files_.identity->id);
    }
    return slots_[0] && slots_[1];
  };
  for (int attempt = 1; !read() && report_.live && attempt < kAttempts; ++attempt) {
  }
  for (const std::size_t at : {std::size_t{0}, std::size_t{1}}) {
    const int which = static_cast<int>(at);
    // A torn slot is not damage: a sync under way, or a power failure during one, leaves one slot
    // torn, and the other holds the sync before.
    if (!slots_[at]) {
      Notice(kControlName, kSlotOffset[which], StrCat("slot ", which), "a valid sync slot",
             SlotProblem(there[at], files_.identity->id));
    } else if ((slots_[at]->sequence & 1) != at) {
      Notice(kControlName, kSlotOffset[which] + 24, StrCat("slot ", which),
             "a sequence number of this place", StrCat(slots_[at]->sequence));
    }
  }
  slot_ = ChooseSlot(slots_[0], slots_[1]);
  if (!slot_) {
    Damage(kControlName, kSlotOffset[0], "both slots", "a valid sync slot", "none");
  }
}

void StoreScan::ExpectZeros(std::uint64_t begin, std::uint64_t end, const char* subject) {
  std::vector<std::byte> bytes(end - begin);
  bytes.resize(files_.control->ReadAt(bytes, begin));
  const auto bad = std::ranges::find_if(bytes, [](std::byte byte) { return byte != std::byte{0}; });
  if (bad != bytes.end()) {
    Notice(kControlName, begin + static_cast<std::uint64_t>(bad - bytes.begin()), subject, "zeros",
           HexText(static_cast<std::uint32_t>(*bad)));
  }
}

void StoreScan::CheckControl() {
  published_ = files_.published;
  ReadSlots();
  ExpectZeros(kIdentityBytes, kLiveOffset, "after the identity");
  ExpectZeros(kLiveOffset + 8, kLiveOffset + 64, "beside `published`");
  ExpectZeros(kLiveOffset + 80, kLiveOffset + 128, "beside `begin`");
  ExpectZeros(kLiveOffset + 168, kSlotOffset[0], "after the live words");
  ExpectZeros(kSlotOffset[0] + kSlotBytes, kSlotOffset[1], "after slot 0");
  ExpectZeros(kSlotOffset[1] + kSlotBytes, kControlBytes, "after slot 1");
  if (const std::uint64_t size = files_.control->Size(); size != kControlBytes) {
    const auto severity =
        size < kControlBytes ? Finding::Severity::kDamage : Finding::Severity::kNotice;
    Add({severity, kControlName, std::min(size, kControlBytes), "its end",
         StrCat(kControlBytes, " bytes"), StrCat(size)});
  }
  if (!report_.live && files_.persistent) {
    CheckLiveWords();
  }
  report_.bytes += kControlBytes;
}

// Checks the live words of a store without a writer. Opening a store does not rely on them, so
// wrong ones are not damage.
void StoreScan::CheckLiveWords() {
  const auto expect = [&](std::uint64_t LiveWords::* word, const char* name,
                          std::uint64_t expected) {
    if (const std::uint64_t found = files_.Live(word); found != expected) {
      Notice(kControlName, DamagedFiles::LiveOffset(word), name, StrCat(expected), StrCat(found));
    }
  };
  if (!slot_) {
    return;
  }
  expect(&LiveWords::begin, "`begin`", slot_->begin.records);
  expect(&LiveWords::layout_begin, "`layout_begin`", slot_->begin.layout_words);
  if (slot_->clean) {
    expect(&LiveWords::published, "`published` of a closed store", slot_->records);
    expect(&LiveWords::state, "`state` of a closed store", kLiveClosed);
    expect(&LiveWords::durable, "`durable` of a closed store", slot_->records);
    if (files_.schema) {
      expect(&LiveWords::schema_revision, "`schema_revision` of a closed store",
             files_.schema->revision());
    }
  } else if (files_.Live(&LiveWords::state) > kLiveSyncing) {
    expect(&LiveWords::state, "`state`", kLiveOpen);
  }
  if (const std::uint64_t session = files_.Live(&LiveWords::session); session < slot_->session) {
    Notice(kControlName, DamagedFiles::LiveOffset(&LiveWords::session), "`session`",
           StrCat("at least ", slot_->session), StrCat(session));
  }
}

// Notes the sums of the walk before record i, if the slot begins or ends there. The slot may begin
// after the walk: rows were dropped after the reader was refreshed whose store is verified. A reader
// does not know how many field-writes came before its own begin, so they are counted from the slot's.
void StoreScan::LookAtSlot(std::uint64_t i) {
  if (slot_ && i == slot_->begin.records) {
    writes_before_slot_ = cursor_.field_writes;
  }
  if (slot_ && i == slot_->records) {
    CompareWithSlot();
  }
}

// Checks, at the last record of the slot, that the sums that the slot stores are those of the
// records. It does not check after damage, which would only be reported again in other words.
void StoreScan::CompareWithSlot() {
  if (!intact_ || slot_compared_) {
    return;
  }
  slot_compared_ = true;
  const std::uint64_t which = slot_->sequence & 1;
  const auto expect = [&](std::uint64_t offset, const char* name, std::uint64_t counted,
                          std::uint64_t stored) {
    if (counted != stored) {
      Damage(kControlName, kSlotOffset[which] + offset, StrCat("slot ", which, ", ", name),
             StrCat(counted), StrCat(stored));
    }
  };
  expect(48, "values", cursor_.values, slot_->values);
  expect(64, "rows", cursor_.rows, slot_->rows);
  if (writes_before_slot_) {
    expect(72, "field-writes",
           slot_->begin.field_writes + cursor_.field_writes - *writes_before_slot_,
           slot_->field_writes);
  }
  if (cursor_.layout_words > slot_->layout_words) {
    expect(56, "layout words", cursor_.layout_words, slot_->layout_words);
  }
}

}  // namespace stream_store::internal
