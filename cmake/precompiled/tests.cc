// A precompiled header needs a target, and a target a source; see tests.h.
int main() { return 0; }
