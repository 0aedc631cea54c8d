// Recovery as a Python object.

#include <functional>

#include "convert/methods.h"

namespace stream_store::python {

const char* StateText(const Recovery& recovery) {
  return recovery.state == Recovery::State::kClean          ? "clean"
         : recovery.state == Recovery::State::kProcessCrash ? "process_crash"
                                                            : "truncated";
}

bool Equal(const Recovery& a, const Recovery& b) {
  return a.state == b.state && a.rows_cut == b.rows_cut && a.reason == b.reason;
}

std::size_t Hash(const Recovery& recovery) {
  return std::hash<std::string>()(recovery.reason) ^ static_cast<std::size_t>(recovery.rows_cut);
}

std::string Represent(const Recovery& recovery) {
  return std::string("Recovery(state='") + StateText(recovery) +
         "', rows_cut=" + std::to_string(recovery.rows_cut) +
         ", reason=" + ShortRepr(Own(PyUnicode_FromString(recovery.reason.c_str())).ptr()) + ")";
}

}  // namespace stream_store::python
