// A target needs a source; see tests.h.
